"""Holes that instances enclose, found by runs; only gaps between the runs of a row can be any."""

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._basins import find, unite
from napari_cellseg.flows._jit import kernel, run_chunks
from napari_cellseg.flows._runs import Runs, parts_of


def fill_holes(
    runs: Runs,
    label: NDArray[np.int32],
    canvas: NDArray[np.int32],
    highest: int,
    planar: bool,
    threads: int | None,
) -> NDArray[np.int64]:
    """Fill the background that each instance encloses (face connectivity).

    Parameters
    ----------
    runs : Runs
    label : numpy.ndarray, int32, shape (n,)
        Instance of each run, 0 for none.
    canvas : numpy.ndarray, int32, shape (z, y, x)
        The labels, painted; changed. What is enclosed but belongs to another instance stays; what
        several enclose is the one's with the lowest id.
    highest : int
        Highest instance.
    planar : bool
        Whether the volume is a plane, which does not reach above and below itself.
    threads : int, optional
        Number of threads. The result does not depend on it.

    Returns
    -------
    numpy.ndarray, int64, shape (k,)
        Raster index of each voxel that was filled.
    """
    height = canvas.shape[1]
    start, order, rows = _by_instance(label, runs.row, highest)
    gaps = _gapped(start, order, rows, runs.left, runs.right)
    ids = np.flatnonzero(gaps).astype(np.int32)

    def work(part: tuple[int, int]) -> NDArray[np.int32]:
        chosen = ids[part[0] : part[1]]
        return enclosed_gaps(chosen, start, order, rows, runs.left, runs.right, height, planar)

    found = run_chunks(work, parts_of(ids.size, threads, 16), threads)
    return _fill(np.concatenate(found), canvas)


@kernel
def _fill(gaps: NDArray[np.int32], canvas: NDArray[np.int32]) -> NDArray[np.int64]:
    """Write the owner of each gap where `canvas` is 0, the first ones first; see `fill_holes`."""
    width = canvas.shape[2]
    flat = canvas.reshape(-1)
    filled = np.empty(256, np.int64)
    count = 0
    for g in range(gaps.shape[0]):
        base = np.int64(gaps[g, 1]) * width
        for p in range(base + gaps[g, 2], base + gaps[g, 3] + 1):
            if flat[p] == 0:
                flat[p] = gaps[g, 0]
                if count == filled.size:
                    larger = np.empty(2 * count, np.int64)
                    larger[:count] = filled
                    filled = larger
                filled[count] = p
                count += 1
    return filled[:count].copy()


@kernel
def _by_instance(
    label: NDArray[np.int32], row: NDArray[np.int32], highest: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Runs sorted by instance: begin of each instance, the runs, and their rows."""
    start = np.zeros(highest + 2, np.int32)
    for k in range(label.size):
        start[label[k] + 1] += 1
    start[1] = 0
    for number in range(1, highest + 2):
        start[number] += start[number - 1]
    place = start[: highest + 1].copy()
    order = np.empty(start[highest + 1], np.int32)
    rows = np.empty(order.size, np.int32)
    for r in range(row.size - 1):
        for k in range(row[r], row[r + 1]):
            mine = label[k]
            if mine > 0:
                order[place[mine]] = k
                rows[place[mine]] = r
                place[mine] += 1
    return start, order, rows


@kernel
def _gapped(
    start: NDArray[np.int32],
    order: NDArray[np.int32],
    rows: NDArray[np.int32],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
) -> NDArray[np.bool_]:
    """Which instances have a gap between two of their runs in a row."""
    out = np.zeros(start.size - 1, np.bool_)
    for number in range(1, start.size - 1):
        for q in range(start[number] + 1, start[number + 1]):
            if rows[q] == rows[q - 1] and left[order[q]] > right[order[q - 1]] + 1:
                out[number] = True
                break
    return out


@kernel
def enclosed_gaps(
    ids: NDArray[np.int32],
    start: NDArray[np.int32],
    order: NDArray[np.int32],
    rows: NDArray[np.int32],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    height: int,
    planar: bool,
) -> NDArray[np.int32]:
    """Gaps between the runs of a row that each of `ids` encloses, whatever lies in them.

    Rows (owner, row, first x, last x), in the order of `ids`. They depend on its own runs only.
    """
    found = np.empty((64, 4), np.int32)
    count = 0
    for mine in ids:
        first, last = start[mine], start[mine + 1]
        # the gaps of all rows, in raster order
        gap_row = np.empty(last - first, np.int32)
        gap_left = np.empty(last - first, np.int32)
        gap_right = np.empty(last - first, np.int32)
        gaps = 0
        for q in range(first + 1, last):
            a, b = order[q - 1], order[q]
            if rows[q] == rows[q - 1] and left[b] > right[a] + 1:
                gap_row[gaps] = rows[q]
                gap_left[gaps] = right[a] + 1
                gap_right[gaps] = left[b] - 1
                gaps += 1
        parent = np.arange(gaps + 1).astype(np.int32)  # 0 is outside, g + 1 is gap g
        for axis in range(1 if planar else 2):
            step = 1 if axis == 0 else height
            for way in (-1, 1):
                at_run, at_gap = first, 0  # both only move on: gaps are in raster order
                for g in range(gaps):
                    there = gap_row[g] + way * step
                    while at_run < last and rows[at_run] < there:
                        at_run += 1
                    absent = at_run == last or rows[at_run] != there
                    # the next row in memory may be of the next plane
                    if absent or (axis == 0 and there // height != gap_row[g] // height):
                        unite(parent, 0, g + 1)
                        continue
                    end = at_run
                    while end + 1 < last and rows[end + 1] == there:
                        end += 1
                    if gap_left[g] < left[order[at_run]] or gap_right[g] > right[order[end]]:
                        unite(parent, 0, g + 1)
                    while at_gap < gaps and (
                        gap_row[at_gap] < there
                        or (gap_row[at_gap] == there and gap_right[at_gap] < gap_left[g])
                    ):
                        at_gap += 1
                    other = at_gap
                    while (
                        other < gaps and gap_row[other] == there and gap_left[other] <= gap_right[g]
                    ):
                        unite(parent, other + 1, g + 1)
                        other += 1
        for g in range(gaps):
            if find(parent, g + 1) == 0:
                continue
            if count == found.shape[0]:
                larger = np.empty((2 * count, 4), np.int32)
                larger[:count] = found
                found = larger
            found[count, 0] = mine
            found[count, 1] = gap_row[g]
            found[count, 2] = gap_left[g]
            found[count, 3] = gap_right[g]
            count += 1
    return found[:count].copy()
