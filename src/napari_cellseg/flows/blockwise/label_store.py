"""Labels of a flow field on disk, block by block: the same, voxel for voxel, as in memory."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows.blockwise import (
    label_basins,
    label_check,
    label_parts,
    label_pieces,
    label_trace,
    label_write,
)
from napari_cellseg.flows.blockwise.executor import Executor, InProcess
from napari_cellseg.flows.blockwise.label_job import BlockJob, Stages, drop, located
from napari_cellseg.flows.blockwise.label_pieces import Numbered
from napari_cellseg.flows.blockwise.label_plan import LabelPlan, plan_labels
from napari_cellseg.flows.blockwise.stages import load_result, results
from napari_cellseg.flows.label import Rejected
from napari_cellseg.flows.progress import Progress, Report

if TYPE_CHECKING:
    from napari_cellseg.flows.field_store import FieldStore


@dataclass(frozen=True)
class StoreLabels:
    """Labels of a field, written to an array on disk, with what is known of each instance.

    Row i of the arrays is the instance ``(t[i], id[i])``; see `Labelling`.

    Attributes
    ----------
    path : Path
        Plain zarr array, ``([t,] [z,] y, x)``.
    t, id, voxels : numpy.ndarray, int64, shape (n,)
    logit, agreement : numpy.ndarray, float32, shape (n,)
    flow_error : numpy.ndarray or None, float32, shape (n,)
    box : numpy.ndarray, int64, shape (n, 6)
        ``(z0, y0, x0, z1, y1, x1)``, half open; planes have z 0 to 1.
    centroid : numpy.ndarray, float64, shape (n, 3)
        In voxels ``(z, y, x)``.
    rejected : Rejected
    """

    path: Path
    t: NDArray[np.int64]
    id: NDArray[np.int64]
    voxels: NDArray[np.int64]
    logit: NDArray[np.float32]
    agreement: NDArray[np.float32]
    flow_error: NDArray[np.float32] | None
    box: NDArray[np.int64]
    centroid: NDArray[np.float64]
    rejected: Rejected

    def __len__(self) -> int:
        return len(self.id)


def label_store(
    field: "FieldStore",
    output: Path,
    *,
    probability: float = 0.5,
    min_size: int = 15,
    flow_error: float | None = None,
    block: Sequence[int] | None = None,
    halo: int | Sequence[int] | None = None,
    chunks: Sequence[int] | None = None,
    executor: Executor | None = None,
    work: Path | None = None,
    progress: Progress | Report | None = None,
    cancel: Event | None = None,
) -> StoreLabels:
    """Label a field that may be larger than memory.

    The labels equal those of ``label_field(field.load(), ...)`` in every voxel, whatever the
    blocks, the halo, the chunks and the number of workers, and if it was stopped and run again.

    Parameters
    ----------
    field : FieldStore
        A finished field; it defines the result.
    output : Path
        Zarr array to make: uint32, or uint64 where a frame has 2**32 instances or more. It grows
        block by block, so it is whole only when this returns.
    probability, min_size, flow_error
        As for `label_field`.
    block : sequence of int, optional
        Voxels ``([z,] y, x)`` that are worked on at once, whole chunks; by default about 8 million.
    halo : int or sequence of int, optional
        Voxels that are read around a block beyond what one step of the flow needs.
    chunks : sequence of int, optional
        Chunks ``([z,] y, x)`` of the output; by default those of the field.
    executor : Executor, optional
        Where blocks are worked on; by default this process, with one thread.
    work : Path, optional
        Folder for what is kept between stages, which a later run goes on from; by default beside
        the output, and removed at the end. It takes about 15 bytes per foreground voxel.
    progress : callable or Progress, optional
        ``(fraction, message)``.
    cancel : threading.Event, optional
        Stops the work when set.

    Returns
    -------
    StoreLabels

    Raises
    ------
    InputError
        If a parameter is out of its range, or a block is not a whole number of chunks.
    StorageError
        If the output exists and is not of an unfinished run of the same, or cannot be written.
    Cancelled
        If the user has cancelled; a later run goes on from there.

    Notes
    -----
    Memory: each worker holds one block, at 4 bytes a voxel with its halo and about 30 a covered
    voxel, and the runs of the instances that begin in it, which are the larger the larger these
    are; with `flow_error` also the box of one instance, at about 130 bytes a voxel where it fails
    and is taken apart. The process that calls holds tables with a row per sink, border between two
    basins, piece of an instance in a block, and instance.

    A block is read with a halo, and chains of pointers are followed within it; those that go
    farther are followed by the blocks that they go to, so no trajectory is too long. Sums over
    blocks are of whole numbers, so that their order does not count, and all that is decided from
    them is decided once for the whole frame.
    """
    output = Path(output)
    plan = plan_labels(
        field,
        output,
        output.with_name(f".{output.name}.work") if work is None else Path(work),
        probability=probability,
        min_size=min_size,
        flow_error=flow_error,
        block=block,
        halo=halo,
        chunks=chunks,
    )
    steps = progress if isinstance(progress, Progress) else Progress(progress, cancel)
    executor = InProcess() if executor is None else executor
    plan.begin()
    frames = [plan.jobs(frame) for frame in plan.frames]
    stages = Stages(executor, plan.work, steps)
    numbered = _instances(frames, stages)
    plan.make_output(max(len(one.voxels) for one in numbered))
    labels = _joined(plan, _finished(frames, stages, numbered))
    if work is None:
        shutil.rmtree(plan.work, ignore_errors=True)
    return labels


@dataclass(frozen=True)
class _Frame:
    """What is known of a frame when its labels are written."""

    numbered: Numbered
    filled: NDArray[np.int64]
    shape: tuple[int, int, int]


def _instances(frames: Sequence[Sequence[BlockJob]], stages: Stages) -> list[Numbered]:
    """Everything up to the ids, of all frames."""
    jobs = [*chain(*frames)]
    stages("trace", label_trace.trace, jobs, 0.0, 0.35, "following the flow")
    label_trace.settle_exits(frames, stages)
    for one in frames:
        label_basins.number_basins(one[0].frame, one)
    if jobs[0].frame.split:
        stages("parts", label_basins.parts, jobs, 0.35, 0.45, "finding basins")
        for one in frames:
            label_basins.number_parts(one[0].frame, one)
    stages("borders", label_basins.borders, jobs, 0.45, 0.6, "finding basins")
    drop(stages.work, "trace")
    for one in frames:
        label_basins.unite_basins(one[0].frame, one)
    stages("pieces", label_pieces.pieces, jobs, 0.6, 0.67, "finding cells")
    drop(stages.work, "borders")
    stages("match", label_pieces.match, jobs, 0.67, 0.7, "finding cells")
    return [label_pieces.number_pieces(one[0].frame, one) for one in frames]


def _finished(
    frames: Sequence[Sequence[BlockJob]], stages: Stages, numbered: Sequence[Numbered]
) -> list[_Frame]:
    """Holes filled, labels written; of those above the limit of the flow error parts are left."""
    limit = frames[0][0].frame.flow_error
    cut = 1.0 if limit is None else 0.8
    asked = [
        label_write.by_block(one[0].frame, one, rows.box, "instances")
        for one, rows in zip(frames, numbered, strict=True)
    ]
    stages("holes", label_write.holes, [*chain(*asked)], 0.7, 0.75, "filling holes")
    jobs = [
        label_write.with_sources(one[0].frame, some, one)
        for one, some in zip(frames, asked, strict=True)
    ]
    stages("write", label_write.write, [*chain(*jobs)], 0.75, cut, "writing labels")
    found = [
        _Frame(rows, _filled("write", one, len(rows.voxels)), one[0].frame.shape)
        for rows, one in zip(numbered, jobs, strict=True)
    ]
    if limit is None:
        return found
    stages("errors", label_check.errors, [*chain(*asked)], cut, 0.95, "measuring flow errors")
    again = []
    for k, (one, some) in enumerate(zip(found, asked, strict=True)):
        error = _errors(some, len(one.filled))
        rows = replace(one.numbered, flow_error=error)
        if (error > limit).any():
            again.append(k)
            frame = jobs[k][0].frame
            rows, jobs[k] = label_parts.renumbered(frame, rows, one.filled[:, 0], some, jobs[k])
        found[k] = replace(one, numbered=rows)
    rest = [job for k in again for job in jobs[k]]
    if rest:
        stages("rewrite", label_write.rewrite, rest, 0.95, 1.0, "writing labels")
    for k in again:
        count = len(found[k].numbered.voxels)
        found[k] = replace(found[k], filled=_filled("rewrite", jobs[k], count))
    return found


def _errors(asked: Sequence[BlockJob], count: int) -> NDArray[np.float32]:
    """Flow error of each instance of a frame."""
    error = np.zeros(count, np.float32)
    for job in asked:
        found = load_result(job.frame.work, "errors", job.key)
        error[found["id"] - 1] = found["error"]
    return error


def _filled(stage: str, jobs: Sequence[BlockJob], count: int) -> NDArray[np.int64]:
    """Voxels of each instance of a frame that were filled, and the sums of their positions."""
    total = np.zeros((count, 4), np.int64)
    for _, found in results(jobs[0].frame.work, stage, jobs):
        total[found["id"] - 1] += found["sums"]
    return total


def _joined(plan: LabelPlan, frames: Sequence[_Frame]) -> StoreLabels:
    counts = [len(one.numbered.voxels) for one in frames]
    rejected = [
        (t, located(where, one.shape), voxels, reason)
        for t, one in enumerate(frames)
        for where, voxels, reason in one.numbered.rejected
    ]

    def all_of(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(one.numbered, name) for one in frames])

    filled = np.concatenate([one.filled for one in frames])
    voxels = all_of("voxels") + filled[:, 0]
    measured = frames[0].numbered.flow_error is not None
    return StoreLabels(
        path=plan.output,
        t=np.repeat(np.arange(len(frames)), counts),
        id=np.concatenate([np.arange(1, n + 1) for n in counts]),
        voxels=voxels,
        logit=all_of("logit"),
        agreement=all_of("agreement"),
        flow_error=all_of("flow_error") if measured else None,
        box=all_of("box"),
        centroid=(all_of("moment") + filled[:, 1:]) / voxels[:, None],
        rejected=Rejected(
            t=np.concatenate([np.full(len(n), t, np.int64) for t, _, n, _ in rejected]),
            position=np.concatenate([position for _, position, _, _ in rejected]),
            voxels=np.concatenate([n for _, _, n, _ in rejected]),
            reason=np.concatenate([np.full(len(n), r, np.int8) for _, _, n, r in rejected]),
        ),
    )
