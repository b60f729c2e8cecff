"""Second stage: terminals to basins of the whole frame, their common borders, and what is one cell.

Borders are summed block by block, in whole numbers, so that sums do not depend on blocks. What is
decided is decided once, from tables with a row per basin or border.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._runs import Runs
from napari_cellseg.flows.blockwise.label_job import (
    BlockJob,
    Frame,
    keep,
    kept,
    raster,
    size_of,
)
from napari_cellseg.flows.blockwise.stages import Result, load_result, results

_ROWS = 1 << 16  # borders that are collected before they are summed


@dataclass(frozen=True)
class _Foreground:
    """Foreground of a block and of the layer after it, (z, y, x); 0 is background.

    Attributes
    ----------
    basin : numpy.ndarray, int32
        1 + the place in `basins` of the voxel's basin.
    words, lengths, logits : numpy.ndarray
        As in `Integration`.
    basins : numpy.ndarray, int64, shape (k,)
        Ascending numbers of the basins that have voxels here.
    """

    basin: NDArray[np.int32]
    words: NDArray[np.int32]
    lengths: NDArray[np.uint8]
    logits: NDArray[np.float16]
    basins: NDArray[np.int64]


def number_basins(frame: Frame, jobs: Sequence[BlockJob]) -> None:
    """Unite terminals that are close to each other; number the groups by their first terminal."""
    from napari_cellseg.flows.blockwise._label_kernels import link_terminals
    from napari_cellseg.flows.frame_labels import link_offsets

    codes = [found["codes"] for _, found in results(frame.work, "trace", jobs)]
    terminals = np.unique(np.concatenate([_settled(frame, part) for part in codes]))
    number = link_terminals(terminals, link_offsets(frame.spacing, frame.planar), frame.shape)
    first = np.unique(number, return_index=True)[1]
    frame.keep_table("terminals", terminals)
    frame.keep_table("basins", number)
    frame.keep_table("sinks", np.concatenate([[-1], terminals[first]]))


def parts(job: BlockJob) -> Result:
    """Which parts of basins there are in each plane of the block, by key; and their first voxel."""
    found = _foreground(job)
    runs, key, _ = _listed(job, found)
    key, first = np.unique(key, return_index=True)
    row = np.searchsorted(runs.row, first, "right") - 1
    local = row * job.block.shape[2] + runs.left[first]
    return {"key": key, "first": raster(local, job.block.core, job.frame.shape)}


def number_parts(frame: Frame, jobs: Sequence[BlockJob]) -> None:
    """Number parts of basins by their first voxel."""
    found = [result for _, result in results(frame.work, "parts", jobs)]
    key = np.concatenate([one["key"] for one in found])
    first = np.concatenate([one["first"] for one in found])
    order = np.lexsort((first, key))
    key, at = np.unique(key[order], return_index=True)
    rank = np.argsort(first[order][at])
    number = np.empty(key.size, np.int64)
    number[rank] = np.arange(1, key.size + 1)
    frame.keep_table("part_keys", key)
    frame.keep_table("part_numbers", number)
    frame.keep_table("part_whole", np.concatenate([[0], key[rank] // 2 // frame.shape[0]]))


def borders(job: BlockJob) -> Result:
    """Sum over the faces of the block's voxels, also with the layer after it, how flows differ.

    Keeps the runs of the block: row in it, first and last x, sums of flow lengths and of logits,
    and basin, as a place in the numbers that it keeps too.
    """
    from napari_cellseg.flows import _borders

    found = _foreground(job)
    runs, key, own = _listed(job, found)
    numbers, which = np.unique(_numbers(job.frame, found.basins, key), return_inverse=True)
    runs = runs._replace(basin=(which + 1).astype(np.int32))
    height = job.block.shape[1]
    pairs, sums, basins = _borders.borders(runs, *own, height, numbers.size, 1)
    basins[:, 1:4] += basins[:, :1] * job.origin
    across = [_across(job, found, axis) for axis in range(3)]
    pairs, sums = _summed([(numbers[pairs - 1], sums), *across])
    rows = np.repeat(np.arange(runs.row.size - 1, dtype=np.int32), np.diff(runs.row))
    keep(
        job,
        "borders",
        rows=rows,
        left=runs.left,
        right=runs.right,
        length=runs.length,
        logit=runs.logit,
        which=which.astype(np.int32),
        numbers=numbers,
    )
    return {"pairs": pairs, "sums": sums, "numbers": numbers, "basins": basins[1:]}


def unite_basins(frame: Frame, jobs: Sequence[BlockJob]) -> None:
    """Unite basins that are parts of one cell; keep the owner of each, and the sinks."""
    from napari_cellseg.flows.merging import BasinGraph

    sinks = np.asarray(frame.table("sinks"))
    whole = None
    if frame.split:
        whole = np.asarray(frame.table("part_whole"))
        sinks = sinks[whole]
    basins = np.zeros((sinks.size, 5), np.int64)
    table = (np.zeros((0, 2), np.int64), np.zeros((0, 15), np.int64))
    waiting = []
    rows = 0
    for _, found in results(frame.work, "borders", jobs):
        basins[found["numbers"]] += found["basins"]
        waiting.append((found["pairs"], found["sums"]))
        rows += len(found["pairs"])
        if rows > len(table[0]) + _ROWS:
            table = _summed([table, *waiting])
            waiting, rows = [], 0
    table = _summed([table, *waiting])
    graph = BasinGraph(*table, basins, frame.spacing, frame.planar, whole)
    graph.unite()
    frame.keep_table("owners", graph.owner)
    frame.keep_table("owner_sinks", sinks)


def _foreground(job: BlockJob) -> _Foreground:
    """What `trace` kept, as volumes, with the basin of each voxel."""
    frame = job.frame
    bits, code, *values = kept(
        frame, "trace", job.key, "mask", "code", "words", "lengths", "logits"
    )
    shape = size_of(job.spread())
    mask = np.unpackbits(bits, count=shape[0] * shape[1] * shape[2]).view(bool).reshape(shape)
    codes = load_result(frame.work, "trace", job.key)["codes"]
    at = np.searchsorted(frame.table("terminals"), _settled(frame, codes))
    basins, which = np.unique(frame.table("basins")[at], return_inverse=True)
    volumes = []
    for flat in ((which + 1).astype(np.int32)[code], *values):
        volume = np.zeros(shape, flat.dtype)
        volume[mask] = flat
        volumes.append(volume)
    basin, words, lengths, logits = volumes
    return _Foreground(basin, words, lengths, logits, basins)


def _listed(
    job: BlockJob, found: _Foreground
) -> tuple[Runs, NDArray[np.int64], tuple[NDArray[np.int32], NDArray[np.uint8]]]:
    """Runs of the block without the layer; the key of each; words and lengths of its voxels."""
    from napari_cellseg.flows._runs import list_runs

    z, y, x = job.block.shape
    basin = np.ascontiguousarray(found.basin[:z, :y, :x])
    voxels = np.flatnonzero(basin).astype(np.int32)
    logits = found.logits[:z, :y, :x].reshape(-1)[voxels].astype(np.float32)
    lengths = found.lengths[:z, :y, :x].reshape(-1)[voxels]
    words = found.words[:z, :y, :x].reshape(-1)[voxels]
    split = job.frame.split
    each = np.arange(voxels.size, dtype=np.int32)
    limit = job.frame.threshold
    runs = list_runs(voxels, each, logits, lengths, words, limit, basin, split, 1)
    planes = np.repeat(
        np.arange(runs.row.size - 1) // y + job.block.core[0].start, np.diff(runs.row)
    )
    up = runs.basin & 1 if split else 0
    key = _key(job.frame, found.basins, runs.basin >> 1 if split else runs.basin, planes, up)
    return runs, key, (words, lengths)


def _key(
    frame: Frame,
    basins: NDArray[np.int64],
    basin: NDArray[np.int32],
    plane: NDArray[np.integer],
    up: NDArray[np.integer] | NDArray[np.bool_] | int,
) -> NDArray[np.int64]:
    """Number of a basin; or what its part in one plane with one direction is known by."""
    number = basins[basin - 1]
    return (number * frame.shape[0] + plane) * 2 + up if frame.split else number


def _numbers(frame: Frame, basins: NDArray[np.int64], key: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of basins, or of their parts where they are in parts, from keys."""
    if not frame.split:
        return key
    distinct, which = np.unique(key, return_inverse=True)
    at = np.searchsorted(frame.table("part_keys"), distinct)
    return np.asarray(frame.table("part_numbers")[at][which])


