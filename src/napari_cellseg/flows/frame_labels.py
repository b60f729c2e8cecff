"""The labels of one frame, from its trajectories."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows.merging import BasinGraph

if TYPE_CHECKING:
    from napari_cellseg.flows._runs import Runs
    from napari_cellseg.flows.field import FlowField
    from napari_cellseg.flows.integrate import Integration

_LINK = 2.0  # terminals within this many finest in-plane voxels are one sink

_COARSE = 2.5  # planes farther apart than this, in finest in-plane voxels, are judged one by one

#: Why a sink gave no instance.
REASONS = ("small", "stray", "flow error")


class FrameLabels:
    """The labelling of one frame; `labels` is filled, and renumbered 1..n when it is done.

    Parameters
    ----------
    integration : Integration
    labels : numpy.ndarray, uint32, shape ([z,] y, x)
        Zeros; gets the labels.
    threshold : float
        Voxels with a logit above it are foreground.
    min_size : int
        Voxels of the smallest instance.
    threads : int, optional
        Number of threads; by default one per core. The result does not depend on it.
    unite : bool
        Whether basins that are parts of one cell become one instance; else each is its own.

    Attributes
    ----------
    voxels, first, sink : numpy.ndarray, int64, shape (n + 1,)
        By id (row 0 is unused): voxels, the first one's raster index, and its sink's.
    logit, agreement : numpy.ndarray, float32, shape (n + 1,)
        Mean logit and mean length of the flow.
    flow_error : numpy.ndarray or None, float32, shape (n + 1,)
    rejected : list of (position, voxels, reason)
        What gave no instance.
    """

    def __init__(
        self,
        integration: "Integration",
        labels: NDArray[np.uint32],
        threshold: float,
        min_size: int,
        threads: int | None = None,
        *,
        unite: bool = True,
    ) -> None:
        from napari_cellseg.flows import _run_pieces, _runs

        self.shape = integration.shape
        self.planar = integration.planar
        self.canvas = labels.view(np.int32).reshape(self.shape)
        self.rejected: list[tuple[NDArray[np.int64], NDArray[np.int64], int]] = []
        self._threads = threads
        voxels = integration.voxels
        self._runs, self._label, seeds = _united(
            integration, threshold, self.canvas, threads, unite
        )
        runs = self._runs
        lost, lost_size, highest = _run_pieces.pieces(
            runs, self._label, self.shape[1], len(seeds) - 1, max(1, min_size), threads
        )
        self._reject(voxels[runs.first[lost]], lost_size, "stray")
        count, length, logit, first = _runs.sums(
            runs.first, runs.left, runs.right, runs.length, runs.logit, self._label, highest
        )
        with np.errstate(invalid="ignore"):
            self.logit = (logit / _runs.LOGIT_STEPS / count).astype(np.float32)
            self.agreement = (length / 255.0 / count).astype(np.float32)
        self.voxels = count
        self.first = np.full(count.size, -1, np.int64)
        self.first[count > 0] = voxels[first[count > 0]]
        self.sink = self.first.copy()
        self.sink[1 : len(seeds)] = voxels[seeds[1:]]
        self.flow_error: NDArray[np.float32] | None = None
        small = np.flatnonzero((count > 0) & (count < min_size))
        self._reject(self.sink[small], count[small], "small")
        self._label = self._keep(count >= max(1, min_size))[self._label]
        _runs.paint(voxels, runs, self._label, self.canvas, threads)
        self._fill()

    def check_flow(self, field: "FlowField", limit: float | None, min_size: int) -> None:
        """Measure flow errors; of instances above `limit` keep the parts that pass alone."""
        from napari_cellseg.flows import _regions
        from napari_cellseg.flows._diffusion import instance_boxes
        from napari_cellseg.flows.apart import paint_parts, parts_of
        from napari_cellseg.flows.flow_error import flow_errors

        self.flow_error = flow_errors(field, self.canvas, threads=self._threads)
        if limit is None:
            return
        bad = np.flatnonzero(self.flow_error > limit)
        if not bad.size:
            return
        boxes = instance_boxes(self.canvas, self.voxels.size - 1, False)
        boxes = boxes[np.isin(boxes[:, 0], bad)]
        found = parts_of(field, self.canvas, boxes, limit, min_size, self._threads)
        rest = self.voxels.copy()
        np.subtract.at(rest, found.whole, found.voxels)
        self._reject(self.sink[bad], rest[bad], "flow error")
        kept = np.concatenate([~(self.flow_error > limit), np.ones(len(found.whole), bool)])
        for name in ("voxels", "first", "sink", "logit", "agreement", "flow_error"):
            setattr(self, name, np.concatenate([getattr(self, name), getattr(found, name)]))
        highest = rest.size - 1
        new = self._keep(kept)
        self._label = new[self._label]
        _regions.replace(self.canvas, new)
        paint_parts(self.canvas, found, new[highest + 1 :])
        self._fill()

    def finish(self) -> None:
        """Forget the runs: nothing more can be dropped or filled."""
        del self._runs, self._label

    def _fill(self) -> None:
        """Fill what each instance encloses; only its size counts it, not its means."""
        from napari_cellseg.flows._holes import fill_holes

        highest = self.voxels.size - 1
        filled = fill_holes(
            self._runs, self._label, self.canvas, highest, self.planar, self._threads
        )
        ids = self.canvas.reshape(-1)[filled]
        self.voxels = self.voxels + np.bincount(ids, minlength=self.voxels.size)

    def _keep(self, kept: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Drop the other ids, and number these 1..n by their first voxel; return the new ids."""
        kept[0] = False
        order = np.flatnonzero(kept)
        order = order[np.argsort(self.first[order], kind="stable")]
        new = np.zeros(kept.size, np.int32)
        new[order] = np.arange(1, order.size + 1)
        rows = np.concatenate([[0], order])
        self.voxels, self.first, self.sink = self.voxels[rows], self.first[rows], self.sink[rows]
        self.logit, self.agreement = self.logit[rows], self.agreement[rows]
        if self.flow_error is not None:
            self.flow_error = self.flow_error[rows]
        return new

    def _reject(self, where: NDArray[np.integer], voxels: NDArray[np.int64], reason: str) -> None:
        position = np.stack(np.unravel_index(where.astype(np.int64), self.shape), -1)
        self.rejected.append((position, voxels, REASONS.index(reason)))


