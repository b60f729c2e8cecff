"""Work in pieces that become smaller where the memory of the device does not suffice."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from napari_cellseg.flows.progress import Progress

#: Elements that are worked on at once. Working memory is 100 to 200 bytes each: 1.5 GB on a GPU,
#: which wants to be filled; on a CPU it should stay in the cache.
PIECE = {"cuda": 1 << 23, "mps": 1 << 21}
_PIECE = 1 << 16
_LEAST = 1 << 10  # where even this does not fit, smaller pieces would not help


def in_pieces(
    total: int,
    device: torch.device,
    work: Callable[[slice], None],
    progress: "Progress | None" = None,
    weight: int = 1,
) -> None:
    """Call `work` with consecutive slices of ``0..total``.

    A piece that runs out of memory is done again in halves, as are those after it, so `work` must
    not change what it reads.

    Parameters
    ----------
    total : int
        Number of elements.
    device : torch.device
    work : callable
        Called with a slice.
    progress : Progress, optional
        Checked before each piece.
    weight : int
        Elements that each one stands for: pieces are smaller by that.

    Raises
    ------
    torch.OutOfMemoryError
        If the smallest piece does not fit.
    """
    piece = max(1, PIECE.get(device.type, _PIECE) // weight)
    start = 0
    while start < total:
        if progress is not None:
            progress.check()
        stop = min(start + piece, total)
        try:
            work(slice(start, stop))
            start = stop
            continue
        except torch.OutOfMemoryError:
            if piece * weight <= _LEAST or piece == 1:
                raise
        # outside of the handler, so that the tensors of the failed call are free
        if device.type == "cuda":
            torch.cuda.empty_cache()
        piece = (piece + 1) // 2
