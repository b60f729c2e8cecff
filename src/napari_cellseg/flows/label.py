"""From a flow field to labelled instances."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.flows.field import FlowField
from napari_cellseg.flows.frame_labels import REASONS, FrameLabels

if TYPE_CHECKING:
    from napari_cellseg.flows.progress import Progress

__all__ = ["REASONS", "Labelling", "Rejected", "instances", "label_field"]


@dataclass(frozen=True)
class Rejected:
    """Sinks and pieces that gave no instance: where a missed cell may be.

    Attributes
    ----------
    t : numpy.ndarray, int64, shape (n,)
        Frame.
    position : numpy.ndarray, int64, shape (n, 3)
        Voxel ``(z, y, x)`` of the sink, or the first one of a stray piece.
    voxels : numpy.ndarray, int64, shape (n,)
        How many voxels flow there.
    reason : numpy.ndarray, int8, shape (n,)
        Index into `REASONS`.
    """

    t: NDArray[np.int64]
    position: NDArray[np.int64]
    voxels: NDArray[np.int64]
    reason: NDArray[np.int8]


@dataclass(frozen=True)
class Labelling:
    """Labels of a field, with what is known of each instance.

    Row i of the arrays is the instance ``(t[i], id[i])``.

    Attributes
    ----------
    labels : numpy.ndarray, uint32, shape ([t,] [z,] y, x)
        0 is background; in each frame ids are 1..n by the raster order of their first voxel.
    t, id : numpy.ndarray, int64, shape (n,)
        Frame and id.
    voxels : numpy.ndarray, int64, shape (n,)
        Size.
    logit : numpy.ndarray, float32, shape (n,)
        Mean logit.
    agreement : numpy.ndarray, float32, shape (n,)
        Mean length of the flow, 0 to 1: where orientations disagree the mean flow is short.
    flow_error : numpy.ndarray or None, float32, shape (n,)
        Mean squared difference between the field and the flow of the mask itself, 0 to 4; None
        where it was not asked for.
    rejected : Rejected
        Sinks that gave no instance.
    """

    labels: NDArray[np.uint32]
    t: NDArray[np.int64]
    id: NDArray[np.int64]
    voxels: NDArray[np.int64]
    logit: NDArray[np.float32]
    agreement: NDArray[np.float32]
    flow_error: NDArray[np.float32] | None
    rejected: Rejected

    def __len__(self) -> int:
        return len(self.id)


def instances(
    field: FlowField,
    probability: float = 0.5,
    min_size: int = 15,
    flow_error: float | None = None,
) -> NDArray[np.uint32]:
    """Label the instances of a flow field.

    Voxels above the cell probability follow the flow to their sinks; sinks whose basins are parts
    of one cell are united; every instance is made one connected piece without enclosed holes.

    Parameters
    ----------
    field : FlowField
        2D or 3D, with or without time; frames are labelled one by one.
    probability : float
        A voxel is foreground where the cell probability is greater. In (0, 1).
    min_size : int
        Smallest instance, in voxels.
    flow_error : float, optional
        Drop instances whose mean squared flow difference from their own mask's flow is greater;
        parts of them that pass alone are kept.

    Returns
    -------
    numpy.ndarray, uint32, shape ([t,] [z,] y, x)
        0 is background; in each frame ids are 1..n by the raster order of their first voxel.

    Raises
    ------
    InputError
        If a parameter is out of its range.

    Notes
    -----
    A field without any flow makes every voxel its own sink; where nothing parts neighbours, they
    are united: each connected piece of foreground is one instance.

    The labels do not depend on threads or device, nor on whether the field was prepared; shifting
    the volume in a larger background changes nothing.
    """
    return label_field(field, probability, min_size, flow_error).labels


def label_field(
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
    """Label a field and measure each instance; see :func:`instances`.

    The first call integrates the field (and keeps the trajectories in it); later ones only label,
    in interactive time.

    Parameters
    ----------
    field : FlowField
    probability : float
    min_size : int
    flow_error : float, optional
    measure_flow_error : bool
        Measure the flow error even if nothing is dropped by it (it takes longer than the rest).
    threads : int, optional
        Number of threads; by default one per core.
    device : str
        ``"cpu"``, or a torch device: ``"cuda"``, where trajectories are made anew each time, or
        ``"mps"``, for these only.
    progress : Progress, optional
        Told of every frame; stops the work when cancelled.

    Returns
    -------
    Labelling

    Raises
    ------
    InputError
        If a parameter is out of its range.
    """
    if not 0 < probability < 1:
        raise InputError(f"The probability is {probability}, but it must be between 0 and 1.")
    if not min_size >= 0:
        raise InputError(f"The min_size is {min_size}, but it must be 0 voxels or more.")
    if flow_error is not None and not flow_error >= 0:
        raise InputError(f"The flow_error is {flow_error}, but it must be 0 or more.")
    if field.stitched:
        from napari_cellseg.flows.stitch import label_stitched

        return label_stitched(
            field,
            probability,
            min_size,
            flow_error,
            measure_flow_error=measure_flow_error,
            threads=threads,
            device=device,
            progress=progress,
        )
    threshold = float(np.float32(np.log(probability / (1 - probability))))
    labels = np.zeros((field.n_times, *field.spatial_shape), np.uint32)
    frames = []
    for t in range(field.n_times):
        if progress is not None:
            progress(t / field.n_times, "labelling")
        if device.startswith(("cpu", "mps")):  # MPS lacks the integer arithmetic that labels need
            integration = field.integration(
                t, floor=threshold, threads=threads, device=device, progress=progress
            )
            frame = FrameLabels(integration, labels[t], threshold, min_size, threads)
        else:
            from napari_cellseg.flows.device_labels import label_on_device

            share = progress
            if progress is not None:
                share = progress.part(t / field.n_times, (t + 1) / field.n_times)
            frame = label_on_device(
                field,
                t,
                labels[t],
                threshold,
                min_size,
                threads=threads,
                device=device.removeprefix("torch-"),
                progress=share,
            )
        if flow_error is not None or measure_flow_error:
            frame.check_flow(field.frame(t), flow_error, min_size)
        frame.finish()
        frames.append(frame)
    return _joined(labels if field.has_time else labels[0], frames)


def _joined(labels: NDArray[np.uint32], frames: list[FrameLabels]) -> Labelling:
    counts = [frame.voxels.size - 1 for frame in frames]
    rejected = [(t, *entry) for t, frame in enumerate(frames) for entry in frame.rejected]
    errors = [frame.flow_error[1:] for frame in frames if frame.flow_error is not None]
    return Labelling(
        labels=labels,
        t=np.repeat(np.arange(len(frames)), counts),
        id=np.concatenate([np.arange(1, n + 1) for n in counts]),
        voxels=np.concatenate([frame.voxels[1:] for frame in frames]),
        logit=np.concatenate([frame.logit[1:] for frame in frames]),
        agreement=np.concatenate([frame.agreement[1:] for frame in frames]),
        flow_error=np.concatenate(errors) if errors else None,
        rejected=Rejected(
            t=np.concatenate([np.full(len(n), t, np.int64) for t, _, n, _ in rejected]),
            position=np.concatenate([position for _, position, _, _ in rejected]),
            voxels=np.concatenate([n for _, _, n, _ in rejected]),
            reason=np.concatenate([np.full(len(n), r, np.int8) for _, _, n, r in rejected]),
        ),
    )
