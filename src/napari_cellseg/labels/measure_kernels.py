"""Compiled passes over labels and images that measure all objects at once.

Rows of the results are the ranks of ids, found by bisection, so that ids may be as large and as
sparse as they like.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._jit import kernel

_I64 = NDArray[np.int64]
_F64 = NDArray[np.float64]
_U32 = NDArray[np.uint32]


@kernel
def _row(ids: _U32, number: int) -> int:
    low, high = 0, len(ids)
    while low < high:
        middle = (low + high) // 2
        if ids[middle] < number:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def gather(  # pragma: no cover - compiled
    labels: _U32,
    ids: _U32,
    offsets: _I64,
    counts: _I64,
    sums: _I64,
    squares: _I64,
    low: _I64,
    high: _I64,
    exits: _I64,
) -> None:
    """Add up what a table of objects needs, in one pass.

    `labels` is (z, y, x), `ids` rises, `offsets` is (k, 3). `counts` (n,), `sums` (n, 3) of
    coordinates, `squares` (n, 6) of their products zz, yy, xx, zy, zx, yx, the box `low`, `high`
    (n, 3), and `exits` (n, k): voxels whose neighbour at an offset is outside the object.
    """
    depth, height, width = labels.shape
    directions = len(offsets)
    reach_z = reach_y = reach_x = 0
    for k in range(directions):
        reach_z = max(reach_z, abs(offsets[k, 0]))
        reach_y = max(reach_y, abs(offsets[k, 1]))
        reach_x = max(reach_x, abs(offsets[k, 2]))
    for z in range(depth):
        for y in range(height):
            last, row = np.uint32(0), 0
            inner = reach_z <= z < depth - reach_z and reach_y <= y < height - reach_y
            for x in range(width):
                number = labels[z, y, x]
                if number == 0:
                    continue
                if number != last:
                    row = _row(ids, number)
                    last = number
                counts[row] += 1
                sums[row, 0] += z
                sums[row, 1] += y
                sums[row, 2] += x
                squares[row, 0] += z * z
                squares[row, 1] += y * y
                squares[row, 2] += x * x
                squares[row, 3] += z * y
                squares[row, 4] += z * x
                squares[row, 5] += y * x
                low[row, 0] = min(low[row, 0], z)
                low[row, 1] = min(low[row, 1], y)
                low[row, 2] = min(low[row, 2], x)
                high[row, 0] = max(high[row, 0], z + 1)
                high[row, 1] = max(high[row, 1], y + 1)
                high[row, 2] = max(high[row, 2], x + 1)
                safe = inner and reach_x <= x < width - reach_x
                for k in range(directions):
                    a, b, c = z + offsets[k, 0], y + offsets[k, 1], x + offsets[k, 2]
                    within = safe or (0 <= a < depth and 0 <= b < height and 0 <= c < width)
                    if not within or labels[a, b, c] != number:
                        exits[row, k] += 1


@kernel
def near_pairs(  # pragma: no cover - compiled
    labels: _U32, ids: _U32, offsets: _I64
) -> tuple[_I64, int]:
    """Pairs of objects that have voxels at one of the offsets from each other.

    `offsets` (k, 3) holds one of each offset and its opposite. The pairs are ``row of the one × n +
    row of the other``, the smaller row first, with some repeats; the second value is how many.
    """
    depth, height, width = labels.shape
    count = len(ids)
    pairs = np.empty(1024, np.int64)
    recent = np.full(4096, -1, np.int64)  # by the pair's last bits: keeps most repeats out
    size = 0
    for z in range(depth):
        for y in range(height):
            last, row = np.uint32(0), 0
            other, other_row = np.uint32(0), 0
            for x in range(width):
                number = labels[z, y, x]
                if number == 0:
                    continue
                # inside an object there is nothing near that its rim would not meet
                if (
                    0 < x < width - 1
                    and 0 < y < height - 1
                    and labels[z, y, x - 1] == number
                    and labels[z, y, x + 1] == number
                    and labels[z, y - 1, x] == number
                    and labels[z, y + 1, x] == number
                    and (z == 0 or labels[z - 1, y, x] == number)
                    and (z == depth - 1 or labels[z + 1, y, x] == number)
                ):
                    continue
                if number != last:
                    row = _row(ids, number)
                    last = number
                for k in range(len(offsets)):
                    a, b, c = z + offsets[k, 0], y + offsets[k, 1], x + offsets[k, 2]
                    if not (0 <= a < depth and 0 <= b < height and 0 <= c < width):
                        continue
                    there = labels[a, b, c]
                    if there == 0 or there == number:
                        continue
                    if there != other:
                        other_row = _row(ids, there)
                        other = there
                    pair = min(row, other_row) * count + max(row, other_row)
                    if recent[pair & 4095] == pair:
                        continue
                    recent[pair & 4095] = pair
                    if size == len(pairs):
                        longer = np.empty(2 * size, np.int64)
                        longer[:size] = pairs
                        pairs = longer
                    pairs[size] = pair
                    size += 1
    return pairs, size


@kernel
def intensities(  # pragma: no cover - compiled
    labels: _U32, image: NDArray[Any], ids: _U32, counts: _I64, shift: _F64, values: _F64
) -> None:
    """Add an image's voxels to the objects that they belong to; NaN is passed over.

    `values` (n, 4) holds the sum and the sum of squares of the difference from `shift`, the
    object's first value, which keeps both small, and the least and the largest value.
    """
    depth, height, width = labels.shape
    for z in range(depth):
        for y in range(height):
            last, row = np.uint32(0), 0
            for x in range(width):
                number = labels[z, y, x]
                if number == 0:
                    continue
                value = float(image[z, y, x])
                if value != value:
                    continue
                if number != last:
                    row = _row(ids, number)
                    last = number
                if counts[row] == 0:
                    shift[row] = value
                    values[row, 2] = values[row, 3] = value
                counts[row] += 1
                difference = value - shift[row]
                values[row, 0] += difference
                values[row, 1] += difference * difference
                values[row, 2] = min(values[row, 2], value)
                values[row, 3] = max(values[row, 3], value)
