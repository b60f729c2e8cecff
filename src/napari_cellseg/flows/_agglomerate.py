"""Kernels: unite nodes of a graph across the borders that part least, one union at a time.

Every edge waits in a heap by its margin (`_margin`). After a union only the edges that were added
up are judged anew, and all edges of the grown node once it has grown by a sixteenth; what waits
with an old margin is judged again when its turn comes. The edges of the node with fewer of them
move: so the work is about E log E, however many nodes meet in one place.
"""

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._basins import find
from napari_cellseg.flows._jit import kernel

_GROWN = 1.0625  # a node that has grown by this factor has all its edges judged anew

# How far a border parts two nodes is in units of the flow: 0 not at all, 2 entirely. The weights
# and limits below were fitted to noisy fields of packed ellipsoids and rods, isotropic and not.
_BY_FACES, _BY_CENTRES = 0.85, 0.38  # weights of the two measures of parting
# Cells are compact: the distance of the centres counts, in cube roots of the larger volume, and
# what of it is beyond a share of the typical cell. No further than for two cells side by side,
# since parts of a rod are farther apart and yet one cell.
_APART, _APART_MOST = 0.125, 1.1
_FAR, _FAR_FROM, _FAR_MOST = 0.23, 0.75, 0.35
_NARROW = 0.11  # per e-fold of the border over the smaller node's cross-section: a neck parts
_LIMIT = 0.2  # above it two cells are parted
_LIMIT_INSIDE = 0.53  # the same between parts of one basin, which shared a sink after all
_NECK = 0.25  # borders smaller than this share of a basin's cross-section join nothing
_SHORT = 0.05  # flows shorter than this say nothing
_SCRAP, _TYPICAL_SCRAP = 0.19, 0.1  # what is smaller than this share of what is beside, and of a
# typical cell, was more likely torn off by noise than it is a cell: it is united as readily as a
# part of it. Without the second share a large heap of cells would take one cell after the other
CRUMB = 0.1  # parts smaller than this share of their basin, or of what is beside, stay with it
_ALWAYS = 8.0  # more than any border parts


@kernel
def _margin(
    border: NDArray[np.float64],
    a: int,
    b: int,
    volume: NDArray[np.float64],
    length: NDArray[np.float64],
    count: NDArray[np.int64],
    moment: NDArray[np.int64],
    crumb: NDArray[np.float64],
    steps: NDArray[np.float64],
    power: float,
    typical: float,
) -> float:
    """How far a border parts more than it may; infinite where it joins nothing.

    How far it parts is measured along the normal of each face, best in noise, and along the line
    between the centres of both nodes, right where planes are so coarse that the flow turns between
    two of them. Whether the union would be compact, and no larger than cells are, counts too: in
    noise it decides, and in a clean field borders part so much, or so little, that it does not.
    """
    area = border[0]
    inside = border[5] / area
    small, large = min(volume[a], volume[b]), max(volume[a], volume[b])
    neck = area / small**power
    mostly = inside > 0.5
    if not mostly and neck < _NECK:
        return np.inf
    along, square = 0.0, 0.0
    for axis in range(3):
        # from a whole voxel near a, so that it is the same to the bit wherever the volume lies
        origin = moment[a, axis] // count[a]
        way = (moment[b, axis] - count[b] * origin) / count[b]
        way -= (moment[a, axis] - count[a] * origin) / count[a]
        way *= steps[axis]
        along += border[1 + axis] * way
        square += way * way
    distance = np.sqrt(square)
    mean = max((length[a] + length[b]) / (volume[a] + volume[b]), _SHORT)
    parting = _BY_FACES * border[4] + _BY_CENTRES * along / max(distance, 1e-9)
    margin = parting / (area * mean)
    margin += _APART * min(distance / large ** (1.0 - power), _APART_MOST)
    far = distance / typical ** (1.0 - power) - _FAR_FROM
    margin += _FAR * min(max(far, 0.0), _FAR_MOST)
    margin -= _NARROW * min(max(np.log(neck), -1.5), 1.5)
    scrap = small < min(_SCRAP * large, _TYPICAL_SCRAP * typical)
    margin -= _LIMIT + (_LIMIT_INSIDE - _LIMIT) * (1.0 if scrap else inside)
    if mostly and (volume[a] < crumb[a] or volume[b] < crumb[b] or small < CRUMB * large):
        margin -= _ALWAYS
    return float(margin)


