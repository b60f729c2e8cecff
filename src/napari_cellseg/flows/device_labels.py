"""Labels of a field on a GPU, or on any device of torch: the same as `FrameLabels` gives.

Everything per voxel and per run of voxels is on the device, with integers, so that neither the
order of threads nor the device counts. On the host are the graph of basins (some ten numbers per
border), and the filling of holes, which only needs the runs of the few instances that have gaps.

Bytes moved per covered voxel, estimated from the operations, since no GPU was at hand: sinks 50 and
some 60 per terminal and offset (16 offsets where spacing is isotropic); borders 300, and a sort of
the faces between basins, some 10 % of the voxels; runs 60; pieces some 40 per run and neighbour row
(16 of them; a run is about ten voxels); sums 60; painting 20. The labels are copied to the host
once, 4 bytes a voxel. On a fast GPU this copy and the graph should take longer than all the rest.
"""

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cellseg.flows import _torch_basins, _torch_pieces
from napari_cellseg.flows._runs import LOGIT_STEPS
from napari_cellseg.flows._runs import Runs as HostRuns
from napari_cellseg.flows._torch_memory import in_pieces
from napari_cellseg.flows.device_integration import DeviceIntegration, integrate_on_device
from napari_cellseg.flows.frame_labels import FrameLabels, link_offsets, split_by_plane
from napari_cellseg.flows.integrate import LOOSEST
from napari_cellseg.flows.merging import BasinGraph

if TYPE_CHECKING:
    from napari_cellseg.flows.field import FlowField
    from napari_cellseg.flows.progress import Progress


def label_on_device(
    field: "FlowField",
    t: int,
    labels: NDArray[np.uint32],
    threshold: float,
    min_size: int,
    *,
    threads: int | None = None,
    device: "str | torch.device" = "cuda",
    progress: "Progress | None" = None,
) -> FrameLabels:
    """Label one frame of a field on a device; on the CPU where its memory does not suffice.

    Parameters
    ----------
    field : FlowField
        Trajectories that a device handed over are used there, those that it keeps on the host are
        copied to the device; new ones are not kept, since to integrate again takes less time than
        to copy them to the host.
    t : int
        Frame.
    labels : numpy.ndarray, uint32, shape ([z,] y, x)
        Zeros; gets the labels.
    threshold : float
        Voxels with a logit above it are foreground.
    min_size : int
        Voxels of the smallest instance.
    threads : int, optional
        For what is on the host.
    device : str or torch.device
    progress : Progress, optional
        Told of every stage; stops the work when cancelled.

    Returns
    -------
    FrameLabels

    Warns
    -----
    RuntimeWarning
        If the device's memory did not suffice; the result is the same.
    """
    frame = field.frame(t)
    kept = field.kept_integration(t, floor=threshold)
    handed = field.handed_over(t, threshold)
    try:
        if progress is not None:
            progress(0.0, "following the flow")
        if handed is not None:
            trajectories = handed
        elif kept is None:
            trajectories = integrate_on_device(
                frame.flow,
                frame.logits,
                field.spacing,
                floor=min(LOOSEST, threshold),
                device=device,
                progress=progress,
            )
        else:
            trajectories = DeviceIntegration.from_host(kept, device)
        return DeviceFrameLabels(trajectories, labels, threshold, min_size, threads, progress)
    except torch.OutOfMemoryError:
        labels[:] = 0
    # outside of the handler, so that the tensors of the failed call are free
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()
    warnings.warn(
        f"The memory of {device} did not suffice; the cells were labelled on the CPU.",
        RuntimeWarning,
        stacklevel=2,
    )
    integration = field.integration(t, floor=threshold, threads=threads, progress=progress)
    return FrameLabels(integration, labels, threshold, min_size, threads)


