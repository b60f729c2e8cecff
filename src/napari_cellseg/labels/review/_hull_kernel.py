"""Kernel: convex hull of the voxels of a mask, exact in whole numbers.

Of the corners of the voxels in a plane of the grid only those on the plane's own hull can be on the
hull of all. They are added from the first to the last plane (beneath-beyond: Edelsbrunner,
Algorithms in Combinatorial Geometry, 1987, chapter 8): each is outside of what there is, and sees
the corner before it. Signs of whole numbers are exact, so nothing has to be merged or joggled.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._jit import kernel

_I64 = NDArray[np.int64]
_F64 = NDArray[np.float64]


@kernel
def _outline(first: _I64, last: _I64, left: _I64, right: _I64) -> tuple[int, int]:
    """Rows of a plane whose first and whose last corner are on the plane's hull; their numbers.

    `first` is after `last` in rows that have no corner.
    """
    lefts = 0
    rights = 0
    for y in range(first.size):
        if first[y] > last[y]:
            continue
        while lefts >= 2:
            a, b = left[lefts - 2], left[lefts - 1]
            if (first[b] - first[a]) * (y - a) < (first[y] - first[a]) * (b - a):
                break
            lefts -= 1
        left[lefts] = y
        lefts += 1
        while rights >= 2:
            a, b = right[rights - 2], right[rights - 1]
            if (last[b] - last[a]) * (y - a) > (last[y] - last[a]) * (b - a):
                break
            rights -= 1
        right[rights] = y
        rights += 1
    return lefts, rights


@kernel
def _corners(mask: NDArray[np.bool_]) -> tuple[_I64, int]:
    """Corners (z, y, x) on the hull of their plane, rising, and how many there are."""
    depth, height, width = mask.shape
    first = np.full((depth + 1, height + 1), width + 1, np.int64)
    last = np.full((depth + 1, height + 1), -1, np.int64)
    for z in range(depth):
        for y in range(height):
            line = mask[z, y]
            x = 0
            while x < width and not line[x]:
                x += 1
            if x == width:
                continue
            end = width
            while not line[end - 1]:
                end -= 1
            for dz in range(2):
                for dy in range(2):
                    first[z + dz, y + dy] = min(first[z + dz, y + dy], x)
                    last[z + dz, y + dy] = max(last[z + dz, y + dy], end)
    points = np.empty((2 * (depth + 1) * (height + 1), 3), np.int64)
    left = np.empty(height + 1, np.int64)
    right = np.empty(height + 1, np.int64)
    count = 0
    for z in range(depth + 1):
        lefts, rights = _outline(first[z], last[z], left, right)
        i = 0
        k = 0
        while i < lefts or k < rights:
            y = left[i] if i < lefts else right[k]
            if k < rights:
                y = min(y, right[k])
            if i < lefts and left[i] == y:
                points[count, 0], points[count, 1], points[count, 2] = z, y, first[z, y]
                count += 1
                i += 1
            if k < rights and right[k] == y:
                points[count, 0], points[count, 1], points[count, 2] = z, y, last[z, y]
                count += 1
                k += 1
    return points, count


@kernel
def _beyond(points: _I64, facet: _I64, p: int) -> bool:
    """Whether a point is strictly outside of the plane of a facet."""
    a, b, c = facet[0], facet[1], facet[2]
    bz, by, bx = (
        points[b, 0] - points[a, 0],
        points[b, 1] - points[a, 1],
        points[b, 2] - points[a, 2],
    )
    cz, cy, cx = (
        points[c, 0] - points[a, 0],
        points[c, 1] - points[a, 1],
        points[c, 2] - points[a, 2],
    )
    pz, py, px = (
        points[p, 0] - points[a, 0],
        points[p, 1] - points[a, 1],
        points[p, 2] - points[a, 2],
    )
    seen: bool = pz * (by * cx - bx * cy) + py * (bx * cz - bz * cx) + px * (bz * cy - by * cz) > 0
    return seen


@kernel
def _ring(points: _I64, count: int) -> _I64:
    """Points of the first plane (given by rising y, x), around it."""
    ring = np.empty(count, np.int64)
    back = np.empty(count, np.int64)
    there = 0
    returning = 0
    for p in range(count):
        # the first of a row is on the left, the last on the right, unless the row has only one
        y, x = points[p, 1], points[p, 2]
        lefts = p + 1 < count and points[p + 1, 1] == y
        rights = p > 0 and points[p - 1, 1] == y
        if not lefts and not rights:
            # beside the line from the first point to the last of the same side
            low, high = points[0], points[count - 2]
            lefts = (x - low[2]) * (high[1] - low[1]) < (high[2] - low[2]) * (y - low[1])
        if lefts:
            ring[there] = p
            there += 1
        else:
            back[returning] = p
            returning += 1
    for k in range(returning):
        ring[there + k] = back[returning - 1 - k]
    return ring


@kernel
def _pyramid(points: _I64, ring: _I64, apex: int, facets: _I64, beside: _I64) -> int:
    """Begin with the first plane and a point of the next; return the number of facets."""
    size = ring.size
    facets[0, 0], facets[0, 1], facets[0, 2] = ring[0], ring[1], ring[2]
    if _beyond(points, facets[0], apex):
        ring[:] = ring[::-1].copy()
    base = size - 2  # facets of the first plane, a fan; then one per side
    for i in range(1, size - 1):
        f = i - 1
        facets[f, 0], facets[f, 1], facets[f, 2] = ring[0], ring[i], ring[i + 1]
        beside[f, 0] = f - 1 if i > 1 else base
        beside[f, 1] = base + i
        beside[f, 2] = f + 1 if i < size - 2 else base + size - 1
    for i in range(size):
        f = base + i
        after = (i + 1) % size
        facets[f, 0], facets[f, 1], facets[f, 2] = ring[after], ring[i], apex
        beside[f, 0] = 0 if i == 0 else (base - 1 if i == size - 1 else i - 1)
        beside[f, 1] = base + (i - 1) % size
        beside[f, 2] = base + after
    return base + size


@kernel
def _facets(points: _I64, count: int) -> tuple[_I64, NDArray[np.bool_]]:
    """Triangles of the hull, counter-clockwise from outside, and which rows hold one."""
    room = 4 * count + 16
    facets = np.empty((room, 3), np.int64)
    beside = np.empty((room, 3), np.int64)  # of edge k, from corner k to corner k + 1
    alive = np.zeros(room, np.bool_)
    seen = np.zeros(room, np.int64)  # the point that a facet was tested for, + if it sees it
    spare = np.empty(room, np.int64)
    spares = 0
    fresh = np.empty(room, np.int64)
    visible = np.empty(room, np.int64)
    starting = np.empty(count, np.int64)
    base = 1
    while points[base, 0] == points[0, 0]:
        base += 1
    used = _pyramid(points, _ring(points, base), base, facets, beside)
    alive[:used] = True
    news = 0
    for f in range(base - 2, used):
        fresh[news] = f
        news += 1
    for p in range(base + 1, count):
        sees = 0
        for k in range(news):  # the facets at the point before: one of them sees this one
            f = fresh[k]
            if _beyond(points, facets[f], p):
                visible[0] = f
                seen[f] = p
                sees = 1
                break
        news = 0
        done = 0
        while done < sees:
            f = visible[done]
            done += 1
            for k in range(3):
                g = beside[f, k]
                if seen[g] == p:
                    continue
                if seen[g] != -p:
                    if _beyond(points, facets[g], p):
                        seen[g] = p
                        visible[sees] = g
                        sees += 1
                        continue
                    seen[g] = -p
                if spares:
                    spares -= 1
                    new = spare[spares]
                else:
                    new = used
                    used += 1
                a, b = facets[f, k], facets[f, (k + 1) % 3]
                facets[new, 0], facets[new, 1], facets[new, 2] = a, b, p
                beside[new, 0] = g
                for side in range(3):
                    if facets[g, side] == b and facets[g, (side + 1) % 3] == a:
                        beside[g, side] = new
                alive[new] = True
                seen[new] = 0
                starting[a] = new
                fresh[news] = new
                news += 1
        for k in range(news):
            new = fresh[k]
            after = starting[facets[new, 1]]
            beside[new, 1] = after
            beside[after, 2] = new
        for k in range(sees):
            alive[visible[k]] = False
            spare[spares] = visible[k]
            spares += 1
    return facets[:used], alive[:used]


@kernel
def hull_3d(mask: NDArray[np.bool_], steps: _F64) -> tuple[float, float]:
    """Volume and surface of the hull of a mask (z, y, x) that is not empty."""
    points, count = _corners(mask)
    facets, alive = _facets(points, count)
    six = 0
    surface = 0.0
    for f in range(facets.shape[0]):
        if not alive[f]:
            continue
        a, b, c = points[facets[f, 0]], points[facets[f, 1]], points[facets[f, 2]]
        bz, by, bx = b[0] - a[0], b[1] - a[1], b[2] - a[2]
        cz, cy, cx = c[0] - a[0], c[1] - a[1], c[2] - a[2]
        nz, ny, nx = by * cx - bx * cy, bx * cz - bz * cx, bz * cy - by * cz
        six += a[0] * nz + a[1] * ny + a[2] * nx
        wz, wy, wx = nz * steps[1] * steps[2], ny * steps[0] * steps[2], nx * steps[0] * steps[1]
        surface += 0.5 * np.sqrt(wz * wz + wy * wy + wx * wx)
    return six / 6.0 * steps[0] * steps[1] * steps[2], surface


@kernel
def hull_2d(mask: NDArray[np.bool_], steps: _F64) -> tuple[float, float]:
    """Area and perimeter of the hull of a mask (1, y, x) that is not empty; `steps` are (y, x)."""
    points, count = _corners(mask)
    ring = _ring(points, count // 2)  # both planes of corners are the same
    two = 0
    around = 0.0
    for k in range(ring.size):
        a, b = points[ring[k]], points[ring[(k + 1) % ring.size]]
        two += a[1] * b[2] - a[2] * b[1]
        dy, dx = (b[1] - a[1]) * steps[0], (b[2] - a[2]) * steps[1]
        around += np.sqrt(dy * dy + dx * dx)
    return abs(two) / 2.0 * steps[0] * steps[1], around
