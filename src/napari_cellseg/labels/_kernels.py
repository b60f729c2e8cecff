"""Counting kernels of the object table: one pass over voxels, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._jit import kernel

_I64 = NDArray[np.int64]
_U64 = NDArray[np.uint64]
_U32 = NDArray[np.uint32]


@kernel
def _mixed(position: int, label: int) -> np.uint64:
    # the finaliser of SplitMix64 (Steele, Lea & Flood 2014): sums of it tell arrays apart
    x = np.uint64(position) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(label)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@kernel
def _row_of(palette: _U32, label: int) -> int:
    low, high = 0, len(palette)
    while low < high:
        middle = (low + high) // 2
        if palette[middle] < label:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def tally(
    mask: NDArray[np.bool_],
    before: _U32,
    after: _U32,
    palette: _U32,
    start: _I64,
    size: _I64,
    counts: _I64,
    sums: _I64,
    bounds: _I64,
    sign: _I64,
    sums_of_planes: _U64,
) -> None:
    """Add up what every id of the palette lost and gained.

    `counts` (n, 2) and `bounds` (n, 2, 6) are of lost and of gained voxels, `sums` (n, 3) is the
    difference of their coordinates' sums. `sums_of_planes` changes by the checksums' difference.
    """
    k = 0
    for i in range(mask.shape[0]):
        z = start[0] + i
        change = np.uint64(0)
        for j in range(mask.shape[1]):
            y = start[1] + j
            for m in range(mask.shape[2]):
                if not mask[i, j, m]:
                    continue
                x = start[2] + m
                position = (z * size[1] + y) * size[2] + x
                for side in range(2):
                    label = before[k] if side == 0 else after[k]
                    if label == 0:
                        continue
                    row = _row_of(palette, label)
                    counts[row, side] += 1
                    s = sign[side]
                    sums[row, 0] += s * z
                    sums[row, 1] += s * y
                    sums[row, 2] += s * x
                    b = bounds[row, side]
                    b[0] = min(b[0], z)
                    b[1] = min(b[1], y)
                    b[2] = min(b[2], x)
                    b[3] = max(b[3], z + 1)
                    b[4] = max(b[4], y + 1)
                    b[5] = max(b[5], x + 1)
                    mixed = _mixed(position, label)
                    if side == 0:
                        change -= mixed
                    else:
                        change += mixed
                k += 1
        sums_of_planes[i] += change


@kernel
def count_plane(
    labels: _U32, rows: NDArray[np.int32], z: int, counts: _I64, sums: _I64, bounds: _I64
) -> np.uint64:
    """Add a plane to the columns of the objects in it; return the plane's checksum.

    `rows` are the objects' rows per pixel, read only where `labels` is not 0.
    """
    total = np.uint64(0)
    height, width = labels.shape
    for y in range(height):
        x = 0
        while x < width:
            label = labels[y, x]
            if label == 0:
                x += 1
                continue
            first = x
            while x < width and labels[y, x] == label:
                total += _mixed((z * height + y) * width + x, label)
                x += 1
            row = rows[y, first]
            length = x - first
            counts[row] += length
            sums[row, 0] += z * length
            sums[row, 1] += y * length
            sums[row, 2] += (first + x - 1) * length // 2
            b = bounds[row]
            b[0] = min(b[0], z)
            b[1] = min(b[1], y)
            b[2] = min(b[2], first)
            b[3] = max(b[3], z + 1)
            b[4] = max(b[4], y + 1)
            b[5] = max(b[5], x)
    return total


@kernel
def plane_checksum(labels: _U32, z: int) -> np.uint64:
    """Checksum of a plane: the sum of what every labelled voxel and its place are mixed to."""
    total = np.uint64(0)
    height, width = labels.shape
    for y in range(height):
        for x in range(width):
            if labels[y, x]:
                total += _mixed((z * height + y) * width + x, labels[y, x])
    return total
