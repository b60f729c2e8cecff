"""Linear resampling of planes and volumes, antialiased when it reduces."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_cellseg.flows.limits import ToGrey, normalised

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
    limits: tuple[float, float],
    device: torch.device,
    to_grey: ToGrey | None = None,
) -> Tensor:
    """Read, normalise and reduce a stack, a slab of planes at a time.

    Parameters
    ----------
    stack : array-like, (z, y, x) or (z, y, x, 3)
        Possibly lazy; each plane is read once.
    shape : tuple of int
        (z, y, x) to reduce to; no axis may grow.
    limits : tuple of float
        See `intensity_limits`.
    device : torch.device
        Where the result is wanted.
    to_grey : callable, optional
        Applied to each slab before normalising.

    Returns
    -------
    Tensor of float16, ``shape``
    """
    depth, height, width = (int(n) for n in stack.shape[:3])
    in_plane = torch.empty((depth, *shape[1:]), dtype=torch.float16, device=device)
    step = max(1, _SLAB_VOXELS // (height * width))
    for start in range(0, depth, step):
        raw = np.asarray(stack[start : start + step])
        slab = torch.from_numpy(normalised(to_grey(raw) if to_grey else raw, limits)).to(device)
        in_plane[start : start + step] = resize_planes(slab[:, None], shape[1:])[:, 0]
    if shape[0] == depth:
        return in_plane
    out = torch.empty(shape, dtype=torch.float16, device=device)
    step = max(1, _SLAB_VOXELS // (depth * shape[2]))
    for start in range(0, shape[1], step):
        rows = in_plane[:, start : start + step].float().transpose(0, 1)[:, None]
        few = resize_planes(rows, (shape[0], shape[2]))
        out[:, start : start + step] = few[:, 0].transpose(0, 1)
    return out


def enlarge_volume(volume: Tensor, shape: tuple[int, int, int]) -> NDArray[np.float16]:
    """Interpolate one component of a field back onto the grid of the image.

    Parameters
    ----------
    volume : Tensor, (z, y, x)
    shape : tuple of int
        (z, y, x) of the image.

    Returns
    -------
    array of float16, ``shape``
    """
    out = np.empty(shape, np.float16)
    if tuple(volume.shape) == tuple(shape):
        out[:] = volume.cpu().numpy()
        return out
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
        slab = wide[below - first].lerp_(wide[above], weight)
        out[start:stop] = slab.cpu().numpy()
    return out
