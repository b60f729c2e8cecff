"""Kernels: connected pieces of instances, found by runs of voxels instead of voxel by voxel."""

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._basins import unite
from napari_cellseg.flows._jit import kernel


@kernel
def _count_runs(voxels: NDArray[np.integer], label: NDArray[np.int32], width: int) -> int:
    """How many runs there are: neighbours along x, of one label, in one row."""
    count = 0
    last_voxel, last_label, row_end = np.int64(-2), 0, np.int64(0)
    for i in range(voxels.size):
        mine, p = label[i], np.int64(voxels[i])
        if mine != 0 and (mine != last_label or p != last_voxel + 1 or p >= row_end):
            count += 1
            row_end = (p // width + 1) * width
        last_voxel, last_label = p, mine
    return count


@kernel
def _runs(
    voxels: NDArray[np.integer], label: NDArray[np.int32], rows: int, width: int, count: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """List the runs in raster order.

    Returns the first index into `voxels` of each run, its first and its last x, and for each row of
    the volume (and one more) the number of its first run.
    """
    first = np.empty(count, np.int32)
    left = np.empty(count, np.int32)
    right = np.empty(count, np.int32)
    row_start = np.zeros(rows + 1, np.int32)
    k = -1
    last_voxel, last_label, row_end = np.int64(-2), 0, np.int64(0)
    filled = 0  # rows whose first run is known
    for i in range(voxels.size):
        mine, p = label[i], np.int64(voxels[i])
        if mine != 0:
            if mine != last_label or p != last_voxel + 1 or p >= row_end:
                k += 1
                row = p // width
                row_end = (row + 1) * width
                while filled <= row:
                    row_start[filled] = k
                    filled += 1
                first[k] = i
                left[k] = p - row * width
            right[k] = p - row_end + width
        last_voxel, last_label = p, mine
    while filled <= rows:
        row_start[filled] = count
        filled += 1
    return first, left, right, row_start


@kernel
def _unite_rows(
    parent: NDArray[np.int32],
    ids: NDArray[np.int32],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    here: tuple[int, int],
    there: tuple[int, int],
) -> None:
    """Unite runs of one label that overlap in x, of two rows."""
    j = there[0]
    for k in range(here[0], here[1]):
        while j < there[1] and right[j] < left[k]:
            j += 1
        other = j
        while other < there[1] and left[other] <= right[k]:
            if ids[other] == ids[k]:
                unite(parent, other, k)
            other += 1


@kernel
def _sizes(
    parent: NDArray[np.int32],
    ids: NDArray[np.int32],
    lengths: NDArray[np.int32],
    highest: int,
    size: NDArray[np.int32],
    main: NDArray[np.int32],
) -> bool:
    """Fill the size of each piece, at its root, and the root of the largest one of each label.

    Returns whether a label has several pieces.
    """
    size[:] = 0
    main[:] = -1
    for k in range(parent.size):
        parent[k] = parent[parent[k]]  # roots come first: now every parent is a root
        size[parent[k]] += lengths[k]
    several = False
    for k in range(parent.size):
        if size[k] > 0:
            mine = ids[k]
            if main[mine] != -1:
                several = True
            if main[mine] == -1 or size[k] > size[main[mine]]:
                main[mine] = k
    return several


@kernel
def _unite_diagonally(
    parent: NDArray[np.int32],
    ids: NDArray[np.int32],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    row_start: NDArray[np.int32],
    height: int,
    main: NDArray[np.int32],
) -> None:
    """Unite what touches at an edge or a corner, of the runs outside of main pieces."""
    rows = row_start.size - 1
    row = 0
    for k in range(parent.size):
        while row_start[row + 1] <= k:
            row += 1
        if parent[k] == main[ids[k]]:
            continue
        z, y = row // height, row % height
        for zz in range(max(0, z - 1), min(rows // height, z + 2)):
            for yy in range(max(0, y - 1), min(height, y + 2)):
                r = zz * height + yy
                lo, hi = row_start[r], row_start[r + 1]
                while lo < hi:  # the first run that does not end before this one begins
                    middle = (lo + hi) // 2
                    if right[middle] < left[k] - 1:
                        lo = middle + 1
                    else:
                        hi = middle
                while lo < row_start[r + 1] and left[lo] <= right[k] + 1:
                    if ids[lo] == ids[k]:
                        unite(parent, k, lo)
                    lo += 1


@kernel
def pieces(
    voxels: NDArray[np.integer],
    label: NDArray[np.int32],
    canvas: NDArray[np.int32],
    highest: int,
    least: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Leave every instance one connected piece (full connectivity).

    `label` holds the instance of each voxel and `canvas` (z, y, x) the same, painted; both are
    changed. Pieces other than the largest are set to 0, except that one of at least `least`
    voxels and half of the largest becomes an instance of its own, with ids above `highest`.
    Returns the first voxel and the size of each piece set to 0, and the new highest id.
    """
    depth, height, width = canvas.shape
    flat = canvas.reshape(-1)
    rows = depth * height
    count = _count_runs(voxels, label, width)
    first, left, right, row_start = _runs(voxels, label, rows, width, count)
    ids = np.empty(count, np.int32)
    for k in range(count):
        ids[k] = label[first[k]]
    lengths = right - left + np.int32(1)
    parent = np.arange(count).astype(np.int32)
    for row in range(rows):
        here = (row_start[row], row_start[row + 1])
        if here[0] == here[1]:
            continue
        if row % height > 0:
            _unite_rows(parent, ids, left, right, here, (row_start[row - 1], here[0]))
        if row >= height:
            above = (row_start[row - height], row_start[row - height + 1])
            _unite_rows(parent, ids, left, right, here, above)
    size = np.empty(count, np.int32)
    main = np.empty(highest + 1, np.int32)
    several = _sizes(parent, ids, lengths, highest, size, main)
    if several:
        _unite_diagonally(parent, ids, left, right, row_start, height, main)
        several = _sizes(parent, ids, lengths, highest, size, main)
    lost = np.empty(count if several else 0, np.int64)
    lost_size = np.empty(lost.size, np.int64)
    n_lost = 0
    if several:
        new = np.zeros(count, np.int32)  # new id of a piece, at its root; -1: dropped
        for k in range(count):
            if size[k] == 0 or main[ids[k]] == k:
                continue
            if size[k] >= least and 2 * size[k] >= size[main[ids[k]]]:
                highest += 1
                new[k] = highest
                continue
            new[k] = -1
            lost[n_lost] = first[k]
            lost_size[n_lost] = size[k]
            n_lost += 1
        for k in range(count):
            other = new[parent[k]]
            if other != 0:
                for i in range(first[k], first[k] + lengths[k]):
                    label[i] = max(other, 0)
                    flat[voxels[i]] = label[i]
    return lost[:n_lost].copy(), lost_size[:n_lost].copy(), highest
