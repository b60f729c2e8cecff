"""The runs of `_runs` in torch: their connected pieces, their sums, and which may have holes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_cellseg.flows._runs import LOGIT_STEPS
from napari_cellseg.flows._torch_basins import beside
from napari_cellseg.flows._torch_graph import join_in_pieces
from napari_cellseg.flows._torch_memory import in_pieces

if TYPE_CHECKING:
    from napari_cellseg.flows.device_integration import DeviceIntegration


@dataclass
class Runs:
    """Neighbours along x, of one label, in one row; in raster order.

    Attributes
    ----------
    first : Tensor of int64, (r,)
        First voxel, as an index into the voxels.
    length : Tensor of int64, (r,)
    label : Tensor of int64, (r,)
        Of the instance; `part` changes it.
    run : Tensor of int32, (n + 1,)
        Number of the run of each voxel, from 1, by slot; 0 has no label.
    """

    first: Tensor
    length: Tensor
    label: Tensor
    run: Tensor

    @classmethod
    def of(cls, trajectories: "DeviceIntegration", label: Tensor) -> "Runs":
        """Runs of labels by slot, (n + 1,) of int32."""
        voxels, width = trajectories.voxels, trajectories.shape[2]
        count = voxels.numel()
        device = trajectories.device
        starts = torch.zeros(count + 1, dtype=torch.bool, device=device)
        ends = torch.zeros(count + 1, dtype=torch.bool, device=device)

        def work(part: slice) -> None:
            # each voxel, and the one before it
            own, before = label[part.start + 1 : part.stop + 1], label[part.start : part.stop]
            place = voxels[part]
            new = own != before
            new |= torch.remainder(place, width) == 0
            new[1:] |= place[1:] != place[:-1] + 1
            if part.start:
                new[:1] |= place[:1] != voxels[part.start - 1] + 1
            starts[part] = new & (own != 0)
            # the label before is that of a voxel, which ends there: slot 0 is none
            ends[part] = new & (before != 0)

        in_pieces(count, device, work)
        ends[count] = label[count] != 0
        first = torch.nonzero(starts)[:, 0]
        run = torch.zeros(count + 1, dtype=torch.int32, device=device)
        torch.cumsum(starts[:count], 0, dtype=torch.int32, out=run[1:])
        run *= label != 0
        return cls(
            first, torch.nonzero(ends)[:, 0] - first, label.index_select(0, first + 1).long(), run
        )


def part_pieces(
    trajectories: "DeviceIntegration", runs: Runs, highest: int, least: int
) -> tuple[Tensor, Tensor, int]:
    """Leave every instance one connected piece; see `_run_pieces.pieces`.

    Parameters
    ----------
    trajectories : DeviceIntegration
    runs : Runs
        Its labels are changed.
    highest : int
        Highest label.
    least : int
        Voxels of a piece that may become an instance of its own.

    Returns
    -------
    lost, sizes : Tensors of int64, (m,)
        First voxel, as an index into the voxels, and size of each piece set to 0.
    highest : int
        The new highest label.
    """
    count = runs.first.numel()
    if count == 0:
        return runs.first, runs.first, highest
    root = _connected(trajectories, runs)
    roots = torch.nonzero(root == torch.arange(count, device=root.device))[:, 0]
    total = torch.zeros_like(runs.length).index_add_(0, root, runs.length)
    size, label = total[roots], runs.label[roots]
    # largest piece of each label; of equal ones the first
    key = size * count + (count - 1 - roots)
    best = key.new_zeros(highest + 1).scatter_reduce_(0, label, key, "amax")[label]
    other = key != best
    own = other & (size >= least) & (2 * size >= torch.div(best, count, rounding_mode="floor"))
    lost = other & ~own
    new = torch.where(own, highest + torch.cumsum(own, 0), torch.where(lost, 0, label))
    total.index_copy_(0, roots, new)
    runs.label = total.index_select(0, root)
    return runs.first[roots[lost]], size[lost], highest + int(own.sum())


def _connected(trajectories: "DeviceIntegration", runs: Runs) -> Tensor:
    """First run of the piece (full connectivity) of each run."""
    device = trajectories.device
    count = runs.first.numel()
    root = torch.arange(count, dtype=torch.int32, device=device)
    planes = (0,) if trajectories.shape[0] == 1 else (-1, 0, 1)
    rows = [(dz, dy) for dz in planes for dy in (-1, 0, 1) if (dz, dy) != (0, 0)]
    # Of two runs that touch, one starts beside the other, or right after its end. Straight
    # neighbours come first, since they leave little to do for the others.
    for dx in (0, -1):
        for dz, dy in rows:

            def touching(
                part: slice, offset: tuple[int, int, int] = (dz, dy, dx)
            ) -> tuple[Tensor, Tensor]:
                start = trajectories.voxels[runs.first[part]]
                other = runs.run.index_select(0, beside(trajectories, start, offset)) - 1
                same = (other >= 0) & (runs.label[other.clamp(min=0)] == runs.label[part])
                pair = torch.nonzero(same)[:, 0]
                return pair + part.start, other[pair]

            join_in_pieces(root, count, touching)
    return root


def sums(
    trajectories: "DeviceIntegration", runs: Runs, highest: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Per label: covered voxels, sums of flow lengths and of logits, first voxel; see `_runs.sums`.

    Parameters
    ----------
    trajectories : DeviceIntegration
    runs : Runs
    highest : int
        Highest label.

    Returns
    -------
    count, length, logit, first : Tensors of int64, (highest + 1,)
        `first` is a raster index, or -1.
    """
    device = trajectories.device
    label = torch.cat([runs.label.new_zeros(1), runs.label])
    total = torch.zeros((highest + 1, 2), dtype=torch.int64, device=device)

    def work(part: slice) -> None:
        own = label.index_select(0, runs.run[part.start + 1 : part.stop + 1])
        logit = trajectories.logits[part].double().clamp(-3e4, 3e4) * LOGIT_STEPS
        columns = [trajectories.lengths[part].long(), torch.round(logit).long()]
        total.index_add_(0, own, torch.stack(columns, 1))

    in_pieces(trajectories.voxels.numel(), device, work)
    count = total.new_zeros(highest + 1).index_add_(0, runs.label, runs.length)
    earliest = total.new_full((highest + 1,), runs.first.numel())
    numbers = torch.arange(runs.first.numel(), device=device)
    earliest.scatter_reduce_(0, runs.label, numbers, "amin")
    count[0] = 0
    total[0] = 0
    there = torch.nonzero(count)[:, 0]
    first = total.new_full((highest + 1,), -1)
    first[there] = trajectories.voxels[runs.first[earliest[there]]].long()
    return count, total[:, 0], total[:, 1], first