@kernel
def _before(score: NDArray[np.float64], e: int, f: int) -> bool:
    return bool(score[e] < score[f] or (score[e] == score[f] and e < f))


@kernel
def _sift(
    heap: NDArray[np.int32],
    place: NDArray[np.int32],
    score: NDArray[np.float64],
    size: int,
    at: int,
) -> None:
    """Move the edge at place `at` of the heap up or down to where it belongs."""
    edge = heap[at]
    while at > 0 and _before(score, edge, heap[(at - 1) >> 1]):
        heap[at] = heap[(at - 1) >> 1]
        place[heap[at]] = at
        at = (at - 1) >> 1
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and _before(score, heap[child + 1], heap[child]):
            child += 1
        if not _before(score, heap[child], edge):
            break
        heap[at] = heap[child]
        place[heap[at]] = at
        at = child
    heap[at] = edge
    place[edge] = at


@kernel
def _file(
    heap: NDArray[np.int32],
    place: NDArray[np.int32],
    score: NDArray[np.float64],
    size: int,
    edge: int,
    margin: float,
) -> int:
    """Put an edge where its margin belongs: into the heap if it is negative, else out of it."""
    score[edge] = margin
    at = place[edge]
    if margin < 0:
        if at < 0:
            at = size
            heap[at] = edge
            place[edge] = at
            size += 1
        _sift(heap, place, score, size, at)
    elif at >= 0:
        size -= 1
        place[edge] = -1
        if at < size:
            heap[at] = heap[size]
            place[heap[at]] = at
            _sift(heap, place, score, size, at)
    return size


@kernel
def _slot(table: NDArray[np.int32], ends: NDArray[np.int32], a: int, b: int) -> int:
    """Slot of the edge between two nodes in an open-addressing table, or a free one for it."""
    mask = table.size - 1
    at = _home(a, b, mask)
    while table[at] >= 0:
        u, v = ends[table[at], 0], ends[table[at], 1]
        if (u == a and v == b) or (u == b and v == a):
            break
        at = (at + 1) & mask
    return at


@kernel
def _home(a: int, b: int, mask: int) -> int:
    key = np.int64(min(a, b)) * 0x9E3779B1 + np.int64(max(a, b)) * 0x85EBCA77
    return int((key ^ (key >> 15)) & mask)


@kernel
def _remove(table: NDArray[np.int32], ends: NDArray[np.int32], at: int) -> None:
    """Empty a slot, and move what was pushed on because of it back."""
    mask = table.size - 1
    free = at
    while True:
        at = (at + 1) & mask
        if table[at] < 0:
            break
        home = _home(ends[table[at], 0], ends[table[at], 1], mask)
        if ((at - home) & mask) >= ((at - free) & mask):
            table[free] = table[at]
            free = at
    table[free] = -1


