"""Last stages: what each instance encloses, and the labels written block by block.

Which gaps an instance encloses depends on its own voxels only, so gaps are found before anything
is written, and whoever writes a block lets the lowest id have what is background.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows.blockwise import label_parts
from napari_cellseg.flows.blockwise.label_job import (
    BlockJob,
    Frame,
    block_numbers,
    crossed,
    keep,
    kept,
)
from napari_cellseg.flows.blockwise.label_pieces import Run, runs_of
from napari_cellseg.flows.blockwise.stages import Result, results

#: What is kept of each gap: its owner, and its place in the frame.
_GAP = ("id", "z", "y", "left", "right")


def by_block(
    frame: Frame, jobs: Sequence[BlockJob], box: NDArray[np.int64], name: str
) -> list[BlockJob]:
    """Give every instance to the block that holds the first corner of its box.

    Keeps the table `name` of rows (id, box); the jobs returned have the rows that are theirs.
    """
    owner = block_numbers(frame, box[:, :3])
    order = np.argsort(owner, kind="stable")
    frame.keep_table(name, np.column_stack([order + 1, box[order]]))
    cuts = np.searchsorted(owner[order], np.arange(len(jobs) + 1))
    return [
        replace(job, rows=(int(cuts[job.number]), int(cuts[job.number + 1])))
        for job in jobs
        if cuts[job.number] < cuts[job.number + 1]
    ]


def holes(job: BlockJob) -> Result:
    """Find the gaps that the instances of this job's rows enclose (face connectivity).

    Keeps them as intervals along x in the frame, with their owner; gives the numbers of the blocks
    that they lie in. Holds the runs of these instances, not their boxes.
    """
    frame = job.frame
    table = np.asarray(frame.table("instances")[slice(*job.rows)])
    box = table[:, 1:]
    least = np.array([1 if frame.planar else 3, 3, 3])
    table = table[(box[:, 3:] - box[:, :3] >= least).all(1)]
    found = _enclosed(frame, table) if len(table) else [np.zeros(0, np.int64)] * 5
    keep(job, "holes", **dict(zip(_GAP, found, strict=True)))
    return {"blocks": crossed(frame, *found[1:])}


def with_sources(
    frame: Frame, asked: Sequence[BlockJob], jobs: Sequence[BlockJob]
) -> list[BlockJob]:
    """Jobs that know in which results of `holes` there are gaps of their block."""
    sources: dict[int, list[str]] = {}
    for job, found in results(frame.work, "holes", asked):
        for number in found["blocks"].tolist():
            sources.setdefault(number, []).append(job.key)
    return [replace(job, sources=tuple(sources.get(job.number, ()))) for job in jobs]


def write(job: BlockJob) -> Result:
    """Write the labels of a block. Gives the ids that were filled into gaps, with their sums."""
    return _written(job, None)


def rewrite(job: BlockJob) -> Result:
    """Write a block again, with parts of the instances that the table ``renumbered`` drops."""
    return _written(job, np.asarray(job.frame.table("renumbered")))


def _written(job: BlockJob, new: NDArray[np.int64] | None) -> Result:
    import zarr

    from napari_cellseg.flows.blockwise._label_kernels import fill_gaps, paint_runs

    frame = job.frame
    array = zarr.open_array(frame.output, mode="r+")
    runs = runs_of(frame, job.key)
    begin, end = frame.table("begins")[job.number : job.number + 2]
    ids = np.asarray(frame.table("ids")[begin:end])
    labels = np.zeros(job.block.shape, array.dtype)
    columns = [kept(frame, "holes", key, *_GAP) for key in job.sources]
    gaps = [np.concatenate(column) for column in zip(*columns, strict=True)]
    if new is not None:
        ids = new[ids]
        if gaps:
            gaps[0] = new[gaps[0]]
            gaps = [column[gaps[0] > 0] for column in gaps]
    paint_runs(runs.row, runs.left, runs.right, ids[runs.piece].astype(array.dtype), labels)
    label_parts.paint(job, labels)
    result = {"id": np.zeros(0, np.int64), "sums": np.zeros((0, 4), np.int64)}
    if gaps:
        order = np.argsort(gaps[0], kind="stable")
        owner, z, y, left, right = (column[order] for column in gaps)
        sums = fill_gaps(owner, z, y, left, right, job.origin, labels)
        distinct, which = np.unique(owner, return_inverse=True)
        total = np.zeros((distinct.size, 4), np.int64)
        np.add.at(total, which, sums)
        filled = total[:, 0] > 0
        result = {"id": distinct[filled], "sums": total[filled]}
    array[frame.place(job.block.core)] = labels[0] if frame.planar else labels
    return result


def _enclosed(frame: Frame, table: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Gaps that the instances of a table (id, box) enclose: id, z, y, first and last x."""
    from napari_cellseg.flows import _holes

    low, high = table[:, 1:4].min(0), table[:, 4:].max(0)
    runs, label = _gathered(frame, table[:, 0], low, high)
    height = int(high[1] - low[1])
    rows = int(high[0] - low[0]) * height
    start = np.searchsorted(runs.row, np.arange(rows + 1)).astype(np.int32)
    begin, order, row = _holes._by_instance(label, start, len(table))
    gapped = _holes._gapped(begin, order, row, runs.left, runs.right)
    ids = np.flatnonzero(gapped).astype(np.int32)
    found = _holes.enclosed_gaps(
        ids, begin, order, row, runs.left, runs.right, height, frame.planar
    )
    owner, line, left, right = found.T.astype(np.int64)
    number = table[owner - 1, 0]
    return [number, line // height + low[0], line % height + low[1], left + low[2], right + low[2]]


def _gathered(
    frame: Frame, ids: NDArray[np.int64], low: NDArray[np.int64], high: NDArray[np.int64]
) -> tuple[Run, NDArray[np.int32]]:
    """Runs of `ids` (ascending) in a region, by rows of it, and the label 1.. of each."""
    height, parts = int(high[1] - low[1]), []
    first, last = low // frame.block, (high - 1) // frame.block
    counts = [-(-n // b) for n, b in zip(frame.shape, frame.block, strict=True)]
    begins, table = frame.table("begins"), frame.table("ids")
    for index in np.ndindex(*(last - first + 1)):
        z, y, x = (int(a + b) for a, b in zip(index, first, strict=True))
        number = (z * counts[1] + y) * counts[2] + x
        runs = runs_of(frame, frame.key((z, y, x)))
        number_of = np.asarray(table[begins[number] : begins[number + 1]])
        at = np.searchsorted(ids, number_of)
        at[at == ids.size] = 0
        label = np.where(ids[at] == number_of, at + 1, 0).astype(np.int32)[runs.piece]
        chosen = np.flatnonzero(label)
        rows = min(frame.block[1], frame.shape[1] - y * frame.block[1])
        plane, line = runs.row[chosen] // rows, runs.row[chosen] % rows
        plane += np.int32(z * frame.block[0] - low[0])
        line += np.int32(y * frame.block[1] - low[1])
        shift = np.int32(x * frame.block[2] - low[2])
        row = plane * np.int32(height) + line
        parts.append((row, runs.left[chosen] + shift, runs.right[chosen] + shift, label[chosen]))
    row, left, right, label = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((left, row))
    return Run(row[order], left[order], right[order], label[order]), label[order]
