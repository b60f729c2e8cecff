"""From the intensities of a region to its flow field, with nothing but what is passed in."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cellseg.flows.fuse import Fused, predict_field
from napari_cellseg.flows.grid import Grid
from napari_cellseg.flows.limits import Limits, ToGrey
from napari_cellseg.flows.progress import Progress
from napari_cellseg.flows.resample import enlarge_volume, reduce_volume
from napari_cellseg.networks.protocol import FlowNetwork, diameters_of

#: Measures a stage of the work, by its name.
Clock = Callable[[str], AbstractContextManager[None]]


def predict_region(
    network: FlowNetwork,
    stack: Any,
    spacing: tuple[float, float, float],
    limits: Limits,
    diameter: float | None,
    *,
    fusion: str = "mean",
    to_grey: ToGrey | None = None,
    core: tuple[slice, slice, slice] | None = None,
    progress: Progress | None = None,
) -> tuple[NDArray[np.float16], NDArray[np.float16], NDArray[np.uint8] | None]:
    """Flow field of a region, on the region's own grid.

    Parameters
    ----------
    network : FlowNetwork
    stack : array-like, (z, y, x), or (z, y, x, c) with at most as many channels as it takes
        Possibly lazy; each plane is read once. A 2D image is one plane.
    spacing : tuple of float, (z, y, x)
    limits : tuple
        Of the whole image; see `intensity_limits`.
    diameter : float or None
        Of the cells, in the unit of ``spacing``; None: planes are shown as they are sampled.
    fusion : str
        See `predict_field`.
    to_grey : callable, optional
        Makes grey of the channels.
    core : tuple of slice, optional
        The part (z, y, x) of the stack that is wanted; the rest is its surroundings. By default
        all of it.
    progress : Progress, optional
        Told of every batch; stops the work when cancelled.

    Returns
    -------
    Of the stack, or of its core:

    flow : array of float16, (3, z, y, x)
        Physical directions (dz, dy, dx).
    logits : array of float16, (z, y, x)
    disagreement : array of uint8, (z, y, x), or None
        See `FlowField`; None where one orientation alone was predicted.

    Raises
    ------
    torch.OutOfMemoryError
        If not even one tile fits into the memory of the network's device.
    Cancelled
        If the user has cancelled.
    """
    fused = predict_on_device(
        network,
        stack,
        spacing,
        limits,
        diameter,
        fusion=fusion,
        to_grey=to_grey,
        core=core,
        progress=progress,
    )
    flow, logits, disagreement = fused
    return (
        flow.cpu().numpy(),
        logits.cpu().numpy(),
        None if disagreement is None else disagreement.cpu().numpy(),
    )


def predict_on_device(
    network: FlowNetwork,
    stack: Any,
    spacing: tuple[float, float, float],
    limits: Limits,
    diameter: float | None,
    *,
    fusion: str = "mean",
    to_grey: ToGrey | None = None,
    core: tuple[slice, slice, slice] | None = None,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> Fused:
    """As `predict_region`, but what it returns stays on the network's device.

    Parameters
    ----------
    clock : callable, optional
        Measures the stages ``"load image"``, ``"predict"`` and ``"fuse"``.

    Returns
    -------
    Fused
        On the region's own grid, of its core only where there is one; the disagreement as uint8.
    """
    steps, stage = progress or Progress(), clock or (lambda name: nullcontext())
    shape = (int(stack.shape[0]), int(stack.shape[1]), int(stack.shape[2]))
    grid = Grid.for_network(shape, spacing, diameter, diameters_of(network))
    with stage("load image"):
        steps(0.0, "reading the image")
        working = reduce_volume(stack, grid.working_shape, limits, network.device, to_grey)
    total, done = grid.network_pixels(fusion), 0

    def advance(pixels: int) -> None:
        nonlocal done
        done += pixels
        steps(0.97 * done / total, "running the network")

    with stage("predict"):
        within = None if core is None else _on_working_grid(core, grid)
        fused = predict_field(network, working, grid, advance, fusion, within)
    with stage("fuse"):
        steps(0.98, "fusing orientations")
        flow, logits, disagreement = _enlarged(fused, grid.shape)
        if core is None:
            return Fused(flow, logits, disagreement)
        part = None if disagreement is None else disagreement[core]
        return Fused(flow[(slice(None), *core)], logits[core], part)


def _on_working_grid(core: tuple[slice, slice, slice], grid: Grid) -> tuple[slice, slice, slice]:
    """Working voxels that a part of the stack is interpolated from."""
    z, y, x = (
        slice(max(0, part.start * m // n - 1), min(m, -(-part.stop * m // n) + 1))
        for part, m, n in zip(core, grid.working_shape, grid.shape, strict=True)
    )
    return z, y, x


def _enlarged(fused: Fused, shape: tuple[int, int, int]) -> Fused:
    if tuple(fused.logits.shape) == shape:
        flow, logits = fused.flow, fused.logits
    else:
        flow = torch.empty((3, *shape), dtype=torch.float16, device=fused.flow.device)
        for into, component in zip(flow, fused.flow, strict=True):
            into.copy_(enlarge_volume(component, shape))
        logits = enlarge_volume(fused.logits, shape)
    if fused.disagreement is None:
        return Fused(flow, logits, None)
    wide = enlarge_volume(fused.disagreement, shape)
    eighth = torch.empty(shape, dtype=torch.uint8, device=wide.device)
    for into, plane in zip(eighth, wide, strict=True):
        into.copy_((plane.float() * 255).round_().clamp_(0, 255))
    return Fused(flow, logits, eighth)
