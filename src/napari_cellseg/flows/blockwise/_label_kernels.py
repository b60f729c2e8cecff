"""Kernels: lists of voxels and pieces that came from many blocks."""

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._basins import find, unite
from napari_cellseg.flows._jit import kernel


@kernel
def lowest_on_way(
    pointers: NDArray[np.int32], starts: NDArray[np.int64], ends: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Lowest index on the way from each of `starts` to its end, the end not counted."""
    out = np.empty(starts.size, np.int32)
    for k in range(starts.size):
        here = np.int64(starts[k])
        low = here
        while here != ends[k]:
            low = min(low, here)
            here = np.int64(pointers[here])
        out[k] = low
    return out


@kernel
def link_terminals(
    terminals: NDArray[np.int64], offsets: NDArray[np.int64], shape: tuple[int, int, int]
) -> NDArray[np.int64]:
    """Group terminals within `offsets` of each other; number the groups in raster order, from 1.

    `terminals` are ascending raster indices in a volume of `shape`; `offsets` (z, y, x) go forward
    in raster order.
    """
    depth, height, width = shape
    count = terminals.size
    parent = np.arange(count)
    for o in range(offsets.shape[0]):
        dz, dy, dx = offsets[o, 0], offsets[o, 1], offsets[o, 2]
        ahead = (dz * height + dy) * width + dx
        j = 0
        for k in range(count):
            p = terminals[k]
            z, y, x = p // (height * width), p // width % height, p % width
            if not (0 <= z + dz < depth and 0 <= y + dy < height and 0 <= x + dx < width):
                continue
            while j < count and terminals[j] < p + ahead:
                j += 1
            if j < count and terminals[j] == p + ahead:
                unite(parent, k, j)
    number = np.zeros(count, np.int64)
    groups = 0
    for k in range(count):
        root = find(parent, k)
        if root == k:
            groups += 1
            number[k] = groups
        else:
            number[k] = number[root]
    return number


@kernel
def united(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Lowest number that each of 0..count-1 is connected with by `pairs`."""
    parent = np.arange(count)
    for k in range(pairs.shape[0]):
        unite(parent, pairs[k, 0], pairs[k, 1])
    for k in range(count):
        parent[k] = parent[parent[k]]  # roots come first: now every parent is a root
    return parent


@kernel
def number_roots(parent: NDArray[np.int32]) -> tuple[NDArray[np.int32], int]:
    """Number the trees of a forest from 0, by their roots, which come first; and how many."""
    number = np.empty(parent.size, np.int32)
    count = 0
    for k in range(parent.size):
        parent[k] = parent[parent[k]]
        if parent[k] == k:
            number[k] = count
            count += 1
        else:
            number[k] = number[parent[k]]
    return number, count


@kernel
def touching(
    canvas: NDArray[np.int32],
    voxels: NDArray[np.int64],
    piece: NDArray[np.int64],
    instance: NDArray[np.int64],
    own_instance: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Pairs (own piece, other piece) of one instance that touch at a face, edge or corner.

    `canvas` (z, y, x) holds own pieces, from 1, within a border of one voxel of zeros; `voxels`
    are raster indices in it of voxels of others, with the piece and instance of each.
    """
    _, height, width = canvas.shape
    out = np.empty((64, 2), np.int64)
    count = 0
    for k in range(voxels.size):
        p = voxels[k]
        z, y, x = p // (height * width), p // width % height, p % width
        last = -1
        for zz in range(max(0, z - 1), min(canvas.shape[0], z + 2)):
            for yy in range(max(0, y - 1), min(height, y + 2)):
                for xx in range(max(0, x - 1), min(width, x + 2)):
                    mine = canvas[zz, yy, xx] - 1
                    if mine < 0 or mine == last or own_instance[mine] != instance[k]:
                        continue
                    last = mine
                    if count and out[count - 1, 0] == mine and out[count - 1, 1] == piece[k]:
                        continue
                    if count == out.shape[0]:
                        larger = np.empty((2 * count, 2), np.int64)
                        larger[:count] = out
                        out = larger
                    out[count, 0], out[count, 1] = mine, piece[k]
                    count += 1
    return out[:count].copy()


@kernel
def paint_runs(
    row: NDArray[np.int32],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    label: NDArray[np.unsignedinteger],
    canvas: NDArray[np.unsignedinteger],
) -> None:
    """Write the label of each run into the zeroed `canvas` (z, y, x)."""
    height = canvas.shape[1]
    for k in range(row.size):
        if label[k] != 0:
            canvas[row[k] // height, row[k] % height, left[k] : right[k] + 1] = label[k]


@kernel
def fill_gaps(
    owner: NDArray[np.int64],
    z: NDArray[np.int64],
    y: NDArray[np.int64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    origin: NDArray[np.int64],
    canvas: NDArray[np.unsignedinteger],
) -> NDArray[np.int64]:
    """Write the owner of each gap where `canvas` is 0, the first ones first.

    `canvas` begins at voxel `origin`. Returns, for each gap, the voxels written and the sums of
    their z, y, x.
    """
    depth, height, width = canvas.shape
    out = np.zeros((owner.size, 4), np.int64)
    for k in range(owner.size):
        zz, yy = z[k] - origin[0], y[k] - origin[1]
        if not (0 <= zz < depth and 0 <= yy < height):
            continue
        for xx in range(max(0, left[k] - origin[2]), min(width, right[k] + 1 - origin[2])):
            if canvas[zz, yy, xx] == 0:
                canvas[zz, yy, xx] = owner[k]
                out[k, 0] += 1
                out[k, 1] += z[k]
                out[k, 2] += y[k]
                out[k, 3] += xx + origin[2]
    return out


@kernel
def join_runs(
    label: NDArray[np.int32],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    row: NDArray[np.int32],
    height: int,
) -> NDArray[np.int32]:
    """Forest of runs of one label that touch at a face, edge or corner; roots come first.

    `row` has the first run of each row of the volume, and one more.
    """
    parent = np.arange(label.size).astype(np.int32)
    for r in range(row.size - 1):
        start, stop = row[r], row[r + 1]
        for k in range(start + 1, stop):
            if label[k] == label[k - 1] and left[k] == right[k - 1] + 1:
                unite(parent, k - 1, k)
        z, y = r // height, r % height
        for dz, dy in ((0, -1), (-1, -1), (-1, 0), (-1, 1)):
            if start == stop or z + dz < 0 or not 0 <= y + dy < height:
                continue
            there = r + dz * height + dy
            j, end = row[there], row[there + 1]
            for k in range(start, stop):
                while j < end and right[j] < left[k] - 1:
                    j += 1
                other = j
                while other < end and left[other] <= right[k] + 1:
                    if label[other] == label[k]:
                        unite(parent, other, k)
                    other += 1
    return parent
