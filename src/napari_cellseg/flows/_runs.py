"""Runs: neighbours along x of one basin. Labels are made of them, not of voxels.

There are some ten times fewer runs than voxels, and borders, pieces, boxes and holes are all read
from runs; only to list them and to paint them takes a pass over the voxels.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._jit import kernel, run_chunks, thread_count

#: Logits are summed in steps of 1 / LOGIT_STEPS, as integers, so that the order does not count.
LOGIT_STEPS = 65536


class Runs(NamedTuple):
    """Runs in raster order.

    Attributes
    ----------
    first : numpy.ndarray, int32, shape (n,)
        First voxel of each, as an index into the covered voxels.
    left, right : numpy.ndarray, int32, shape (n,)
        First and last x.
    basin : numpy.ndarray, int32, shape (n,)
        Basin, from 1.
    length : numpy.ndarray, int32, shape (n,)
        Sum of the flow lengths, in steps of 1/255.
    logit : numpy.ndarray, int64, shape (n,)
        Sum of the logits, in steps of 1 / `LOGIT_STEPS`.
    row : numpy.ndarray, int32, shape (rows + 1,)
        Number of the first run of each row of the volume, and of the one after the last.
    """

    first: NDArray[np.int32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    basin: NDArray[np.int32]
    length: NDArray[np.int32]
    logit: NDArray[np.int64]
    row: NDArray[np.int32]


def parts_of(total: int, threads: int | None, least: int) -> list[tuple[int, int]]:
    """Ranges that split 0..total among threads, of `least` each at least."""
    count = max(1, min(thread_count(threads), total // max(1, least)))
    cuts = [total * k // count for k in range(count + 1)]
    return list(pairwise(cuts))


def list_runs(
    voxels: NDArray[np.integer],
    terminal: NDArray[np.int32],
    logits: NDArray[np.float32],
    lengths: NDArray[np.uint8],
    words: NDArray[np.int32],
    threshold: float,
    canvas: NDArray[np.int32],
    split: bool,
    threads: int | None,
) -> Runs:
    """Runs of the voxels with a logit above `threshold`.

    `canvas` (z, y, x) holds the basin of each terminal. With `split`, voxels whose flow goes up
    (along z) and others are in different runs: basins are then 2 × basin, + 1 where it goes up.
    """
    depth, height, width = canvas.shape
    # parts begin with a row
    rows = parts_of(depth * height, threads, 64)
    starts = np.array([first for first, _ in rows] + [depth * height], np.int64) * width
    cuts = np.searchsorted(voxels, starts.astype(voxels.dtype))  # of another type it copies voxels
    inputs = (voxels, terminal, logits, lengths, words, np.float32(threshold))

    def listed(k: int) -> list[NDArray[np.int32] | NDArray[np.int64]]:
        count = int(cuts[k + 1] - cuts[k])
        room = max(64, count // 4)
        while True:
            first, left, right, basin, length = (np.empty(room, np.int32) for _ in range(5))
            sums = np.empty(room, np.int64)
            row = np.empty(rows[k][1] - rows[k][0], np.int32)
            part = (int(cuts[k]), int(cuts[k + 1]), rows[k][0])
            flat = canvas.reshape(-1)
            used = _list(
                *inputs, flat, split, width, *part, first, left, right, basin, length, sums, row
            )
            if used >= 0:
                columns = (first, left, right, basin, length, sums)
                return [column[:used] for column in columns] + [row]
            room = count  # each voxel a run of its own

    parts = run_chunks(listed, range(len(rows)), threads)
    before = np.cumsum([0] + [len(part[0]) for part in parts])
    row = [part.pop() + begin for part, begin in zip(parts, before, strict=False)]
    # column by column, so that no more than one of them is there twice
    logit = np.concatenate([part.pop() for part in parts])
    length, basin, right, left, first = (
        np.concatenate([part.pop() for part in parts]) for _ in range(5)
    )
    return Runs(
        first=first,
        left=left,
        right=right,
        basin=basin,
        length=length,
        logit=logit,
        row=np.concatenate([*row, before[-1:]]).astype(np.int32),
    )


@kernel
def _list(
    voxels: NDArray[np.integer],
    terminal: NDArray[np.int32],
    logits: NDArray[np.float32],
    lengths: NDArray[np.uint8],
    words: NDArray[np.int32],
    threshold: np.float32,
    flat: NDArray[np.int32],
    split: bool,
    width: int,
    start: int,
    stop: int,
    first_row: int,
    out_first: NDArray[np.int32],
    out_left: NDArray[np.int32],
    out_right: NDArray[np.int32],
    out_basin: NDArray[np.int32],
    out_length: NDArray[np.int32],
    out_logit: NDArray[np.int64],
    out_row: NDArray[np.int32],
) -> int:
    """Fill `out_…` (see `Runs`) with the runs of voxels `start` to `stop`.

    Returns how many there are, or -1 where there is too little room for them.
    """
    filled = 0  # rows whose first run is known
    k = -1
    next_voxel, last, row_begin = np.int64(-1), np.int32(0), np.int64(-width)
    length, logit = np.int32(0), np.int64(0)
    end, basin = np.int32(-1), np.int32(0)
    for i in range(start, stop):
        if not logits[i] > threshold:
            continue
        p = np.int64(voxels[i])
        if terminal[i] != end:  # mostly that of the voxel before
            end = terminal[i]
            basin = flat[voxels[end]]
        mine = basin
        if split:
            mine = np.int32(2 * mine + (1 if np.int32(words[i] << 24) > 0 else 0))
        if p != next_voxel or mine != last or p >= row_begin + width:
            if k >= 0:
                out_right[k] = next_voxel - 1 - row_begin
                out_length[k] = length
                out_logit[k] = logit
            k += 1
            if k == out_first.size:
                return -1
            if p >= row_begin + width:
                row = p // width
                row_begin = row * width
                while filled <= row - first_row:
                    out_row[filled] = k
                    filled += 1
            out_first[k] = i
            out_left[k] = p - row_begin
            out_basin[k] = mine
            length, logit = np.int32(0), np.int64(0)
            last = mine
        next_voxel = p + 1
        length += np.int32(lengths[i])
        scaled = min(max(logits[i], np.float32(-30000)), np.float32(30000))
        logit += np.int64(np.rint(scaled * np.float32(LOGIT_STEPS)))
    if k >= 0:
        out_right[k] = next_voxel - 1 - row_begin
        out_length[k] = length
        out_logit[k] = logit
    while filled < out_row.size:
        out_row[filled] = k + 1
        filled += 1
    return k + 1


@kernel
def number_parts(
    basin: NDArray[np.int32], row: NDArray[np.int32], height: int, n_basins: int
) -> NDArray[np.int32]:
    """Number anew what of each basin is in each plane and goes up, or does not; by first run.

    `basin` is 2 × basin + up of each run (`list_runs` with `split`), and gets the new numbers.
    Returns the basin of each of them (row 0 is background).
    """
    slot = np.zeros(2 * n_basins + 2, np.int32)
    old = np.zeros(max(64, 4 * n_basins), np.int32)
    count = 0
    for z in range((row.size - 1) // height):
        before = count  # smaller numbers belong to earlier planes
        for k in range(row[z * height], row[(z + 1) * height]):
            mine = basin[k]
            if slot[mine] <= before:
                count += 1
                slot[mine] = count
                if count == old.size:
                    larger = np.zeros(2 * count, np.int32)
                    larger[:count] = old
                    old = larger
                old[count] = mine >> 1
            basin[k] = slot[mine]
    return old[: count + 1].copy()


def paint(
    voxels: NDArray[np.integer],
    runs: Runs,
    label: NDArray[np.int32],
    canvas: NDArray[np.int32],
    threads: int | None,
) -> None:
    """Write the label of each run into `canvas` (z, y, x), where it is not 0."""
    flat = canvas.reshape(-1)

    def work(part: tuple[int, int]) -> None:
        _paint(voxels, runs.first, runs.left, runs.right, label, flat, part[0], part[1])

    run_chunks(work, parts_of(label.size, threads, 4096), threads)


@kernel
def _paint(
    voxels: NDArray[np.integer],
    first: NDArray[np.int32],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    label: NDArray[np.int32],
    flat: NDArray[np.int32],
    start: int,
    stop: int,
) -> None:
    for k in range(start, stop):
        if label[k] == 0:
            continue
        p = np.int64(voxels[first[k]])
        for q in range(p, p + right[k] - left[k] + 1):
            flat[q] = label[k]


@kernel
def sums(
    first: NDArray[np.int32],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    length: NDArray[np.int32],
    logit: NDArray[np.int64],
    label: NDArray[np.int32],
    highest: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Per label: voxels, sum of lengths and of logits, first voxel (-1 where there is none)."""
    count = np.zeros(highest + 1, np.int64)
    lengths = np.zeros(highest + 1, np.int64)
    logits = np.zeros(highest + 1, np.int64)
    begin = np.full(highest + 1, -1, np.int32)
    for k in range(label.size):
        mine = label[k]
        if mine == 0:
            continue
        if count[mine] == 0:
            begin[mine] = first[k]
        count[mine] += right[k] - left[k] + 1
        lengths[mine] += length[k]
        logits[mine] += logit[k]
    return count, lengths, logits, begin
