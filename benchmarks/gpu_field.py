"""A synthetic flow field made on the device that is measured: packed cells, from formulas."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

RADIUS = 9.0
_PITCH = 14.0  # of the lattice of centres: 2,700 voxels a cell, so that all neighbours touch
_JITTER = 0.25  # of the pitch, at most: only the 27 cells around a voxel can reach it
_BATCH = {"cuda": 1 << 23}


class Scene(NamedTuple):
    """What a network would give of a volume of cells, and the cells.

    Attributes
    ----------
    flow : Tensor of float16, (3, z, y, x)
        To the centre of the cell, of unit length, with noise.
    logits, image : Tensors of float16, (z, y, x)
    truth : Tensor of int32, (z, y, x)
    """

    flow: Tensor
    logits: Tensor
    image: Tensor
    truth: Tensor


def packed_cells(side: int, device: torch.device, noise: float = 0.3, seed: int = 0) -> Scene:
    """Ellipsoids around a jittered lattice; a voxel belongs to the one that it is deepest in."""
    rng = np.random.default_rng(seed)
    count = int(np.ceil(side / _PITCH)) + 2  # one more on each side
    grid = np.stack(np.meshgrid(*[np.arange(count)] * 3, indexing="ij"), -1).reshape(-1, 3)
    centres = (grid - 0.5 + rng.uniform(-_JITTER, _JITTER, grid.shape)) * _PITCH
    axes = RADIUS * rng.uniform(0.75, 1.35, grid.shape)
    bright = rng.uniform(0.5, 0.9, len(grid))
    centre, axis, brightness = (
        torch.tensor(part, dtype=torch.float32, device=device) for part in (centres, axes, bright)
    )
    random = torch.Generator(device).manual_seed(seed)
    shape = (side, side, side)
    scene = Scene(
        torch.empty((3, *shape), dtype=torch.float16, device=device),
        torch.empty(shape, dtype=torch.float16, device=device),
        torch.empty(shape, dtype=torch.float16, device=device),
        torch.empty(shape, dtype=torch.int32, device=device),
    )
    step = max(1, _BATCH.get(device.type, 1 << 18) // side**2)
    for start in range(0, side, step):
        part = slice(start, min(start + step, side))
        place = _places(part, side, device)
        cell, depth = _deepest(place, centre, axis, count)
        size = (part.stop - part.start, side, side)
        inside = (depth < 1).view(size)
        way = centre[cell] - place
        way /= way.norm(dim=1, keepdim=True).clamp(min=1e-3)
        for component in range(3):
            straight = torch.where(inside, way[:, component].view(size), 0)
            scene.flow[component, part] = (straight + noise * _bumps(size, random)).half()
        speckle = torch.randn(size, generator=random, device=device)
        scene.logits[part] = (torch.where(inside, 6.0, -6.0) + 1.5 * speckle).half()
        scene.truth[part] = torch.where(inside, cell.view(size) + 1, 0).int()
        rim = torch.where(depth.view(size) > 0.75, 0.5, 1.0)
        light = torch.where(inside, brightness[cell].view(size) * rim, 0.05)
        scene.image[part] = (light + 0.04 * speckle).half()
    return scene


def _places(part: slice, side: int, device: torch.device) -> Tensor:
    """Coordinates (n, 3) of the voxels of some planes."""
    along = torch.arange(side, dtype=torch.float32, device=device)
    planes = torch.arange(part.start, part.stop, dtype=torch.float32, device=device)
    return torch.stack(torch.meshgrid(planes, along, along, indexing="ij"), -1).view(-1, 3)


def _deepest(place: Tensor, centre: Tensor, axis: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Cell that each place is deepest in, and how deep: 0 at its centre, 1 at its surface."""
    home = (place / _PITCH).long() + 1
    cell = torch.zeros_like(home[:, 0])
    depth = torch.full_like(place[:, 0], torch.inf)
    around = torch.tensor([-1, 0, 1])
    for offset in torch.cartesian_prod(around, around, around).to(place.device):
        z, y, x = (home + offset).unbind(1)
        other = (z * count + y) * count + x
        deep = ((place - centre[other]) / axis[other]).square().sum(1)
        nearer = deep < depth
        depth = torch.where(nearer, deep, depth)
        cell = torch.where(nearer, other, cell)
    return cell, depth


def _bumps(size: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Noise of standard deviation 1 that is alike among neighbours."""
    raw = torch.randn((1, 1, *size), generator=random, device=random.device)
    return F.avg_pool3d(raw, 3, 1, 1)[0, 0] * 27**0.5


def average_precision(truth: Tensor, found: Tensor, iou: float = 0.5) -> float:
    """TP / (TP + FP + FN) at an IoU, of labels (z, y, x) on one device."""
    a, b = truth.reshape(-1).long(), found.reshape(-1).long()
    size_a, size_b = torch.bincount(a), torch.bincount(b)
    both = torch.nonzero((a > 0) & (b > 0))[:, 0]
    key, overlap = torch.unique(a[both] * size_b.numel() + b[both], return_counts=True)
    one, other = key // size_b.numel(), key % size_b.numel()
    hits = int((overlap / (size_a[one] + size_b[other] - overlap) >= iou).sum())
    there = int((size_a[1:] > 0).sum()) + int((size_b[1:] > 0).sum())
    return hits / max(1, there - hits)