@kernel
def agglomerate(
    ends: NDArray[np.int32],
    border: NDArray[np.float64],
    volume: NDArray[np.float64],
    length: NDArray[np.float64],
    count: NDArray[np.int64],
    moment: NDArray[np.int64],
    crumb: NDArray[np.float64],
    steps: NDArray[np.float64],
    power: float,
    typical: float,
    table: NDArray[np.int32],
    owner: NDArray[np.int64],
) -> int:
    """Unite, best edge first, until no edge has a negative margin. All arrays are changed.

    `ends` (k, 2) are the nodes of each edge and `border` (k, 6) what is added up over it: area;
    flow in the second node minus flow in the first, along z, y and x; how far it parts face by
    face; area inside one basin. `typical` is the volume of a typical cell. `table` is -1, a power
    of two and at least 2 k long. `owner` gets the lowest node that each one is united with.
    Returns how many times an edge was judged.
    """
    n_edges, n_nodes = ends.shape[0], volume.size
    parent = np.arange(n_nodes).astype(np.int32)
    lowest = np.arange(n_nodes).astype(np.int32)
    # half-edges 2 e and 2 e + 1 of each node as linked lists
    head = np.full(n_nodes, -1, np.int32)
    degree = np.zeros(n_nodes, np.int32)
    after = np.full(2 * n_edges, -1, np.int32)
    alive = np.ones(n_edges, np.bool_)
    judged_at = volume.copy()
    heap = np.empty(n_edges, np.int32)
    place = np.full(n_edges, -1, np.int32)
    score = np.empty(n_edges, np.float64)
    size = 0
    judged = 0
    for e in range(n_edges):
        for side in range(2):
            node = ends[e, side]
            after[2 * e + side] = head[node]
            head[node] = 2 * e + side
            degree[node] += 1
        table[_slot(table, ends, ends[e, 0], ends[e, 1])] = e
    fresh = True
    while fresh:
        fresh = False
        for e in range(n_edges):
            if alive[e]:
                judged += 1
                a, b = ends[e, 0], ends[e, 1]
                margin = _margin(
                    border[e], a, b, volume, length, count, moment, crumb, steps, power, typical
                )
                size = _file(heap, place, score, size, e, margin)
        while size:
            e = heap[0]
            a, b = ends[e, 0], ends[e, 1]
            judged += 1
            margin = _margin(
                border[e], a, b, volume, length, count, moment, crumb, steps, power, typical
            )
            if margin > score[e]:  # worse than when it was filed
                size = _file(heap, place, score, size, e, margin)
                continue
            fresh = True
            size = _file(heap, place, score, size, e, np.inf)
            alive[e] = False
            _remove(table, ends, _slot(table, ends, a, b))
            if degree[a] < degree[b]:
                a, b = b, a
            # b becomes part of a
            parent[b] = a
            volume[a] += volume[b]
            length[a] += length[b]
            count[a] += count[b]
            for axis in range(3):
                moment[a, axis] += moment[b, axis]
            if lowest[b] < lowest[a]:
                lowest[a] = lowest[b]
                crumb[a] = crumb[b]
            h = head[b]
            while h >= 0:
                following = after[h]
                f = h >> 1
                if alive[f]:
                    side = h & 1
                    c = ends[f, 1 - side]
                    _remove(table, ends, _slot(table, ends, b, c))
                    ends[f, side] = a
                    at = _slot(table, ends, a, c)
                    g = table[at]
                    if g >= 0:
                        sign = 1.0 if ends[g, 0] == ends[f, 0] else -1.0
                        border[g, 0] += border[f, 0]
                        for k in range(1, 4):
                            border[g, k] += sign * border[f, k]
                        border[g, 4] += border[f, 4]
                        border[g, 5] += border[f, 5]
                        alive[f] = False
                        size = _file(heap, place, score, size, f, np.inf)
                    else:
                        g = f
                        table[at] = f
                        after[h] = head[a]
                        head[a] = h
                        degree[a] += 1
                    judged += 1
                    margin = _margin(
                        border[g],
                        ends[g, 0],
                        ends[g, 1],
                        volume,
                        length,
                        count,
                        moment,
                        crumb,
                        steps,
                        power,
                        typical,
                    )
                    size = _file(heap, place, score, size, g, margin)
                h = following
            if volume[a] >= _GROWN * judged_at[a]:
                judged_at[a] = volume[a]
                before = -1
                h = head[a]
                while h >= 0:
                    f = h >> 1
                    if alive[f]:
                        judged += 1
                        margin = _margin(
                            border[f],
                            ends[f, 0],
                            ends[f, 1],
                            volume,
                            length,
                            count,
                            moment,
                            crumb,
                            steps,
                            power,
                            typical,
                        )
                        size = _file(heap, place, score, size, f, margin)
                        before = h
                    else:  # leave out what is gone
                        degree[a] -= 1
                        if before < 0:
                            head[a] = after[h]
                        else:
                            after[before] = after[h]
                    h = after[h]
    for node in range(n_nodes):
        owner[node] = lowest[find(parent, node)]
    return judged
