"""The steps of `_steps` in torch: the same float32 operations, in order.

Torch's own kernels do one operation each, so nothing is fused into multiply-adds, and additions and
products are those of IEEE 754 on every device.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_cellseg.flows._torch_memory import in_pieces

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_cellseg.flows.progress import Progress


def pointers(
    words: Tensor,
    slots: Tensor,
    voxels: Tensor,
    ratio: "NDArray[np.float32]",
    steps: int,
    limit: int,
    progress: "Progress | None" = None,
) -> Tensor:
    """Where each covered voxel is after its steps; see `_steps.move`.

    Parameters
    ----------
    words : Tensor of int32, (z, y, x)
        Packed flow.
    slots : Tensor of int32, (z * y * x,)
        Number of each covered voxel, from 1, in raster order.
    voxels : Tensor of int, (n,)
        Raster index of the covered voxels, ascending.
    ratio : array of float32, shape (3,)
        Voxels per step along each axis.
    steps, limit : int
        Steps of every voxel, and of one that has not left its own voxel.
    progress : Progress, optional
        Checked between pieces.

    Returns
    -------
    Tensor of int32, (n,)
        Indices into `voxels`.
    """
    # divided by the processor: torch divides by a number by way of its reciprocal
    per_unit = (ratio / ratio.dtype.type(127)).tolist()
    scale = torch.tensor(per_unit, dtype=torch.float32, device=words.device)
    walk = _Walk(words, scale, steps, limit)
    out = torch.empty(voxels.numel(), dtype=torch.int32, device=words.device)

    def work(part: slice) -> None:
        out[part] = slots.index_select(0, walk.ends(voxels[part])) - 1

    in_pieces(voxels.numel(), words.device, work, progress)
    return out


class _Walk:
    """Steps through one packed volume; positions are displacements (n, 3) from `origin`."""

    def __init__(self, words: Tensor, scale: Tensor, steps: int, limit: int) -> None:
        self.words = words.reshape(-1)
        self.depth, self.height, self.width = (int(n) for n in words.shape)
        self.scale = scale
        self.steps, self.limit = steps, limit

    def ends(self, voxels: Tensor) -> Tensor:
        """Raster index of where each voxel ends."""
        row = torch.div(voxels, self.width, rounding_mode="floor")
        z = torch.div(row, self.height, rounding_mode="floor")
        origin = torch.stack([z, row - z * self.height, voxels - row * self.width], 1)
        # the first step starts at a voxel, whose own direction is all that counts
        at = self._ahead(
            origin, torch.zeros_like(origin, dtype=torch.float32), self._directions(voxels)
        )
        back = torch.zeros_like(at)
        going = torch.ones_like(at[:, 0], dtype=torch.bool)
        for _ in range(1, self.steps):
            at, back, going = self._step(origin, at, back, going)
        still = torch.nonzero(going & _at_home(at))[:, 0]
        for _ in range(self.steps, self.limit):
            if still.numel() == 0:
                break
            here, before, moving = self._step(
                origin[still], at[still], back[still], torch.ones_like(still, dtype=torch.bool)
            )
            at.index_copy_(0, still, here)
            back.index_copy_(0, still, before)
            still = still[moving & _at_home(here)]
        end = self._raster(origin + torch.floor(at + 0.5).to(origin.dtype))
        lost = torch.nonzero(self.words.index_select(0, end) == 0)[:, 0]
        if lost.numel():
            found = self._heaviest(origin[lost], at[lost])
            before = self._heaviest(origin[lost], back[lost])
            end.index_copy_(0, lost, torch.where(found >= 0, found, before))
        return end

    def _step(
        self, origin: Tensor, at: Tensor, back: Tensor, going: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Positions after a step, those before it, and which voxels go on."""
        total, flow = self._interpolate(origin, at)
        inside = going & (total != 0)
        # outside of the foreground: stay where there was some
        rest = torch.where(going[:, None], back, at)
        ahead = self._ahead(origin, at, flow / total[:, None])
        return (
            torch.where(inside[:, None], ahead, rest),
            torch.where(inside[:, None], at, back),
            inside,
        )

    def _ahead(self, origin: Tensor, at: Tensor, direction: Tensor) -> Tensor:
        """One step on, within the volume."""
        last = torch.tensor(
            [self.depth - 1, self.height - 1, self.width - 1],
            dtype=origin.dtype,
            device=origin.device,
        )
        ahead = at + direction * self.scale
        return torch.minimum(torch.maximum(ahead, (-origin).float()), (last - origin).float())

    def _directions(self, voxels: Tensor) -> Tensor:
        """Directions (n, 3) of voxels, in steps of 1/127."""
        return _bytes(self.words.index_select(0, voxels))[:, :3].float()

    def _corners(self, origin: Tensor, at: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Trilinear weight and raster index of the voxels around a position, in raster order."""
        whole = torch.floor(at)
        part = at - whole
        rest = 1 - part
        z, y, x = (origin + whole.to(origin.dtype)).unbind(1)
        first = (z * self.height + y) * self.width + x
        # beyond the border the weight is 0: the voxel at the border will do
        aside = (x < self.width - 1).to(first.dtype)
        below = (y < self.height - 1).to(first.dtype) * self.width
        deeper = (z < self.depth - 1).to(first.dtype) * (self.height * self.width)
        out = []
        for bz in range(1 if self.depth == 1 else 2):
            layer = first + deeper if bz else first
            for by in range(2):
                row = layer + below if by else layer
                weight = (part if bz else rest)[:, 0] * (part if by else rest)[:, 1]
                out.append((weight * rest[:, 2], row))
                out.append((weight * part[:, 2], row + aside))
        return out

    def _interpolate(self, origin: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of weights, and of weighted directions (n, 3), in steps of 1/127."""
        total = torch.zeros_like(at[:, 0])
        flow = torch.zeros_like(at)
        for weight, index in self._corners(origin, at):
            word = self.words.index_select(0, index)
            weight = weight * word.view(torch.uint8).view(-1, 4)[:, 3].float()
            flow += _bytes(word)[:, :3].float().mul_(weight[:, None])
            total += weight
        return total, flow

    def _heaviest(self, origin: Tensor, at: Tensor) -> Tensor:
        """Raster index of the covered voxel that weighs most at a position, or -1."""
        best = torch.zeros_like(at[:, 0])
        found = torch.full_like(origin[:, 0], -1)
        for weight, index in self._corners(origin, at):
            better = (self.words.index_select(0, index) != 0) & (weight > best)
            best = torch.where(better, weight, best)
            found = torch.where(better, index, found)
        return found

    def _raster(self, place: Tensor) -> Tensor:
        return (place[:, 0] * self.height + place[:, 1]) * self.width + place[:, 2]


def _at_home(at: Tensor) -> Tensor:
    """Whether a position is still in the voxel that it started in."""
    return (torch.floor(at + 0.5) == 0).all(1)


def _bytes(word: Tensor) -> Tensor:
    """The four signed bytes of each word (n, 4), from the low one up."""
    return word.view(torch.int8).view(-1, 4)