class DeviceFrameLabels(FrameLabels):
    """`FrameLabels` from trajectories on a device.

    Parameters
    ----------
    trajectories : DeviceIntegration
    labels, threshold, min_size, threads
        See `FrameLabels`.
    progress : Progress, optional
        Told of every stage.
    """

    def __init__(
        self,
        trajectories: DeviceIntegration,
        labels: NDArray[np.uint32],
        threshold: float,
        min_size: int,
        threads: int | None = None,
        progress: "Progress | None" = None,
    ) -> None:
        def tell(fraction: float, stage: str) -> None:
            if progress is not None:
                progress(fraction, stage)

        self.shape, self.planar = trajectories.shape, trajectories.planar
        self.canvas = labels.view(np.int32).reshape(self.shape)
        self.rejected: list[tuple[NDArray[np.int64], NDArray[np.int64], int]] = []
        self.flow_error: NDArray[np.float32] | None = None
        self._threads = threads
        voxels = trajectories.voxels
        tell(0.3, "linking sinks")
        basin, seeds, whole = _basins(trajectories, threshold)
        tell(0.5, "adding up borders")
        found = _torch_basins.borders(trajectories, basin, seeds.numel() - 1)
        pairs, sums, basins = (_host(part) for part in found)
        tell(0.65, "uniting basins")
        graph = BasinGraph(pairs, sums, basins, trajectories.spacing, self.planar, whole)
        graph.unite()
        tell(0.75, "finding pieces")
        owner = torch.from_numpy(graph.owner.astype(np.int32)).to(trajectories.device)
        runs = _torch_pieces.Runs.of(trajectories, owner.index_select(0, basin))
        del basin
        lost, lost_size, highest = _torch_pieces.part_pieces(
            trajectories, runs, seeds.numel() - 1, max(1, min_size)
        )
        self._reject(_host(voxels[lost]), _host(lost_size), "stray")
        tell(0.8, "adding up instances")
        self._measure(trajectories, runs, highest, seeds)
        small = np.flatnonzero((self.voxels > 0) & (self.voxels < min_size))
        self._reject(self.sink[small], self.voxels[small], "small")
        new = self._keep(self.voxels >= max(1, min_size))
        runs.label = torch.from_numpy(new).to(runs.label.device).long()[runs.label]
        tell(0.85, "painting")
        _paint(trajectories, runs, self.canvas)
        tell(0.95, "filling holes")
        label, left, right, first, row = (
            _host(part) for part in _torch_pieces.hollow_runs(trajectories, runs)
        )
        self._label = label
        self._runs = HostRuns(
            first=first.astype(np.int32),
            left=left,
            right=right,
            basin=label,
            length=np.zeros_like(label),
            logit=np.zeros(label.size, np.int64),
            row=row,
        )
        self._fill()

    def _measure(
        self,
        trajectories: DeviceIntegration,
        runs: _torch_pieces.Runs,
        highest: int,
        seeds: Tensor,
    ) -> None:
        """Size, means, first voxel and sink of every id."""
        found = _torch_pieces.sums(trajectories, runs, highest)
        count, length, logit, first = (_host(part) for part in found)
        with np.errstate(invalid="ignore"):
            self.logit = (logit / LOGIT_STEPS / count).astype(np.float32)
            self.agreement = (length / 255.0 / count).astype(np.float32)
        self.voxels, self.first = count, first
        self.sink = first.copy()
        self.sink[1 : seeds.numel()] = _host(trajectories.voxels[seeds[1:]])


def _basins(
    trajectories: DeviceIntegration, threshold: float
) -> tuple[Tensor, Tensor, NDArray[np.int32] | None]:
    """Basin by slot, first terminal of each, and what each is a part of where planes are coarse."""
    spacing, planar = trajectories.spacing, trajectories.planar
    basin, seeds = _torch_basins.terminal_basins(
        trajectories, threshold, link_offsets(spacing, planar)
    )
    if not split_by_plane(spacing, planar):
        return basin, seeds, None
    whole = _torch_basins.split_planes(trajectories, basin, seeds.numel() - 1)
    return basin, seeds[whole.long()], _host(whole)


def _paint(
    trajectories: DeviceIntegration, runs: _torch_pieces.Runs, canvas: NDArray[np.int32]
) -> None:
    """Write the label of every run into `canvas` (z, y, x) on the host."""
    label = torch.cat([runs.label.new_zeros(1), runs.label]).to(torch.int32)
    own = label.index_select(0, runs.run)
    into = torch.from_numpy(canvas.reshape(-1))

    def work(part: slice) -> None:
        into[part] = own.index_select(0, trajectories.slots[part])

    in_pieces(into.numel(), trajectories.device, work)


def _host(values: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = values.cpu().numpy()
    return array
