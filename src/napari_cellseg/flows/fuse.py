"""Three orientations of 2D flow become one 3D field."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from napari_cellseg.flows.grid import AXES, Grid
from napari_cellseg.flows.predict import Advance, batch_size, predict_planes
from napari_cellseg.networks.protocol import FlowNetwork

#: Weight of a flow without length: two of those are averaged evenly.
_LEAST = 0.02


class Fused(NamedTuple):
    """A field on the device that made it.

    Attributes
    ----------
    flow : Tensor of float16, (3, z, y, x)
    logits : Tensor of float16, (z, y, x)
    disagreement : Tensor of float16, (z, y, x), or None
        RMS difference of the orientations' flow components, halved: 0 to 1. None where there is one
        orientation only.
    """

    flow: Tensor
    logits: Tensor
    disagreement: Tensor | None


def predict_field(
    network: FlowNetwork,
    volume: Tensor,
    grid: Grid,
    advance: Advance,
    fusion: str = "mean",
    within: tuple[slice, slice, slice] | None = None,
) -> Fused:
    """Predict every orientation of a working volume and fuse what they say of each axis.

    Parameters
    ----------
    network : FlowNetwork
    volume : Tensor of float16, (z, y, x) or (c, z, y, x)
        Normalised, ``grid.working_shape``, on the network's device.
    grid : Grid
    advance : callable
        Told the number of network pixels after each batch; may raise to stop.
    fusion : str
        ``"mean"``: dz is the mean of xz and yz, dy of xy and yz, dx of xy and xz, the logit of all
        three. ``"weighted"``: in the mean of two flows, each orientation counts by the square of
        its 2D flow's length. ``"xy"``: xy planes only; dz is 0.
    within : tuple of slice, optional
        The part (z, y, x) that is wanted; what lies around it only serves as surroundings, and
        planes beside it are not predicted.

    Returns
    -------
    Fused

    Notes
    -----
    A mean, not the sum: where orientations disagree the flow gets shorter, and its length says
    how far to trust it. After the fusion of Cellpose (Stringer et al. 2021), which sums.

    Weights are no better on the stacks at hand, where they change a cell in fifty either way
    (`benchmarks/fusion_ablation.py`). Weights on the logits, by length, certainty or view, and
    logits calibrated to those of xy, made masks too large or too small in one stack or another.
    """
    orientations = grid.seen(fusion)
    shape, device = volume.shape[-3:], volume.device
    flow = torch.zeros((3, *shape), dtype=torch.float16, device=device)
    logits = torch.zeros(shape, dtype=torch.float16, device=device)
    several = len(orientations) > 1
    weigh = several and fusion == "weighted"
    apart = torch.zeros(shape, dtype=torch.float16, device=device) if several else None
    lengths: dict[int, Tensor] = {}  # by axis: of the 2D flow that told of it first, in 1/255
    for orientation in orientations:
        rows, cols, along = AXES[orientation]
        mine = torch.zeros(shape if weigh else 0, dtype=torch.uint8, device=device)
        chosen = None if within is None else within[along]
        for start, out in predicted_planes(network, volume, grid, orientation, advance, chosen):
            where = (*(slice(None),) * along, slice(start, start + len(out)))
            if weigh:
                length = torch.hypot(out[:, 0], out[:, 1]).clamp_(max=1)
                mine[where] = (length.movedim(0, along) * 255).round_().to(torch.uint8)
            for component, axis in ((0, rows), (1, cols)):
                into, new = flow[axis][where], out[:, component].movedim(0, along)
                if axis in lengths and apart is not None:
                    difference = new - into
                    apart[where] += difference.square().to(torch.float16)
                    share = _share(mine[where], lengths[axis][where]) if weigh else 0.5
                    new = into + share * difference
                into.copy_(new)
            logits[where] += (out[:, 2] / len(orientations)).movedim(0, along).to(torch.float16)
        for axis in (rows, cols):
            lengths.setdefault(axis, mine)
    return Fused(flow, logits, None if apart is None else apart.div_(12).sqrt_())


def _share(mine: Tensor, other: Tensor) -> Tensor:
    """How much of a weighted mean is mine, by lengths in 1/255."""
    own, rest = (mine / 255).square_(), (other / 255).square_()
    return (own + _LEAST) / (own + rest + 2 * _LEAST)


def predicted_planes(
    network: FlowNetwork,
    volume: Tensor,
    grid: Grid,
    orientation: str,
    advance: Advance,
    chosen: slice | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """Predict the planes of one orientation, a batch at a time.

    Parameters
    ----------
    network, volume, grid, advance
        As for `predict_field`.
    orientation : str
    chosen : slice, optional
        Which planes; all by default.

    Yields
    ------
    start : int
        Index of the first plane.
    out : Tensor of float32, (n, 3, rows, cols)
        On the working grid: flow along rows, flow along cols, logit.
    """
    along = AXES[orientation][2]
    shape = grid.plane_shape(orientation)
    step = batch_size(network, shape)
    axis = volume.ndim - 3 + along
    first, last, _ = (chosen or slice(None)).indices(volume.shape[axis])
    for start in range(first, last, step):
        count = min(step, last - start)
        planes = volume.narrow(axis, start, count).movedim(axis, 0).float()
        yield start, predict_planes(network, planes, shape)
        advance(count * shape[0] * shape[1])
