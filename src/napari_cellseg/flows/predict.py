"""Run a network over planes: enlarged, padded, tiled, in batches."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_cellseg.flows.resample import resize_planes
from napari_cellseg.networks.protocol import FlowNetwork

#: Pixels per batch. On a CPU small batches stay in the cache; a GPU wants to be filled.
BATCH_PIXELS = {"cpu": 2**19, "cuda": 2**24, "mps": 2**22}
OVERLAP = 48
#: Pixels of mirrored image around each plane. Beyond its border a convolution sees zeros, which
#: made masks near it too small: a fifth of the volume of noisy nuclei in a stack of 100 planes.
MARGIN = 32


def predict_planes(network: FlowNetwork, planes: Tensor, shape: tuple[int, int]) -> Tensor:
    """Predict planes at the network's resolution and bring the result back.

    Parameters
    ----------
    network : FlowNetwork
    planes : Tensor of float32, (n, rows, cols)
        Normalised, on the network's device.
    shape : tuple of int
        Rows and cols that a plane is resampled to for the network.

    Returns
    -------
    Tensor of float32, (n, 3, rows, cols)
        Flow along rows, flow along cols, logit, at the planes' own resolution.

    Notes
    -----
    If the device's memory does not suffice, the batch is halved until it does; a single plane is
    then cut into smaller tiles.
    """
    back = (int(planes.shape[1]), int(planes.shape[2]))
    seen, (rows, cols) = resize_planes(planes[:, None], shape)[:, 0], shape
    wide = mirrored(seen, MARGIN, network.stride)
    out = _predict(network, wide, network.tile)
    return resize_planes(out[..., MARGIN : MARGIN + rows, MARGIN : MARGIN + cols], back)


def mirrored(planes: Tensor, margin: int, stride: int) -> Tensor:
    """Surround planes by their mirror image.

    Parameters
    ----------
    planes : Tensor of float32, (n, rows, cols)
    margin : int
        Pixels before and after each side, at least.
    stride : int
        Both sides become a multiple of it.

    Returns
    -------
    Tensor of float32, (n, rows', cols')
        Pixel ``(margin, margin)`` is the planes' first one. Small planes are mirrored repeatedly.
    """
    for axis in (1, 2):
        length = planes.shape[axis]
        total = length + 2 * margin
        total += -total % stride
        at = torch.arange(-margin, total - margin, device=planes.device)
        period = max(1, 2 * (length - 1))
        at = (at % period).where(at % period < length, period - at % period)
        planes = planes.index_select(axis, at)
    return planes


def batch_size(network: FlowNetwork, shape: tuple[int, int]) -> int:
    """Planes of ``shape`` that go into one batch."""
    return max(1, BATCH_PIXELS.get(network.device.type, 2**20) // (shape[0] * shape[1]))


def _predict(network: FlowNetwork, planes: Tensor, tile: int) -> Tensor:
    try:
        if max(planes.shape[1:]) > tile + OVERLAP:
            return _tiled(network, planes, tile)
        return _padded(network, planes)
    except (torch.OutOfMemoryError, MemoryError):
        if len(planes) == 1 and tile <= 128:
            raise
    # outside the handler, so that the failed call's tensors are free
    if network.device.type == "cuda":
        torch.cuda.empty_cache()
    if len(planes) > 1:
        half = len(planes) // 2
        return torch.cat([_predict(network, part, tile) for part in (planes[:half], planes[half:])])
    return _predict(network, planes, tile // 2)


def _padded(network: FlowNetwork, planes: Tensor) -> Tensor:
    rows, cols = planes.shape[1:]
    below, right = -rows % network.stride, -cols % network.stride
    if below or right:
        planes = F.pad(planes[:, None], (0, right, 0, below), mode="replicate")[:, 0]
    return network.predict(planes)[..., :rows, :cols]


def _tiled(network: FlowNetwork, planes: Tensor, tile: int) -> Tensor:
    n, rows, cols = planes.shape
    out = planes.new_zeros((n, 3, rows, cols))
    total = planes.new_zeros((rows, cols))
    for r0, r1 in _spans(rows, tile):
        for c0, c1 in _spans(cols, tile):
            weight = _taper(r1 - r0, r0 > 0, r1 < rows).to(planes.device)[:, None]
            weight = weight * _taper(c1 - c0, c0 > 0, c1 < cols).to(planes.device)
            out[..., r0:r1, c0:c1] += weight * _padded(network, planes[:, r0:r1, c0:c1])
            total[r0:r1, c0:c1] += weight
    return out.div_(total)


def _spans(length: int, tile: int) -> list[tuple[int, int]]:
    """Tile bounds on a regular grid that starts at 0; neighbours share `OVERLAP` pixels or more."""
    if length <= tile:
        return [(0, length)]
    step = tile - OVERLAP
    starts = [*range(0, length - tile, step), length - tile]
    return [(s, s + tile) for s in starts]


def _taper(length: int, before: bool, after: bool) -> Tensor:
    """Weights along one side: a smooth ramp towards the neighbours, flat at the image's border."""
    ramp = torch.sin((torch.arange(OVERLAP) + 0.5) / OVERLAP * (torch.pi / 2)).square()
    weight = torch.ones(length)
    if before:
        weight[:OVERLAP] = ramp
    if after:
        weight[-OVERLAP:] *= ramp.flip(0)
    return weight.clamp(min=1e-3)


#: Called with the number of network pixels done since the last call.
Advance = Callable[[int], None]
