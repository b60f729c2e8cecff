"""Basins in torch: terminals linked (`_sinks`), planes taken apart, borders summed (`_borders`).

Per-voxel tables have a row 0 of zeros for what is not covered, and are looked up by slot (see
`DeviceIntegration`). Sums are of integers, so the order in which threads add does not count.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_cellseg.flows._torch_graph import join_in_pieces
from napari_cellseg.flows._torch_memory import in_pieces

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_cellseg.flows.device_integration import DeviceIntegration

_COLUMNS = 15  # of the sums over a border: see `_borders.borders`
_TABLE = 1 << 26  # entries of the table of `split_planes`


def beside(trajectories: "DeviceIntegration", voxels: Tensor, offset: Sequence[int]) -> Tensor:
    """Slot (int32) of the voxel at an offset (z, y, x) from each; 0 outside and not covered."""
    _, height, width = trajectories.shape
    dz, dy, dx = offset
    target = voxels + (dz * height + dy) * width + dx
    inside = (target >= 0) & (target < trajectories.slots.numel())
    if dx:
        x = torch.remainder(voxels, width) + dx
        inside &= (x >= 0) & (x < width)
    if dy:
        y = torch.remainder(torch.div(voxels, width, rounding_mode="floor"), height) + dy
        inside &= (y >= 0) & (y < height)
    slot = trajectories.slots.index_select(0, torch.where(inside, target, 0))
    return torch.where(inside, slot, 0)


def terminal_basins(
    trajectories: "DeviceIntegration", threshold: float, offsets: "NDArray[np.int64]"
) -> tuple[Tensor, Tensor]:
    """Group terminals that lie within `offsets` of each other; see `_sinks.terminal_basins`.

    Parameters
    ----------
    trajectories : DeviceIntegration
    threshold : float
        Terminals of voxels with a greater logit count.
    offsets : array of int, shape (m, 3)

    Returns
    -------
    basin : Tensor of int32, (n + 1,)
        Group of each voxel by slot, from 1, or 0.
    seeds : Tensor of int64, (groups + 1,)
        First terminal of each group, an index into the voxels; row 0 is unused.
    """
    voxels, terminal = trajectories.voxels, trajectories.terminal
    device = trajectories.device
    count = voxels.numel()
    above = trajectories.logits > threshold
    used = torch.zeros(count, dtype=torch.bool, device=device)

    def mark(part: slice) -> None:
        used.index_fill_(0, terminal[part][above[part]].long(), True)

    in_pieces(count, device, mark)
    ends = torch.nonzero(used)[:, 0]
    root = torch.arange(ends.numel(), dtype=torch.int32, device=device)
    place = torch.zeros(count + 1, dtype=torch.int32, device=device)
    place.index_copy_(0, ends + 1, root + 1)
    for offset in offsets.tolist():

        def near(part: slice, offset: list[int] = offset) -> tuple[Tensor, Tensor]:
            other = place.index_select(0, beside(trajectories, voxels[ends[part]], offset))
            pair = torch.nonzero(other)[:, 0]
            return pair + part.start, other[pair] - 1

        join_in_pieces(root, ends.numel(), near)
    lowest = root == torch.arange(ends.numel(), dtype=torch.int32, device=device)
    number = torch.cumsum(lowest, 0, dtype=torch.int32)
    place.index_copy_(0, ends + 1, number.index_select(0, root))
    basin = torch.zeros(count + 1, dtype=torch.int32, device=device)

    def paint(part: slice) -> None:
        own = place.index_select(0, terminal[part] + 1)
        basin[part.start + 1 : part.stop + 1] = torch.where(above[part], own, 0)

    in_pieces(count, device, paint)
    return basin, torch.cat([ends.new_zeros(1), ends[lowest]])


def split_planes(trajectories: "DeviceIntegration", basin: Tensor, n_basins: int) -> Tensor:
    """Number anew the voxels of each basin in each plane by where their flow goes.

    Parameters
    ----------
    trajectories : DeviceIntegration
    basin : Tensor of int32, (n + 1,)
        By slot; changed.
    n_basins : int

    Returns
    -------
    Tensor of int32, (parts + 1,)
        The old number of each new one; see `_runs.number_parts`.
    """
    depth, height, width = trajectories.shape
    device, voxels = trajectories.device, trajectories.voxels
    row = 2 * (n_basins + 1)
    step = min(max(1, _TABLE // row), depth)
    starts = torch.arange(0, depth + step, step, device=device).clamp(max=depth)
    bounds = torch.searchsorted(voxels, (starts * (height * width)).to(voxels.dtype)).tolist()
    old = [torch.zeros(1, dtype=torch.int32, device=device)]
    count = 0
    for index, (begin, end) in enumerate(pairwise(bounds)):
        mine = basin[begin + 1 : end + 1]
        there = torch.nonzero(mine)[:, 0]
        plane = torch.div(voxels[begin:end][there], height * width, rounding_mode="floor")
        up = (trajectories.words[begin:end][there] << 24) > 0
        key = (plane.long() - index * step) * row + 2 * mine[there] + up
        first = torch.full((step * row,), end - begin, device=device)
        first.scatter_reduce_(0, key, there, "amin")
        used = torch.nonzero(first < end - begin)[:, 0]
        used = used[torch.argsort(first[used])]  # by first voxel: no two are the same
        first.index_copy_(0, used, torch.arange(used.numel(), device=device))
        mine.index_copy_(0, there, (first[key] + (count + 1)).to(torch.int32))
        old.append(torch.div(used % row, 2, rounding_mode="floor").to(torch.int32))
        count += used.numel()
    return torch.cat(old)


def borders(
    trajectories: "DeviceIntegration", basin: Tensor, n_basins: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Sum over the faces between every two basins how their flows differ; see `_borders.borders`.

    Parameters
    ----------
    trajectories : DeviceIntegration
    basin : Tensor of int32, (n + 1,)
        By slot.
    n_basins : int

    Returns
    -------
    pairs, sums, basins : Tensors of int64, (k, 2), (k, 15) and (n_basins + 1, 5)
        Pairs ascend.
    """
    _, height, width = trajectories.shape
    device, voxels = trajectories.device, trajectories.voxels
    basins = torch.zeros((n_basins + 1, 5), dtype=torch.int64, device=device)
    found: dict[int, tuple[Tensor, Tensor]] = {}

    def work(part: slice) -> None:
        own = basin[part.start + 1 : part.stop + 1]
        keys, rows = [], []
        for axis, offset in enumerate(((0, 0, 1), (0, 1, 0), (1, 0, 0))[::-1]):
            slot = beside(trajectories, voxels[part], offset)
            other = basin.index_select(0, slot)
            face = torch.nonzero((own > 0) & (other > 0) & (other != own))[:, 0]
            mine, theirs = own[face].long(), other[face].long()
            apart = _flow(trajectories, slot[face] - 1) - _flow(trajectories, face + part.start)
            sums = apart.new_zeros((face.numel(), _COLUMNS))
            sums[:, axis] = 1
            sums[:, 3 + 3 * axis : 6 + 3 * axis] = apart
            sums[:, 3 + 3 * axis : 6 + 3 * axis] *= torch.where(mine < theirs, 1, -1)[:, None]
            sums[:, 12 + axis] = apart[:, axis]
            keys.append(torch.minimum(mine, theirs) * (n_basins + 1) + torch.maximum(mine, theirs))
            rows.append(sums)
        found[part.start] = _added(torch.cat(keys), torch.cat(rows))
        place = voxels[part]
        row = torch.div(place, width, rounding_mode="floor")
        z = torch.div(row, height, rounding_mode="floor")
        columns = (torch.ones_like(z), z, row - z * height, place - row * width)
        sums = torch.stack([*columns, trajectories.lengths[part].to(z.dtype)], 1)
        basins.index_add_(0, own, sums.long())

    in_pieces(voxels.numel(), device, work)
    basins[0] = 0  # of what is below the threshold
    if not found:
        none = torch.zeros((0, _COLUMNS), dtype=torch.int64, device=device)
        return none[:, :2], none, basins
    keys, sums = zip(*found.values(), strict=True)
    key, total = _added(torch.cat(keys), torch.cat(sums))
    pairs = torch.stack([torch.div(key, n_basins + 1, rounding_mode="floor"), key], 1)
    pairs[:, 1] -= pairs[:, 0] * (n_basins + 1)
    return pairs, total, basins


def _flow(trajectories: "DeviceIntegration", index: Tensor) -> Tensor:
    """Flow of voxels (m, 3), in steps of 1 / (127 * 255)."""
    word = trajectories.words.index_select(0, index)
    direction = word.view(torch.int8).view(-1, 4)[:, :3].long()
    return direction * trajectories.lengths.index_select(0, index).long()[:, None]


def _added(keys: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct keys, ascending, and the sum of the rows of each."""
    distinct, where = torch.unique(keys, return_inverse=True)
    total = rows.new_zeros((distinct.numel(), rows.shape[1]))
    return distinct, total.index_add_(0, where, rows)
