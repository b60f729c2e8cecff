"""Linear resampling of planes and volumes, antialiased when it reduces."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_cellseg.flows.limits import Limits, ToGrey, normalised

_SLAB_VOXELS = 16_000_000


def resize_planes(planes: Tensor, shape: tuple[int, int]) -> Tensor:
    """Resample planes.

    Parameters
    ----------
    planes : Tensor of float32, (n, c, rows, cols)
    shape : tuple of int
        New rows and cols.

    Returns
    -------
    Tensor of float32, (n, c, *shape)
    """
    if tuple(planes.shape[-2:]) == tuple(shape):
        return planes
    reduces = shape[0] < planes.shape[-2] or shape[1] < planes.shape[-1]
    return F.interpolate(planes, shape, mode="bilinear", align_corners=False, antialias=reduces)


def reduce_volume(
    stack: Any,
    shape: tuple[int, int, int],
    limits: Limits,
    device: torch.device,
    to_grey: ToGrey | None = None,
) -> Tensor:
    """Read, normalise and reduce a stack, a slab of planes at a time.

    Parameters
    ----------
    stack : array-like, (z, y, x), or (z, y, x, c)
        Possibly lazy; each plane is read once.
    shape : tuple of int
        (z, y, x) to reduce to; no axis may grow.
    limits : tuple
        See `intensity_limits`.
    device : torch.device
        Where the result is wanted.
    to_grey : callable, optional
        Makes grey of the channels, before normalising.

    Returns
    -------
    Tensor of float16, ``shape``, or (c, *shape)
    """
    depth, height, width = (int(n) for n in stack.shape[:3])
    channels = int(stack.shape[3]) if len(stack.shape) == 4 and to_grey is None else 0
    count = max(1, channels)
    in_plane = torch.empty((count, depth, *shape[1:]), dtype=torch.float16, device=device)
    step = max(1, _SLAB_VOXELS // (height * width * count))
    for start in range(0, depth, step):
        raw = np.asarray(stack[start : start + step])
        values = normalised(to_grey(raw) if to_grey else raw, limits)
        slab = torch.from_numpy(values).to(device)
        slab = slab.movedim(-1, 0) if channels else slab[None]
        in_plane[:, start : start + step] = resize_planes(slab, shape[1:])
    out = in_plane if shape[0] == depth else _reduced_depth(in_plane, shape[0])
    return out if channels else out[0]


def _reduced_depth(volume: Tensor, depth: int) -> Tensor:
    """Reduce (c, z, y, x) along z, a few rows at a time."""
    count, before, height, width = volume.shape
    out = torch.empty((count, depth, height, width), dtype=volume.dtype, device=volume.device)
    step = max(1, _SLAB_VOXELS // (count * before * width))
    for start in range(0, height, step):
        rows = volume[:, :, start : start + step].float().transpose(1, 2)
        out[:, :, start : start + step] = resize_planes(rows, (depth, width)).transpose(1, 2)
    return out


def enlarge_volume(volume: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Interpolate one component of a field back onto the grid of the image.

    Parameters
    ----------
    volume : Tensor, (z, y, x)
    shape : tuple of int
        (z, y, x) of the image.

    Returns
    -------
    Tensor of float16, ``shape``
        On the same device.
    """
    if tuple(volume.shape) == tuple(shape):
        return volume.to(torch.float16)
    out = torch.empty(shape, dtype=torch.float16, device=volume.device)
    depth = volume.shape[0]
    scale = depth / shape[0]
    step = max(1, _SLAB_VOXELS // (shape[1] * shape[2]))
    for start in range(0, shape[0], step):
        stop = min(start + step, shape[0])
        where = ((torch.arange(start, stop, device=volume.device) + 0.5) * scale - 0.5).clamp(
            0, depth - 1
        )
        below = where.floor().long()
        first, last = int(below[0]), int(below[-1])
        near = volume[first : min(last + 2, depth)].float()
        wide = resize_planes(near[:, None], shape[1:])[:, 0]
        above = (below + 1).clamp(max=depth - 1) - first
        weight = (where - below)[:, None, None]
        out[start:stop] = wide[below - first].lerp_(wide[above], weight)
    return out
