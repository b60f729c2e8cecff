"""From a flow field to labelled instances."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.flows.field import FlowField
from napari_cellseg.flows.merging import BasinGraph

if TYPE_CHECKING:
    from napari_cellseg.flows.integrate import Integration
    from napari_cellseg.flows.progress import Progress

_LINK = 2.0  # terminals within this many finest in-plane voxels are one sink

_COARSE = 2.5  # planes farther apart than this, in finest in-plane voxels, are judged one by one

#: Why a sink gave no instance.
REASONS = ("small", "stray", "flow error")


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
        Drop instances whose mean squared flow difference from their own mask's flow is greater.

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
        Where to integrate: ``"cpu"``, or a torch device.
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
    threshold = float(np.float32(np.log(probability / (1 - probability))))
    labels = np.zeros((field.n_times, *field.spatial_shape), np.uint32)
    frames = []
    for t in range(field.n_times):
        if progress is not None:
            progress(t / field.n_times, "labelling")
        integration = field.integration(
            t, floor=threshold, threads=threads, device=device, progress=progress
        )
        frame = _Frame(integration, labels[t], threshold, min_size)
        if flow_error is not None or measure_flow_error:
            frame.check_flow(field.frame(t), flow_error, threads)
        frames.append(frame)
    return _joined(labels if field.has_time else labels[0], frames)


class _Frame:
    """The labelling of one frame; `labels` is filled, and renumbered 1..n when it is done."""

    def __init__(
        self,
        integration: "Integration",
        labels: NDArray[np.uint32],
        threshold: float,
        min_size: int,
    ) -> None:
        from napari_cellseg.flows import _regions
        from napari_cellseg.flows._pieces import pieces

        self.shape = integration.shape
        self.planar = integration.planar
        self.canvas = labels.view(np.int32).reshape(self.shape)
        self.rejected: list[tuple[NDArray[np.int64], NDArray[np.int64], int]] = []
        label, seeds = _seeded(integration, threshold, self.canvas)
        _regions.paint(integration.voxels, label, self.canvas)
        lost, lost_size, highest = pieces(
            integration.voxels, label, self.canvas, len(seeds) - 1, max(1, min_size)
        )
        self._reject(integration.voxels[lost], lost_size, "stray")
        count, logit, length, self.first = _regions.sums(
            integration.voxels, integration.logits, integration.lengths, self.canvas, highest
        )
        with np.errstate(invalid="ignore"):
            self.logit = (logit / count).astype(np.float32)
            self.agreement = (length / count).astype(np.float32)
        self.voxels = count
        self.sink = self.first.copy()
        self.sink[1 : len(seeds)] = integration.voxels[seeds[1:]]
        self.flow_error: NDArray[np.float32] | None = None
        small = np.flatnonzero((count > 0) & (count < min_size))
        self._reject(self.sink[small], count[small], "small")
        self._keep(count >= max(1, min_size))
        self._fill()

    def check_flow(self, field: FlowField, limit: float | None, threads: int | None) -> None:
        """Measure flow errors, and drop instances above `limit`."""
        from napari_cellseg.flows.flow_error import flow_errors

        self.flow_error = flow_errors(field, self.canvas, threads=threads)
        if limit is None:
            return
        bad = np.flatnonzero(self.flow_error > limit)
        self._reject(self.sink[bad], self.voxels[bad], "flow error")
        self._keep(~(self.flow_error > limit))
        if bad.size:
            self._fill()

    def _fill(self) -> None:
        """Fill what each instance encloses; only its size counts it, not its means."""
        from napari_cellseg.flows import _regions
        from napari_cellseg.flows._diffusion import instance_boxes

        boxes = instance_boxes(self.canvas, self.voxels.size - 1, False)
        boxes = boxes[_regions.gapped(self.canvas, boxes)]
        filled = _regions.fill(self.canvas, boxes, self.planar)
        ids = self.canvas.reshape(-1)[filled]
        self.voxels = self.voxels + np.bincount(ids, minlength=self.voxels.size)

    def _keep(self, kept: NDArray[np.bool_]) -> None:
        """Drop the other ids, and number these 1..n by their first voxel."""
        from napari_cellseg.flows import _regions

        kept[0] = False
        order = np.flatnonzero(kept)
        order = order[np.argsort(self.first[order], kind="stable")]
        new = np.zeros(kept.size, np.int32)
        new[order] = np.arange(1, order.size + 1)
        _regions.replace(self.canvas, new)
        rows = np.concatenate([[0], order])
        self.voxels, self.first, self.sink = self.voxels[rows], self.first[rows], self.sink[rows]
        self.logit, self.agreement = self.logit[rows], self.agreement[rows]
        if self.flow_error is not None:
            self.flow_error = self.flow_error[rows]

    def _reject(self, where: NDArray[np.integer], voxels: NDArray[np.int64], reason: str) -> None:
        position = np.stack(np.unravel_index(where.astype(np.int64), self.shape), -1)
        self.rejected.append((position, voxels, REASONS.index(reason)))


def _seeded(
    integration: "Integration", threshold: float, canvas: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Basin of each covered voxel, parts of a cell united; and the sink of each, by its number."""
    from napari_cellseg.flows import _basins, _regions

    spacing, (_, height, width) = integration.spacing, integration.shape
    label = np.empty(integration.voxels.size, np.int32)
    seeds = _basins.terminal_basins(
        integration.voxels,
        integration.terminal,
        integration.logits,
        np.float32(threshold),
        _link_offsets(spacing, integration.planar),
        canvas,
        label,
    )
    whole = None
    if not integration.planar and spacing[0] > _COARSE * min(spacing[1:]):
        whole = _basins.split_planes(
            integration.voxels, integration.words, label, height * width, len(seeds) - 1
        )
        seeds = seeds[whole]
    _regions.paint(integration.voxels, label, canvas)
    graph = BasinGraph(
        *_basins.borders(
            integration.voxels,
            integration.words,
            integration.lengths,
            label,
            canvas,
            len(seeds) - 1,
        ),
        spacing,
        integration.planar,
        whole,
    )
    graph.unite()
    return graph.owner.astype(np.int32)[label], seeds


def _link_offsets(spacing: tuple[float, float, float], planar: bool) -> NDArray[np.int64]:
    """Offsets (z, y, x), one of each opposite two, at which terminals belong to one sink.

    A ball of `_LINK` finest in-plane voxels.
    """
    steps = np.asarray(spacing)
    radius = _LINK * steps[1:].min() * (1 + 1e-6)
    reach = [0 if planar and axis == 0 else int(radius / steps[axis]) for axis in range(3)]
    grid = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), -1)
    grid = grid.reshape(-1, 3)
    near = grid[((grid * steps) ** 2).sum(1) <= radius**2]
    return np.asarray(near[len(near) // 2 + 1 :], np.int64)


def _joined(labels: NDArray[np.uint32], frames: list[_Frame]) -> Labelling:
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
