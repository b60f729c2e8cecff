"""Borders between basins, read from runs: only voxels beside one are looked at."""

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._jit import kernel, run_chunks
from napari_cellseg.flows._runs import Runs, parts_of


def borders(
    runs: Runs,
    words: NDArray[np.int32],
    lengths: NDArray[np.uint8],
    height: int,
    n_basins: int,
    threads: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Sum over the faces between every two basins how their flows differ.

    Parameters
    ----------
    runs : Runs
    words, lengths : arrays, shape (n,)
        Of each covered voxel, see `Integration`.
    height : int
        Rows of a plane.
    n_basins : int
        Highest basin.
    threads : int, optional
        Number of threads; by default one per core.

    Returns
    -------
    pairs : numpy.ndarray, int64, shape (k, 2)
        ``(a, b)`` with a < b, in ascending order.
    sums : numpy.ndarray, int64, shape (k, 15)
        For each pair the faces across z, y and x; for the faces across each axis the sum of the
        flow ``(dz, dy, dx)`` in b minus that in a, in steps of 1 / (127 * 255); and how far the
        flow parts face by face, across z, y and x.
    basins : numpy.ndarray, int64, shape (n_basins + 1, 5)
        For each basin its voxels, and the sums of their z, y, x and of their flow lengths.

    Notes
    -----
    Integers, so that neither the order nor the number of parts counts.
    """

    def work(rows: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        room = 64 + 8 * n_basins
        while True:
            # `table` is open addressing: the place of each pair in `keys` and `sums`, or -1
            table = np.full(1 << int(2 * room).bit_length(), -1, np.int32)
            keys = np.empty(room, np.int64)
            sums = np.zeros((room, 15), np.int64)
            lists = (runs.first, runs.left, runs.right, runs.basin, runs.row, words, lengths)
            used = _between(*lists, height, n_basins, rows[0], rows[1], table, keys, sums)
            if used >= 0:
                return keys[:used], sums[:used]
            room *= 4

    parts = run_chunks(work, parts_of(runs.row.size - 1, threads, 64), threads)
    keys = np.concatenate([part[0] for part in parts])
    sums = np.concatenate([part[1] for part in parts])
    order = np.argsort(keys, kind="stable")
    keys, sums = keys[order], sums[order]
    begins = np.flatnonzero(np.diff(keys, prepend=-1))
    if begins.size < keys.size:
        sums = np.add.reduceat(sums, begins)
        keys = keys[begins]
    pairs = np.stack([keys // (n_basins + 1), keys % (n_basins + 1)], 1)
    return pairs, sums, _within(runs, height, n_basins)


def _within(runs: Runs, height: int, n_basins: int) -> NDArray[np.int64]:
    out = np.zeros((n_basins + 1, 5), np.int64)
    _add_basins(runs.left, runs.right, runs.basin, runs.length, runs.row, height, out)
    return out


@kernel
def _add_basins(
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    basin: NDArray[np.int32],
    length: NDArray[np.int32],
    row: NDArray[np.int32],
    height: int,
    out: NDArray[np.int64],
) -> None:
    for r in range(row.size - 1):
        z, y = r // height, r % height
        for k in range(row[r], row[r + 1]):
            mine = basin[k]
            count = np.int64(right[k] - left[k] + 1)
            out[mine, 0] += count
            out[mine, 1] += count * z
            out[mine, 2] += count * y
            out[mine, 3] += count * (left[k] + right[k]) // 2
            out[mine, 4] += length[k]


@kernel
def _place(table: NDArray[np.int32], keys: NDArray[np.int64], key: int) -> int:
    """Slot of `table` that holds `key`, or the free one where it belongs."""
    mask = table.size - 1
    at = (key * 0x9E3779B97F4A7C15 >> 20) & mask
    while table[at] != -1 and keys[table[at]] != key:
        at = (at + 1) & mask
    return at


@kernel
def _between(
    first: NDArray[np.int32],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    basin: NDArray[np.int32],
    row: NDArray[np.int32],
    words: NDArray[np.int32],
    lengths: NDArray[np.uint8],
    height: int,
    n_basins: int,
    start: int,
    stop: int,
    table: NDArray[np.int32],
    keys: NDArray[np.int64],
    sums: NDArray[np.int64],
) -> int:
    """Key and sums of each pair: faces between voxels of rows `start` to `stop` and the next.

    Returns the number of pairs, or -1 where there is too little room for them.
    """
    used = 0
    rows = row.size - 1
    for r in range(start, stop):
        for axis in range(3):
            if axis == 0:
                there = r + height
            elif axis == 1:
                there = r + 1 if (r + 1) % height else rows
            else:
                there = r
            if there >= rows:
                continue
            j, end = row[there], row[there + 1]
            for k in range(row[r], row[r + 1]):
                mine = basin[k]
                # what overlaps this run; along x, the run that begins where it ends
                low, high = left[k], right[k]
                if axis == 2:
                    j = k + 1
                    low = high = right[k] + 1
                while j < end and right[j] < low:
                    j += 1
                for other in range(j, end):  # j stays: the next run may overlap it too
                    if left[other] > high:
                        break
                    theirs = basin[other]
                    if theirs == mine:
                        continue
                    begin = max(low, left[other])
                    faces = min(high, right[other]) - begin + 1
                    key = np.int64(min(mine, theirs)) * (n_basins + 1) + max(mine, theirs)
                    slot = _place(table, keys, key)
                    if table[slot] == -1:
                        if used == keys.size:
                            return -1
                        keys[used] = key
                        table[slot] = used
                        used += 1
                    at = table[slot]
                    near = first[k] + (right[k] if axis == 2 else begin) - left[k]
                    far = first[other] + begin - left[other]
                    dz, dy, dx = np.int32(0), np.int32(0), np.int32(0)
                    for q in range(faces):
                        here, beyond = words[near + q], words[far + q]
                        near_length, far_length = (
                            np.int32(lengths[near + q]),
                            np.int32(lengths[far + q]),
                        )
                        dz += np.int32(np.int8(beyond)) * far_length
                        dz -= np.int32(np.int8(here)) * near_length
                        dy += np.int32(np.int8(beyond >> 8)) * far_length
                        dy -= np.int32(np.int8(here >> 8)) * near_length
                        dx += np.int32(np.int8(beyond >> 16)) * far_length
                        dx -= np.int32(np.int8(here >> 16)) * near_length
                    sign = 1 if mine < theirs else -1
                    sums[at, axis] += faces
                    sums[at, 3 + 3 * axis] += sign * dz
                    sums[at, 4 + 3 * axis] += sign * dy
                    sums[at, 5 + 3 * axis] += sign * dx
                    sums[at, 12 + axis] += dz if axis == 0 else dy if axis == 1 else dx
    return used
