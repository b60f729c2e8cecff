"""Instances of a field of xy planes: sections of neighbouring planes that overlap are one."""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows.field import FlowField
from napari_cellseg.flows.label import REASONS, Labelling, Rejected, label_field

if TYPE_CHECKING:
    from napari_cellseg.flows.progress import Progress

#: Sections of neighbouring planes are one instance where their IoU is greater. Cells that lie on
#: top of each other overlap too: in dense tissue 0.25 joined them, and 0.6 broke cells that lean.
_OVERLAP = 0.5


def label_stitched(
    field: FlowField,
    probability: float = 0.5,
    min_size: int = 15,
    flow_error: float | None = None,
    *,
    measure_flow_error: bool = False,
    threads: int | None = None,
    device: str = "cpu",
    progress: "Progress | None" = None,
) -> Labelling:
    """Label each plane of a stitched field, and join its sections with those of other planes.

    The size filter and the flow error (the mean of the sections') are of the whole instance.

    Parameters
    ----------
    field : FlowField
        A volume, with or without time.
    probability, min_size, flow_error, measure_flow_error, threads, device, progress
        As for `label_field`.

    Returns
    -------
    Labelling
        Only what a section encloses is filled.
    """
    frames = []
    for t in range(field.n_times):
        sections = label_field(
            field.planes(t),
            probability,
            0,
            measure_flow_error=measure_flow_error or flow_error is not None,
            threads=threads,
            device=device,
            progress=progress,
        )
        frames.append(_whole(sections, t, min_size, flow_error))
    return _joined(frames, field.has_time)


def linked_sections(canvas: NDArray[np.uint32], voxels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first section of the instance that each section belongs to.

    Sections of neighbouring planes are joined where they share more than half of their union: no
    section can share that with two.

    Parameters
    ----------
    canvas : array of uint32, (z, y, x)
        Sections, numbered 1..n plane by plane.
    voxels : array of int64, (n + 1,)
        Size of each.

    Returns
    -------
    array of int64, (n + 1,)
        No instance has two sections in one plane.
    """
    head = np.arange(voxels.size)
    for here, there in pairwise(canvas):
        both = np.flatnonzero((here > 0) & (there > 0))
        pairs = here.reshape(-1)[both].astype(np.int64) * voxels.size + there.reshape(-1)[both]
        keys, shared = np.unique(pairs, return_counts=True)
        one, two = keys // voxels.size, keys % voxels.size
        same = shared > _OVERLAP * (voxels[one] + voxels[two] - shared)
        head[two[same]] = head[one[same]]
    return head


def _whole(sections: Labelling, t: int, min_size: int, flow_error: float | None) -> Labelling:
    """Join the sections of a frame, whose planes are the frames of `sections`."""
    canvas, plane = sections.labels, sections.t
    total = len(sections)
    starts = np.searchsorted(plane, np.arange(len(canvas)))
    for part, start in zip(canvas, starts, strict=True):
        part[part > 0] += np.uint32(start)
    voxels = np.concatenate([[0], sections.voxels])
    head = linked_sections(canvas, voxels)
    size = np.bincount(head, voxels, head.size).astype(np.int64)

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        weighted = np.concatenate([[0], values * sections.voxels])
        with np.errstate(invalid="ignore"):
            return (np.bincount(head, weighted, head.size) / size).astype(np.float32)

    logit, agreement = mean(sections.logit), mean(sections.agreement)
    errors = None if sections.flow_error is None else mean(sections.flow_error)
    large = size >= max(1, min_size)
    bad = np.zeros(size.size, bool)
    if errors is not None and flow_error is not None:
        bad = large & (errors > flow_error)
    kept = np.flatnonzero(large & ~bad)
    first = _first_voxels(canvas, total)
    new = np.zeros(size.size, np.uint32)
    new[kept] = np.arange(1, kept.size + 1)  # heads ascend as their first voxels do
    for part in canvas:
        part[:] = new[head[part]]
    dropped = [(np.flatnonzero((size > 0) & ~large), "small"), (np.flatnonzero(bad), "flow error")]
    where = np.concatenate([first[rows] for rows, _ in dropped])
    stray = sections.rejected
    return Labelling(
        labels=canvas,
        t=np.full(kept.size, t, np.int64),
        id=np.arange(1, kept.size + 1),
        voxels=size[kept],
        logit=logit[kept],
        agreement=agreement[kept],
        flow_error=None if errors is None else errors[kept],
        rejected=Rejected(
            t=np.full(len(stray.t) + where.size, t, np.int64),
            position=np.concatenate(
                [
                    np.column_stack([stray.t, stray.position[:, 1:]]),
                    np.stack(np.unravel_index(where, canvas.shape), -1),
                ]
            ),
            voxels=np.concatenate([stray.voxels, *(size[rows] for rows, _ in dropped)]),
            reason=np.concatenate(
                [
                    stray.reason,
                    *(np.full(len(rows), REASONS.index(why), np.int8) for rows, why in dropped),
                ]
            ),
        ),
    )


def _first_voxels(canvas: NDArray[np.uint32], count: int) -> NDArray[np.int64]:
    """Raster index of the first voxel of each section; 0 for none."""
    first = np.zeros(count + 1, np.int64)
    covered = np.flatnonzero(canvas)[::-1]
    first[canvas.reshape(-1)[covered]] = covered  # of repeated assignments the last one stays
    return first


def _joined(frames: list[Labelling], has_time: bool) -> Labelling:
    if not has_time:
        return frames[0]
    errors = [frame.flow_error for frame in frames if frame.flow_error is not None]
    rejected = [frame.rejected for frame in frames]
    return Labelling(
        labels=np.stack([frame.labels for frame in frames]),
        t=np.concatenate([frame.t for frame in frames]),
        id=np.concatenate([frame.id for frame in frames]),
        voxels=np.concatenate([frame.voxels for frame in frames]),
        logit=np.concatenate([frame.logit for frame in frames]),
        agreement=np.concatenate([frame.agreement for frame in frames]),
        flow_error=np.concatenate(errors) if errors else None,
        rejected=Rejected(
            t=np.concatenate([one.t for one in rejected]),
            position=np.concatenate([one.position for one in rejected]),
            voxels=np.concatenate([one.voxels for one in rejected]),
            reason=np.concatenate([one.reason for one in rejected]),
        ),
    )
