"""Kernel: squared distances to the outside of a mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._jit import kernel

_F64 = NDArray[np.float64]


@kernel
def _envelope(
    line: _F64, heights: _F64, step: float, sites: NDArray[np.int64], bounds: _F64
) -> None:
    """Replace what a line holds by the lowest of the parabolas that stand on it."""
    area = step * step
    last = -1
    for q in range(line.size):
        height = line[q]
        if height == np.inf:
            continue
        start = -np.inf
        while last >= 0:
            v = sites[last]
            start = ((height - line[v]) / area + (q * q - v * v)) / (2.0 * (q - v))
            if start > bounds[last]:
                break
            last -= 1
            start = -np.inf
        last += 1
        sites[last] = q
        bounds[last] = start
    if last < 0:
        return
    heights[: line.size] = line  # which is written over
    at = last
    for q in range(line.size - 1, -1, -1):
        while bounds[at] > q:
            at -= 1
        gap = q - sites[at]
        line[q] = area * gap * gap + heights[sites[at]]


@kernel
def squared(mask: NDArray[np.bool_], steps: _F64, out: _F64) -> None:
    """Write to `out` the squared distance to the nearest voxel that is not in `mask` (z, y, x)."""
    depth, height, width = mask.shape
    longest = max(depth, height, width)
    sites = np.empty(longest, np.int64)
    bounds = np.empty(longest, np.float64)
    heights = np.empty(longest, np.float64)
    for z in range(depth):
        for y in range(height):
            far = np.inf
            for x in range(width):  # from the left, then from the right
                far = far + 1.0 if mask[z, y, x] else 0.0
                out[z, y, x] = far
            far = np.inf
            for x in range(width - 1, -1, -1):
                far = far + 1.0 if mask[z, y, x] else 0.0
                nearest = min(far, out[z, y, x]) * steps[2]
                out[z, y, x] = nearest * nearest
    line = np.empty(height, np.float64)
    for z in range(depth):
        for x in range(width):
            line[:] = out[z, :, x]
            _envelope(line, heights, steps[1], sites, bounds)
            out[z, :, x] = line
    if depth > 1:
        line = np.empty(depth, np.float64)
        for y in range(height):
            for x in range(width):
                line[:] = out[:, y, x]
                _envelope(line, heights, steps[0], sites, bounds)
                out[:, y, x] = line
