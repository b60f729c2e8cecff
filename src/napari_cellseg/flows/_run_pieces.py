"""Connected pieces of instances, from runs; and the boxes of what is kept."""

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._basins import unite
from napari_cellseg.flows._jit import kernel, run_chunks
from napari_cellseg.flows._runs import Runs, parts_of


def pieces(
    runs: Runs, label: NDArray[np.int32], height: int, highest: int, least: int, threads: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Leave every instance one connected piece (full connectivity).

    Parameters
    ----------
    runs : Runs
    label : numpy.ndarray, int32, shape (n,)
        Instance of each run; changed. Pieces other than the largest are set to 0, except that one
        of at least `least` voxels and half of the largest becomes an instance of its own, with ids
        above `highest`.
    height : int
        Rows of a plane.
    highest : int
        Highest instance.
    least : int
        Voxels.
    threads : int, optional
        Number of threads. The result does not depend on it.

    Returns
    -------
    lost, size : numpy.ndarray, int64, shape (k,)
        First run and voxels of each piece set to 0.
    highest : int
        New highest id.
    """
    parent = np.arange(label.size, dtype=np.int32)
    rows = parts_of(runs.row.size - 1, threads, 64)

    def work(part: tuple[int, int]) -> None:
        _unite_faces(parent, label, runs.left, runs.right, runs.row, height, part[0], part[1], True)

    run_chunks(work, rows, threads)
    for start, _ in rows[1:]:  # what the parts did not look at: across their ends
        stop = min(start + height, runs.row.size - 1)
        _unite_faces(parent, label, runs.left, runs.right, runs.row, height, start, stop, False)
    size = np.empty(label.size, np.int32)
    main = np.empty(highest + 1, np.int32)
    if not _sizes(parent, label, runs.left, runs.right, size, main):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), highest

    def beside(part: tuple[int, int]) -> NDArray[np.int32]:
        room = 1 << 12
        while True:
            out = np.empty((room, 2), np.int32)
            lists = (parent, label, runs.left, runs.right, runs.row)
            count = _diagonals(*lists, height, main, part[0], part[1], out)
            if count <= room:
                return out[:count]
            room = count

    for pairs in run_chunks(beside, rows, threads):
        _unite_pairs(parent, pairs)
    if not _sizes(parent, label, runs.left, runs.right, size, main):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), highest
    return _sort_out(parent, label, size, main, highest, least)


@kernel
def _unite_faces(
    parent: NDArray[np.int32],
    label: NDArray[np.int32],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    row: NDArray[np.int32],
    height: int,
    start: int,
    stop: int,
    inner: bool,
) -> None:
    """Unite runs of one label that touch by a face, of rows `start` to `stop`.

    With `inner`, where both rows are in this range; else where the earlier row is before it.
    """
    for r in range(start, stop):
        here = (row[r], row[r + 1])
        if here[0] == here[1]:
            continue
        if inner:
            for k in range(here[0] + 1, here[1]):
                if label[k] == label[k - 1] and left[k] == right[k - 1] + 1:
                    unite(parent, k - 1, k)
        if r % height > 0 and (r > start if inner else r == start):
            _unite_rows(parent, label, left, right, here, (row[r - 1], here[0]))
        above = r - height
        if above >= 0 and (above >= start) == inner:
            _unite_rows(parent, label, left, right, here, (row[above], row[above + 1]))


@kernel
def _unite_rows(
    parent: NDArray[np.int32],
    label: NDArray[np.int32],
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
            if label[other] == label[k]:
                unite(parent, other, k)
            other += 1


@kernel
def _diagonals(
    parent: NDArray[np.int32],
    label: NDArray[np.int32],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    row: NDArray[np.int32],
    height: int,
    main: NDArray[np.int32],
    start: int,
    stop: int,
    out: NDArray[np.int32],
) -> int:
    """List what touches at an edge or a corner, of the runs outside of main pieces.

    Of rows `start` to `stop`. Returns how many there are; what has no room is only counted.
    """
    rows = row.size - 1
    count = 0
    for r in range(start, stop):
        z, y = r // height, r % height
        for k in range(row[r], row[r + 1]):
            if parent[k] == main[label[k]]:
                continue
            for zz in range(max(0, z - 1), min(rows // height, z + 2)):
                for yy in range(max(0, y - 1), min(height, y + 2)):
                    there = zz * height + yy
                    lo, hi = row[there], row[there + 1]
                    last = hi
                    while lo < hi:  # the first run that does not end before this one begins
                        middle = (lo + hi) >> 1
                        if right[middle] < left[k] - 1:
                            lo = middle + 1
                        else:
                            hi = middle
                    for other in range(lo, last):
                        if left[other] > right[k] + 1:
                            break
                        if label[other] == label[k] and parent[other] != parent[k]:
                            if count < out.shape[0]:
                                out[count, 0], out[count, 1] = other, k
                            count += 1
    return count


@kernel
def _unite_pairs(parent: NDArray[np.int32], pairs: NDArray[np.int32]) -> None:
    for k in range(pairs.shape[0]):
        unite(parent, pairs[k, 0], pairs[k, 1])


@kernel
def _sizes(
    parent: NDArray[np.int32],
    label: NDArray[np.int32],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
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
        size[parent[k]] += right[k] - left[k] + 1
    several = False
    for k in range(parent.size):
        if parent[k] == k:
            mine = label[k]
            if main[mine] != -1:
                several = True
            if main[mine] == -1 or size[k] > size[main[mine]]:
                main[mine] = k
    return several


@kernel
def _sort_out(
    parent: NDArray[np.int32],
    label: NDArray[np.int32],
    size: NDArray[np.int32],
    main: NDArray[np.int32],
    highest: int,
    least: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Keep, promote or drop each piece; see `pieces`."""
    new = np.zeros(label.size, np.int32)  # new id of a piece, at its root; -1: dropped
    lost = np.empty(label.size, np.int64)
    n_lost = 0
    for k in range(label.size):
        if parent[k] != k or main[label[k]] == k:
            continue
        if size[k] >= least and 2 * size[k] >= size[main[label[k]]]:
            highest += 1
            new[k] = highest
        else:
            new[k] = -1
            lost[n_lost] = k
            n_lost += 1
    for k in range(label.size):
        other = new[parent[k]]
        if other != 0:
            label[k] = max(other, 0)
    lost = lost[:n_lost].copy()
    return lost, size[lost].astype(np.int64), highest
