"""The packing of `_packing` in torch: the same float32 operations, in order."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from napari_cellseg.flows._torch_memory import in_pieces
from napari_cellseg.flows._trust import LIMIT, PER_UNIT, PROBABILITIES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cellseg.flows.progress import Progress


def pack(
    flow: "NDArray[np.floating] | Tensor",
    logits: "NDArray[np.floating] | Tensor",
    floor: float,
    device: torch.device,
    progress: "Progress | None" = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Words of a volume, and its covered voxels, as `_packing.pack` gives them.

    Parameters
    ----------
    flow : array or Tensor of float, shape (D, z, y, x)
        Taken to the device piece by piece, in the precision in which it is stored.
    logits : array or Tensor of float, shape (z, y, x)
    floor : float
        Voxels with a greater logit are covered.
    device : torch.device
    progress : Progress, optional
        Checked between pieces.

    Returns
    -------
    words : Tensor of int32, (z, y, x)
        0 is not covered.
    voxels : Tensor of int32 or int64, (n,)
        Raster index of the covered voxels, ascending.
    logits : Tensor of float32, (n,)
    lengths : Tensor of uint8, (n,)
    """
    words = torch.zeros(tuple(logits.shape), dtype=torch.int32, device=device)
    # pieces are of planes, or of the rows of a single one
    flow, logits = (flow[:, 0], logits[0]) if words.shape[0] == 1 else (flow, logits)
    layers = words.view(logits.shape[0], -1)
    whole = torch.int32 if words.numel() < 2**31 else torch.int64
    table = torch.from_numpy(PROBABILITIES).to(device)
    found: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def work(part: slice) -> None:
        level = _moved(logits[part], device).reshape(-1)
        covered = torch.nonzero(level > floor)[:, 0]
        kept = level.index_select(0, covered)
        parts = [
            _moved(flow[axis, part], device).reshape(-1).index_select(0, covered)
            for axis in range(int(flow.shape[0]))
        ]
        word, length = pack_voxels(parts, kept, table)
        layers[part].view(-1).index_copy_(0, covered, word)
        found[part.start] = ((covered + part.start * layers.shape[1]).to(whole), kept, length)

    in_pieces(layers.shape[0], device, work, progress, weight=layers.shape[1])
    if not found:
        empty = torch.empty(0, device=device)
        return words, empty.to(whole), empty, empty.to(torch.uint8)
    voxels, kept, lengths = (torch.cat(column) for column in zip(*found.values(), strict=True))
    return words, voxels, kept, lengths


def pack_voxels(flow: list[Tensor], logits: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """Word and flow length, in steps of 1/255, of voxels.

    Parameters
    ----------
    flow : list of Tensor of float32, (n,)
        ``dz, dy, dx``, or ``dy, dx``.
    logits : Tensor of float32, (n,)
    table : Tensor of float32
        `_trust.PROBABILITIES`.

    Returns
    -------
    words : Tensor of int32, (n,)
    lengths : Tensor of uint8, (n,)
    """
    squares = [part * part for part in flow]
    square = squares[-2] if len(flow) == 2 else squares[0] + squares[1]
    length = torch.sqrt(square + squares[-1])
    # a tensor: torch divides a number by a tensor, or one by a number, by way of reciprocals
    steps = torch.full_like(length, 127)
    scale = torch.where(length > 1e-6, steps / length, torch.zeros_like(length))
    length = length.clamp(max=1)
    near = logits.clamp(-LIMIT, LIMIT)
    trust = length * table[((near + LIMIT) * PER_UNIT + 0.5).int()]
    words = (trust * 255 + 0.5).int().clamp(min=1) << 24
    for part, shift in zip(reversed(flow), (16, 8, 0), strict=False):
        words |= (torch.round(part * scale).int() & 255) << shift
    return words, (length * 255 + 0.5).to(torch.uint8)


def _moved(values: Any, device: torch.device) -> Tensor:
    """Part of a field as float32 on the device; what travels is what is stored."""
    part = values
    if not isinstance(values, Tensor):
        # torch wants arrays that it may write to, and those of read-only files are not
        part = torch.from_numpy(np.require(values, requirements=["C", "W"]))
    moved: Tensor = part.to(device).float()
    return moved