def _across(
    job: BlockJob, found: _Foreground, axis: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Borders between the last voxels of the block along an axis and the layer after it.

    Pairs and sums as `_borders.borders` gives them.
    """
    extent = job.block.shape
    # the end of the volume, or nothing here
    if found.basin.shape[axis] == extent[axis] or not found.basins.size:
        return np.zeros((0, 2), np.int64), np.zeros((0, 15), np.int64)
    core = tuple(slice(0, n) for n in extent)
    numbers, flows = [], []
    for at in (extent[axis] - 1, extent[axis]):
        part = (*core[:axis], slice(at, at + 1), *core[axis + 1 :])
        basin, words = found.basin[part], found.words[part]
        plane = np.arange(basin.shape[0]) + (job.block.core[0].start + (at if axis == 0 else 0))
        up = (words << 24) > 0
        key = _key(job.frame, found.basins, basin, plane[:, None, None], up)
        numbers.append(np.where(basin > 0, key, -1).reshape(-1))
        length = found.lengths[part].reshape(-1).astype(np.int64)
        flows.append([(words.reshape(-1) << shift >> 24) * length for shift in (24, 16, 8)])
    here, there = numbers
    where = np.flatnonzero((here >= 0) & (there >= 0) & (here != there))
    a = _numbers(job.frame, found.basins, here[where])
    b = _numbers(job.frame, found.basins, there[where])
    sums = np.zeros((where.size, 15), np.int64)
    sums[:, axis] = 1
    change = np.stack([(far - near)[where] for near, far in zip(*flows, strict=True)], -1)
    sums[:, 3 + 3 * axis : 6 + 3 * axis] = change * np.where(a < b, 1, -1)[:, None]
    sums[:, 12 + axis] = change[:, axis]
    return _summed([(np.stack([np.minimum(a, b), np.maximum(a, b)], -1), sums)])


def _settled(frame: Frame, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Terminals of codes: exits are looked up."""
    out = codes.copy()
    leaves = np.flatnonzero(codes < 0)
    if leaves.size:
        entry, terminal = frame.table("exits")
        out[leaves] = terminal[np.searchsorted(entry, -1 - codes[leaves])]
    return out


def _summed(
    tables: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One row for each pair."""
    pairs = np.concatenate([pair for pair, _ in tables])
    sums = np.concatenate([rows for _, rows in tables])
    if not len(pairs):
        return pairs, sums
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    pairs = pairs[order]
    new = np.flatnonzero(np.append(True, (pairs[1:] != pairs[:-1]).any(1)))
    return pairs[new], np.add.reduceat(sums[order], new)
