"""Three orientations of 2D flow become one 3D field."""

import torch
from torch import Tensor

from napari_cellseg.flows.grid import AXES, Grid
from napari_cellseg.flows.predict import Advance, batch_size, predict_planes
from napari_cellseg.networks.protocol import FlowNetwork


def predict_field(
    network: FlowNetwork, volume: Tensor, grid: Grid, advance: Advance
) -> tuple[Tensor, Tensor]:
    """Predict every orientation of a working volume and average what they say of each axis.

    Parameters
    ----------
    network : FlowNetwork
    volume : Tensor of float16, (z, y, x)
        Normalised, ``grid.working_shape``, on the network's device.
    grid : Grid
    advance : callable
        Told the number of network pixels after each batch; may raise to stop.

    Returns
    -------
    flow : Tensor of float16, (3, z, y, x)
        dz is the mean of xz and yz, dy of xy and yz, dx of xy and xz.
    logits : Tensor of float16, (z, y, x)
        Mean of the orientations.

    Notes
    -----
    The mean, not the sum: where orientations disagree the flow gets shorter, and its length says
    how far to trust it. After the fusion of Cellpose (Stringer et al. 2021), which sums.
    """
    flow = torch.zeros((3, *volume.shape), dtype=torch.float16, device=volume.device)
    logits = torch.zeros(volume.shape, dtype=torch.float16, device=volume.device)
    share = 1 / len(grid.orientations)
    # a single plane has one orientation: its flow is the field's, not half of it
    half = 0.5 if len(grid.orientations) > 1 else 1.0
    for orientation in grid.orientations:
        rows, cols, along = AXES[orientation]
        shape = grid.plane_shape(orientation)
        step = batch_size(network, shape)
        for start in range(0, volume.shape[along], step):
            count = min(step, volume.shape[along] - start)
            planes = volume.narrow(along, start, count).movedim(along, 0).float()
            out = predict_planes(network, planes, shape)
            for component, axis in ((0, rows), (1, cols)):
                into = flow[axis].narrow(along, start, count)
                into += (half * out[:, component]).movedim(0, along).to(torch.float16)
            into = logits.narrow(along, start, count)
            into += (share * out[:, 2]).movedim(0, along).to(torch.float16)
            advance(count * shape[0] * shape[1])
    return flow, logits