def hollow_runs(
    trajectories: "DeviceIntegration", runs: Runs
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Runs of the instances that may have holes: with background between two runs in a row.

    Returns
    -------
    label, left, right : Tensors of int32, (m,)
        Instance, first and last x of each, in raster order.
    first : Tensor of int64, (m,)
        First voxel, as an index into the voxels.
    row : Tensor of int32, (rows + 1,)
        Number of the first of them in each row of the volume, and of the one after the last.
    """
    depth, height, width = trajectories.shape
    there = torch.nonzero(runs.label)[:, 0]
    label, length = runs.label[there], runs.length[there]
    start = trajectories.voxels[runs.first[there]].long()
    row = torch.div(start, width, rounding_mode="floor")
    order = torch.argsort(label * trajectories.slots.numel() + start)
    one, two = order[:-1], order[1:]
    painted = torch.cumsum(length, 0)  # labelled voxels up to the end of each run
    between = painted[two] - length[two] - painted[one]
    gap = start[two] - start[one] - length[one]
    apart = (label[one] == label[two]) & (row[one] == row[two]) & (gap > between)
    highest = int(label.max()) if label.numel() else 0
    hollow = torch.zeros(highest + 1, dtype=torch.bool, device=label.device)
    hollow.index_fill_(0, label[one[apart]], True)
    kept = torch.nonzero(hollow[label])[:, 0]
    row, left = row[kept], (start - row * width)[kept]
    rows = torch.arange(depth * height + 1, device=label.device)
    return (
        label[kept].to(torch.int32),
        left.to(torch.int32),
        (left + length[kept] - 1).to(torch.int32),
        runs.first[there[kept]],
        torch.searchsorted(row, rows).to(torch.int32),
    )
