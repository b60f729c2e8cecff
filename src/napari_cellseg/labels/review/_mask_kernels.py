"""Kernels: moments, pieces, lobes and planes of a mask (z, y, x); planes have one z."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._jit import kernel

_Mask = NDArray[np.bool_]
_F64 = NDArray[np.float64]


@kernel
def spread(mask: _Mask, steps: _F64) -> tuple[int, _F64]:
    """Number of voxels, and the (unbiased) covariance of their places; 0 below two voxels."""
    depth, height, width = mask.shape
    count = 0
    middle = np.zeros(3)
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                if mask[z, y, x]:
                    count += 1
                    middle[0] += z
                    middle[1] += y
                    middle[2] += x
    out = np.zeros((3, 3))
    if count < 2:
        return count, out
    middle /= count
    for z in range(depth):
        for y in range(height):
            dz, dy = (z - middle[0]) * steps[0], (y - middle[1]) * steps[1]
            for x in range(width):
                if mask[z, y, x]:
                    dx = (x - middle[2]) * steps[2]
                    out[0, 0] += dz * dz
                    out[0, 1] += dz * dy
                    out[0, 2] += dz * dx
                    out[1, 1] += dy * dy
                    out[1, 2] += dy * dx
                    out[2, 2] += dx * dx
    out[1, 0], out[2, 0], out[2, 1] = out[0, 1], out[0, 2], out[1, 2]
    out /= count - 1
    return count, out


@kernel
def _padded(mask: _Mask) -> NDArray[np.uint8]:
    """The mask with a margin of one voxel, flat."""
    depth, height, width = mask.shape
    out = np.zeros((depth + 2, height + 2, width + 2), np.uint8)
    out[1:-1, 1:-1, 1:-1] = mask
    return out.reshape(-1)


@kernel
def _filled(
    there: NDArray[np.uint8],
    start: int | np.integer,
    offsets: NDArray[np.int64],
    stack: NDArray[np.int64],
) -> int:
    """Take the piece that holds `start` out of `there`; return how many voxels it has."""
    there[start] = 0
    stack[0] = start
    count = 1
    done = 0
    while done < count:
        here = stack[done]
        done += 1
        for offset in offsets:
            near = here + offset
            if there[near]:
                there[near] = 0
                stack[count] = near
                count += 1
    return count


@kernel
def _around(height: int, width: int, corners: bool) -> NDArray[np.int64]:
    """Steps to the 6 voxels that share a face, or to all 26, in a flat box."""
    plane = (height + 2) * (width + 2)
    out = np.empty(26, np.int64)
    count = 0
    for z in range(-1, 2):
        for y in range(-1, 2):
            for x in range(-1, 2):
                away = abs(z) + abs(y) + abs(x)
                if away == 1 or (corners and away > 1):
                    out[count] = z * plane + y * (width + 2) + x
                    count += 1
    return out[:count]


@kernel
def largest_piece(mask: _Mask) -> tuple[int, int]:
    """Voxels of the largest piece (corners connect), and of all."""
    total = 0
    for value in mask.flat:
        if value:
            total += 1
    if total == 0:
        return 0, 0
    stack = np.empty(total, np.int64)
    _, height, width = mask.shape
    largest = 0
    for corners in (False, True):  # most are whole by faces alone, which is four times as fast
        there = _padded(mask)
        offsets = _around(height, width, corners)
        found = 0
        for p in range(there.size):
            if there[p]:
                size = _filled(there, p, offsets, stack)
                found += size
                largest = max(largest, size)
                if found == total or not corners:
                    break
        if largest == total or corners:
            break
    return largest, total


@kernel
def _nearer(line: _F64, step: float, out: _F64) -> None:
    """Lower what a line holds to the least over all places of it plus the squared way there."""
    size = line.size
    for q in range(size):
        best = line[q]
        gap = 1
        while best > 0.0 and (q >= gap or q + gap < size):
            far = gap * step
            far *= far
            if far >= best:
                break
            if q >= gap:
                best = min(best, far + line[q - gap])
            if q + gap < size:
                best = min(best, far + line[q + gap])
            gap += 1
        out[q] = best


@kernel
def _depth(mask: _Mask, steps: _F64, planar: bool) -> _F64:
    """Distance to the outside with a margin of one voxel, from z to x, of a padded box.

    Squares are added in the order of the axes: masks are compared with levels, and a level may
    be a distance that occurs.
    """
    depth, height, width = mask.shape[0] + 2, mask.shape[1] + 2, mask.shape[2] + 2
    out = np.zeros((depth, height, width))
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if planar:
                if mask[0, y - 1, x - 1]:
                    out[1, y, x] = np.inf
                continue
            gap = 0
            for z in range(1, depth - 1):
                gap = gap + 1 if mask[z - 1, y - 1, x - 1] else 0
                out[z, y, x] = gap
            gap = 0
            for z in range(depth - 2, 0, -1):
                gap = gap + 1 if mask[z - 1, y - 1, x - 1] else 0
                far = min(float(gap), out[z, y, x]) * steps[0]
                out[z, y, x] = far * far
    line = np.empty(height)
    other = np.empty(height)
    for z in range(1, depth - 1):
        for x in range(1, width - 1):
            line[:] = out[z, :, x]
            _nearer(line, steps[1], other)
            out[z, :, x] = other
    line = np.empty(width)
    for z in range(1, depth - 1):
        for y in range(1, height - 1):
            line[:] = out[z, y]
            _nearer(line, steps[2], out[z, y])
    return np.sqrt(out).reshape(-1)


@kernel
def deepest(mask: _Mask, steps: _F64, planar: bool) -> float:
    """Largest distance to the outside."""
    return float(_depth(mask, steps, planar).max())


@kernel
def lobes(mask: _Mask, steps: _F64, planar: bool, levels: _F64, slack: float) -> float:
    """Height of a second lobe above the saddle, of the first's; see `shape.neck`."""
    distance = _depth(mask, steps, planar)
    top = distance.max()
    _, height, width = mask.shape
    offsets = _around(height, width, False)
    there = np.zeros(distance.size, np.uint8)
    inside = np.flatnonzero(distance > levels[0] * top)
    stack = np.empty(inside.size, np.int64)
    best = 0.0
    for share in levels:
        level = share * top
        for p in inside:
            there[p] = distance[p] > level
        first = -1.0
        second = -1.0
        for p in inside:
            if not there[p]:
                continue
            size = _filled(there, p, offsets, stack)
            peak = 0.0
            for k in range(size):
                peak = max(peak, distance[stack[k]])
            if peak > first:
                first, second = peak, first
            elif peak > second:
                second = peak
        if second > 0.0:
            best = max(best, (second - level - slack) / top)
    return best


@kernel
def planes(mask: _Mask, steps: _F64) -> tuple[float, float, float]:
    """Jump of the area, share of gaps, and drift of the middle; see `shape.plane_numbers`."""
    depth, height, width = mask.shape
    areas = np.zeros(depth)
    rows = np.zeros(depth)
    columns = np.zeros(depth)
    for z in range(depth):
        area = 0
        row = 0
        column = 0
        for y in range(height):
            for x in range(width):
                if mask[z, y, x]:
                    area += 1
                    row += y
                    column += x
        areas[z] = area
        rows[z] = row / max(area, 1) * steps[1]
        columns[z] = column / max(area, 1) * steps[2]
    most = areas.max()
    jump = 0.0
    drift = 0.0
    there = 0
    for z in range(depth):
        if areas[z] > 0:
            there += 1
        if z and areas[z] > most / 3 and areas[z - 1] > most / 3:
            jump = max(jump, abs(np.log(areas[z]) - np.log(areas[z - 1])))
            drift = max(drift, np.hypot(rows[z] - rows[z - 1], columns[z] - columns[z - 1]))
    radius = np.sqrt(most * steps[1] * steps[2] / np.pi)
    return jump, 1.0 - there / depth, drift / radius