def _united(
    integration: "Integration",
    threshold: float,
    canvas: NDArray[np.int32],
    threads: int | None,
    unite: bool,
) -> tuple["Runs", NDArray[np.int32], NDArray[np.int32]]:
    """Runs of the foreground, the basin of each with parts of a cell united, and their sinks."""
    from napari_cellseg.flows import _borders, _runs, _sinks

    spacing, (_, height, _) = integration.spacing, integration.shape
    voxels, planar = integration.voxels, integration.planar
    ends, seeds = _sinks.terminal_basins(
        voxels,
        integration.terminal,
        integration.logits,
        threshold,
        link_offsets(spacing, planar),
        canvas,
        threads,
    )
    split = unite and split_by_plane(spacing, planar)
    runs = _runs.list_runs(
        voxels,
        integration.terminal,
        integration.logits,
        integration.lengths,
        integration.words,
        threshold,
        canvas,
        split,
        threads,
    )
    canvas.reshape(-1)[voxels[ends]] = 0
    if not unite:
        return runs, runs.basin, seeds
    whole = None
    if split:
        whole = _runs.number_parts(runs.basin, runs.row, height, len(seeds) - 1)
        seeds = seeds[whole]
    sums = _borders.borders(
        runs, integration.words, integration.lengths, height, len(seeds) - 1, threads
    )
    graph = BasinGraph(*sums, spacing, planar, whole)
    graph.unite()
    return runs, graph.owner.astype(np.int32)[runs.basin], seeds


def split_by_plane(spacing: tuple[float, float, float], planar: bool) -> bool:
    """Whether planes are so coarse that basins are judged plane by plane."""
    return not planar and spacing[0] > _COARSE * min(spacing[1:])


def link_offsets(spacing: tuple[float, float, float], planar: bool) -> NDArray[np.int64]:
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
