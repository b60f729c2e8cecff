"""What stays of instances that fail the flow check: the parts that pass alone.

Until the instances of the frame are numbered anew, a part is known by its first voxel.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows.blockwise.label_job import (
    BlockJob,
    Frame,
    Region,
    crossed,
    keep,
    kept,
    located,
    raster,
)
from napari_cellseg.flows.blockwise.label_pieces import Numbered
from napari_cellseg.flows.blockwise.stages import Result, results

if TYPE_CHECKING:
    from napari_cellseg.flows.field import FlowField

#: What is kept of each interval along x of a part: its first voxel, and its place in the frame.
_PLACE = ("first", "z", "y", "left", "right")


class Found(NamedTuple):
    """Parts of some instances.

    Attributes
    ----------
    whole : numpy.ndarray, int64, shape (n,)
        Id of the instance that each is a part of.
    parts : Numbered
        What is known of each, in the frame.
    place : numpy.ndarray, int64, shape (5, m)
        Intervals of the parts, see `_PLACE`.
    """

    whole: NDArray[np.int64]
    parts: Numbered
    place: NDArray[np.int64]


def taken_apart(
    frame: Frame,
    field: "FlowField",
    labels: NDArray[np.int32],
    boxes: NDArray[np.int64],
    region: Region,
) -> Found:
    """Parts of instances that pass the flow check alone.

    Parameters
    ----------
    frame : Frame
    field : FlowField
        Of the region.
    labels : numpy.ndarray, int32, shape (z, y, x)
        Of the region, with ids from 1.
    boxes : numpy.ndarray, int64, shape (k, 7)
        Rows ``(id, z0, y0, x0, z1, y1, x1)`` in the region, of the instances to take apart.
    region : tuple of slice
        Where in the frame.

    Returns
    -------
    Found
        With ids in `labels`.
    """
    from napari_cellseg.flows.apart import parts_of

    found = parts_of(field, labels, boxes, frame.limit, frame.min_size, threads=1)
    z, y, x = located(raster(found.where, region, frame.shape), frame.shape).T
    # voxels of an instance come in raster order: an interval ends where the next does not go on
    new = np.ones(z.size + 1, bool)
    new[1:-1] = (np.diff(found.part) != 0) | (np.diff(z) != 0) | (np.diff(y) != 0)
    new[1:-1] |= np.diff(x) != 1
    begin, end = np.flatnonzero(new[:-1]), np.flatnonzero(new[1:])
    part, z, y, left, right = found.part[begin], z[begin], y[begin], x[begin], x[end]
    size = right - left + 1
    count = len(found.whole)
    moment = np.zeros((count, 3), np.int64)
    low, high = np.full((count, 3), 1 << 62), np.zeros((count, 3), np.int64)
    sums = (size * z, size * y, (left + right) * size // 2)
    for axis, (first, last, total) in enumerate(
        zip((z, y, left), (z, y, right), sums, strict=True)
    ):
        np.add.at(moment[:, axis], part, total)
        np.minimum.at(low[:, axis], part, first)
        np.maximum.at(high[:, axis], part, last + 1)
    first = raster(found.first, region, frame.shape)
    parts = Numbered(
        voxels=found.voxels.astype(np.int64),
        first=first,
        sink=raster(found.sink, region, frame.shape),
        logit=found.logit,
        agreement=found.agreement,
        flow_error=found.flow_error,
        moment=moment,
        box=np.concatenate([low, high], 1),
        rejected=(),
    )
    return Found(found.whole, parts, np.stack([first[part], z, y, left, right]))


def kept_parts(job: BlockJob, found: Sequence[Found]) -> Result:
    """Keep where the parts of this job's instances lie, for `paint`; give what is known of them.

    `found` has ids of the frame.
    """
    place = np.concatenate([one.place for one in found], 1)
    keep(job, "errors", **dict(zip(_PLACE, place, strict=True)))
    columns = {
        name: np.concatenate([getattr(one.parts, name) for one in found]) for name in _columns()
    }
    whole = np.concatenate([one.whole for one in found])
    return {"whole": whole, "blocks": crossed(job.frame, *place[1:]), **columns}


def renumbered(
    frame: Frame,
    rows: Numbered,
    filled: NDArray[np.int64],
    asked: Sequence[BlockJob],
    jobs: Sequence[BlockJob],
) -> tuple[Numbered, list[BlockJob]]:
    """Instances of a frame with those above the limit replaced by their parts.

    Keeps the tables ``renumbered``, of the new id by the old one, and ``part_first`` and
    ``part_id``.

    Parameters
    ----------
    frame : Frame
    rows : Numbered
        Instances, with their flow errors.
    filled : numpy.ndarray, int64, shape (n,)
        Voxels of each that were filled.
    asked : sequence of BlockJob
        Those that measured flow errors.
    jobs : sequence of BlockJob
        One for each block.

    Returns
    -------
    Numbered
        Kept instances and parts, by their first voxel.
    list of BlockJob
        `jobs`, which know where the parts in their block are kept.
    """
    from napari_cellseg.flows.frame_labels import REASONS

    bad = np.asarray(rows.flow_error) > frame.limit
    found = []
    sources: dict[int, list[str]] = {}
    rest = rows.voxels + filled
    for job, one in results(frame.work, "errors", asked):
        found.append(one)
        np.subtract.at(rest, one["whole"] - 1, one["voxels"])
        for number in one["blocks"].tolist():
            sources.setdefault(number, []).append(job.key)
    columns = {
        name: np.concatenate([getattr(rows, name)[~bad], *(one[name] for one in found)])
        for name in _columns()
    }
    order = np.argsort(columns["first"])
    number = np.empty(order.size, np.int64)
    number[order] = np.arange(1, order.size + 1)
    kept_count = int(np.count_nonzero(~bad))
    new = np.zeros(bad.size + 1, np.int64)
    new[1:][~bad] = number[:kept_count]
    frame.keep_table("renumbered", new)
    first = columns["first"][kept_count:]
    by_first = np.argsort(first)
    frame.keep_table("part_first", first[by_first])
    frame.keep_table("part_id", number[kept_count:][by_first])
    entry = (rows.sink[bad], rest[bad], REASONS.index("flow error"))
    left = Numbered(
        **{name: column[order] for name, column in columns.items()},
        rejected=(*rows.rejected, entry),
    )
    return left, [replace(job, parts=tuple(sources.get(job.number, ()))) for job in jobs]


def paint(job: BlockJob, labels: NDArray[np.unsignedinteger]) -> None:
    """Write the parts that lie in this block into its labels, where there is nothing else yet."""
    from napari_cellseg.flows.blockwise._label_kernels import fill_gaps

    frame = job.frame
    for key in job.parts:
        first, z, y, left, right = kept(frame, "errors", key, *_PLACE)
        ids = frame.table("part_id")[np.searchsorted(frame.table("part_first"), first)]
        fill_gaps(ids, z, y, left, right, job.origin, labels)


def _columns() -> list[str]:
    return [column.name for column in fields(Numbered) if column.name != "rejected"]
