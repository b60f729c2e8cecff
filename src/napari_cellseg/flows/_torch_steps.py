"""The steps of `_steps` in torch, for CUDA and MPS: the same float32 operations, in order."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from napari_cellseg.flows.progress import Progress

_PIECE = 1 << 21  # voxels moved at once; about 200 bytes of working memory each


def pointers(
    volume: NDArray[np.int32],
    voxels: NDArray[np.integer],
    ratio: NDArray[np.float32],
    steps: int,
    limit: int,
    device: str,
    progress: "Progress | None" = None,
) -> NDArray[np.int32]:
    """Where each foreground voxel is after its steps; see `_steps.move`.

    Parameters
    ----------
    volume : array of int32, shape (z, y, x)
        Packed flow.
    voxels : array of int, shape (n,)
        Raster index of the foreground, ascending.
    ratio : array of float32, shape (3,)
        Voxels per step along each axis.
    steps, limit : int
        Steps of every voxel, and of one that has not left its own voxel.
    device : str
        A torch device.
    progress : Progress, optional
        Checked between pieces.

    Returns
    -------
    numpy.ndarray, int32, shape (n,)
        Indices into `voxels`.
    """
    out = np.empty(voxels.size, np.int32)
    words = torch.from_numpy(volume).to(device)
    scale = torch.from_numpy(ratio / np.float32(127)).to(device)
    size = torch.tensor(volume.shape, device=device)
    for start in range(0, voxels.size, _PIECE):
        if progress is not None:
            progress.check()
        part = torch.from_numpy(voxels[start : start + _PIECE].astype(np.int64)).to(device)
        ends = _move(words, size, part, scale, steps, limit).cpu().numpy()
        out[start : start + _PIECE] = np.searchsorted(voxels, ends)
    return out


def _move(
    words: Tensor, size: Tensor, voxels: Tensor, scale: Tensor, steps: int, limit: int
) -> Tensor:
    """Raster index of where each voxel ends."""
    height, width = words.shape[1:]
    origin = torch.stack([voxels // (height * width), voxels // width % height, voxels % width])
    low = -origin.float()
    high = (size[:, None] - 1 - origin).float()
    at = torch.zeros_like(low)
    back = torch.zeros_like(low)
    going = torch.arange(voxels.numel(), device=voxels.device)
    for step in range(limit):
        if step >= steps:
            going = going[(torch.floor(at[:, going] + 0.5) == 0).all(0)]
        if going.numel() == 0:
            break
        here = at[:, going]
        total, flow = _interpolate(words, origin[:, going], here)
        outside = total == 0  # of the foreground: stay where there was some
        ahead = here + flow / total * scale[:, None]
        ahead = torch.minimum(torch.maximum(ahead, low[:, going]), high[:, going])
        at[:, going] = torch.where(outside, back[:, going], ahead)
        back[:, going] = torch.where(outside, back[:, going], here)
        going = going[~outside]
    nearest = origin + torch.floor(at + 0.5).long()
    end = (nearest[0] * height + nearest[1]) * width + nearest[2]
    lost = torch.nonzero(words.reshape(-1)[end] == 0)[:, 0]
    if lost.numel():
        found = _heaviest(words, origin[:, lost], at[:, lost])
        before = _heaviest(words, origin[:, lost], back[:, lost])
        end[lost] = torch.where(found >= 0, found, before)
    return end


def _corners(words: Tensor, origin: Tensor, at: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Trilinear weight and raster index of the eight voxels around a position, in z, y, x order."""
    depth, height, width = words.shape
    whole = torch.floor(at)
    part = at - whole
    rest = 1 - part
    base = origin + whole.long()
    out = []
    for bits in range(8):
        bz, by, bx = bits >> 2, bits >> 1 & 1, bits & 1
        weight = (part if bz else rest)[0] * (part if by else rest)[1]
        weight = weight * (part if bx else rest)[2]
        # beyond the border the weight is 0: any valid index will do
        z = (base[0] + bz).clamp(max=depth - 1)
        y = (base[1] + by).clamp(max=height - 1)
        x = (base[2] + bx).clamp(max=width - 1)
        out.append((weight, (z * height + y) * width + x))
    return out


def _interpolate(words: Tensor, origin: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of weights, and of weighted directions (3, n), in steps of 1/127."""
    flat = words.reshape(-1)
    total = torch.zeros_like(at[0])
    flow = torch.zeros_like(at)
    for weight, index in _corners(words, origin, at):
        word = flat[index]
        weight = weight * ((word >> 24) & 255).float()
        for axis, shift in enumerate((24, 16, 8)):
            flow[axis] += weight * ((word << shift) >> 24).float()
        total += weight
    return total, flow


def _heaviest(words: Tensor, origin: Tensor, at: Tensor) -> Tensor:
    """Raster index of the foreground voxel that weighs most at a position, or -1."""
    flat = words.reshape(-1)
    best = torch.zeros_like(at[0])
    found = torch.full_like(best, -1, dtype=torch.int64)
    for weight, index in _corners(words, origin, at):
        better = (flat[index] != 0) & (weight > best)
        best = torch.where(better, weight, best)
        found = torch.where(better, index, found)
    return found
