"""Run a network over planes: enlarged, padded, tiled, in batches."""

from collections.abc import Callable

import torch
from torch import Tensor

from napari_cellseg.flows.resample import resize_planes
from napari_cellseg.networks.protocol import FlowNetwork, Tiling, batch_pixels_of, tiling_of

#: Pixels per batch, of networks that do not say. On a CPU small batches stay in the cache; a GPU
#: wants to be filled.
BATCH_PIXELS = {"cpu": 2**19, "cuda": 2**24, "mps": 2**22}
#: Tiles are not made smaller than this for want of memory.
_LEAST_TILE = 128


def predict_planes(network: FlowNetwork, planes: Tensor, shape: tuple[int, int]) -> Tensor:
    """Predict planes at the network's resolution and bring the result back.

    Parameters
    ----------
    network : FlowNetwork
    planes : Tensor of float32, (n, rows, cols) or (n, channels, rows, cols)
        Normalised, on the network's device.
    shape : tuple of int
        Rows and cols that a plane is resampled to for the network.

    Returns
    -------
    Tensor of float32, (n, 3, rows, cols)
        Flow along rows, flow along cols, logit, at the planes' own resolution.

    Notes
    -----
    Planes are surrounded by their mirror image (`Tiling.margin`): beyond its border a convolution
    sees zeros, which made masks near it too small, by a fifth of the volume of noisy nuclei in a
    stack of 100 planes.

    If the device's memory does not suffice, the batch is halved until it does; a single plane is
    then cut into smaller tiles, where the network allows that.
    """
    grey = planes.ndim == 3
    back = (int(planes.shape[-2]), int(planes.shape[-1]))
    seen, (rows, cols) = resize_planes(planes[:, None] if grey else planes, shape), shape
    tiling = tiling_of(network)
    enough = tiling.size if tiling.strict else None
    wide = mirrored(seen[:, 0] if grey else seen, tiling.margin, network.stride, enough)
    out, margin = _predict(network, wide, tiling), tiling.margin
    return resize_planes(out[..., margin : margin + rows, margin : margin + cols], back)


def mirrored(planes: Tensor, margin: int, stride: int, enough: int | None = None) -> Tensor:
    """Surround planes by their mirror image.

    Parameters
    ----------
    planes : Tensor of float32, (..., rows, cols)
    margin : int
        Pixels before and after each side, at least.
    stride : int
        Both sides become a multiple of it,
    enough : int, optional
        unless they are longer than this: they are cut into tiles anyway.

    Returns
    -------
    Tensor of float32, (..., rows', cols')
        Pixel ``(margin, margin)`` is the planes' first one. Small planes are mirrored repeatedly.
    """
    for axis in (-2, -1):
        length = planes.shape[axis]
        total = length + 2 * margin
        if enough is None or total < enough:
            total += -total % stride
        at = torch.arange(-margin, total - margin, device=planes.device)
        period = max(1, 2 * (length - 1))
        at = (at % period).where(at % period < length, period - at % period)
        planes = planes.index_select(axis, at)
    return planes


def batch_size(network: FlowNetwork, shape: tuple[int, int]) -> int:
    """Planes of ``shape`` that go into one batch."""
    pixels = batch_pixels_of(network) or BATCH_PIXELS.get(network.device.type, 2**20)
    return max(1, pixels // (shape[0] * shape[1]))


def _predict(network: FlowNetwork, planes: Tensor, tiling: Tiling) -> Tensor:
    """Predict planes, tiled where they are large, in smaller tiles where memory is short."""
    largest = tiling.size if tiling.strict else tiling.size + tiling.overlap
    try:
        if max(planes.shape[-2:]) > largest:
            return _tiled(network, planes, tiling)
        return _whole(network, planes)
    except (torch.OutOfMemoryError, MemoryError):
        if tiling.strict or tiling.size <= _LEAST_TILE:
            raise
    # outside the handler, so that the failed call's tensors are free
    _free(network)
    smaller = Tiling(tiling.size // 2, min(tiling.overlap, tiling.size // 4), tiling.weights)
    return _predict(network, planes, smaller)


def _whole(network: FlowNetwork, planes: Tensor) -> Tensor:
    """Predict planes in one piece each, in smaller batches where memory is short."""
    rows, cols = planes.shape[-2:]
    try:
        return network.predict(mirrored(planes, 0, network.stride))[..., :rows, :cols]
    except (torch.OutOfMemoryError, MemoryError):
        if len(planes) == 1:
            raise
    _free(network)
    half = len(planes) // 2
    return torch.cat([_whole(network, part) for part in (planes[:half], planes[half:])])


def _free(network: FlowNetwork) -> None:
    if network.device.type == "cuda":
        torch.cuda.empty_cache()


def _tiled(network: FlowNetwork, planes: Tensor, tiling: Tiling) -> Tensor:
    count, (rows, cols) = len(planes), planes.shape[-2:]
    out = planes.new_zeros((count, 3, rows, cols))
    total = planes.new_zeros((rows, cols))
    down, across = _spans(rows, tiling), _spans(cols, tiling)
    places = [(slice(*r), slice(*c)) for r in down for c in across]
    # all tiles are of one size, so that those of several places fill a batch
    size = (min(rows, tiling.size), min(cols, tiling.size))
    step = max(1, batch_size(network, size) // count)
    for start in range(0, len(places), step):
        some = places[start : start + step]
        parts = _whole(network, torch.cat([planes[..., r, c] for r, c in some]))
        for index, place in enumerate(some):
            weight = _weight(place, (rows, cols), tiling).to(planes.device)
            out[..., *place] += weight * parts[index * count : (index + 1) * count]
            total[place] += weight
    return out.div_(total)


def _spans(length: int, tiling: Tiling) -> list[tuple[int, int]]:
    """Bounds of tiles on a regular grid that starts at 0; the last one ends at the image's end."""
    size = tiling.size
    if length <= size:
        return [(0, length)]
    step = size - tiling.overlap
    starts = [*range(0, length - size, step), length - size]
    return [(start, start + size) for start in starts]


def _weight(place: tuple[slice, slice], shape: tuple[int, int], tiling: Tiling) -> Tensor:
    """Weights of the tile at ``place`` in a plane of ``shape``."""
    if tiling.weights == "gaussian":
        down, across = (_bell(part.stop - part.start, tiling.size / 8) for part in place)
        return (down[:, None] * across).clamp(min=1e-3)
    down, across = (
        _taper(part.stop - part.start, part.start > 0, part.stop < length, tiling.overlap)
        for part, length in zip(place, shape, strict=True)
    )
    return down[:, None] * across


def _bell(length: int, sigma: float) -> Tensor:
    away = torch.arange(length) - (length - 1) / 2
    return torch.exp(-0.5 * (away / sigma).square())


def _taper(length: int, before: bool, after: bool, overlap: int) -> Tensor:
    """A smooth ramp towards the neighbours, flat at the image's border."""
    ramp = torch.sin((torch.arange(overlap) + 0.5) / overlap * (torch.pi / 2)).square()
    weight = torch.ones(length)
    if before:
        weight[:overlap] = ramp
    if after:
        weight[-overlap:] *= ramp.flip(0)
    return weight.clamp(min=1e-3)


#: Called with the number of network pixels done since the last call.
Advance = Callable[[int], None]
