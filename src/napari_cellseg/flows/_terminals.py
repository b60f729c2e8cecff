"""Kernel: where chains of pointers end, whatever the length of chain or cycle.

A voxel's pointer is one hop; hops end on a cycle, mostly of one voxel. The terminal is the cycle's
lowest voxel, so that it does not depend on the number of hops, on blocks or on the order of work.
"""

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._jit import kernel, run_chunks

_PIECE = 1 << 18  # pointers that one call follows


def terminals(pointers: NDArray[np.int32], threads: int | None = None) -> NDArray[np.int32]:
    """Lowest index on the cycle in which the chain of pointers from each index ends.

    Parameters
    ----------
    pointers : array of int32, shape (n,)
        Where each index points to, in 0..n-1.
    threads : int, optional
        Number of threads; by default one per core. The result does not depend on it.

    Returns
    -------
    numpy.ndarray, int32, shape (n,)

    Notes
    -----
    Linear in n: a chain is followed up to what is known already. Threads share what they find; two
    of them may find the same, but never anything else. Cycles are found as by R. P. Brent (BIT 20,
    176-184, 1980), so that no marks are needed.
    """
    out = np.full(pointers.size, -1, np.int32)

    def follow(start: int) -> None:
        _follow(pointers, start, min(start + _PIECE, pointers.size), out)

    run_chunks(follow, list(range(0, pointers.size, _PIECE)), threads)
    return out


@kernel
def _follow(pointers: NDArray[np.int32], start: int, stop: int, out: NDArray[np.int32]) -> None:
    """Fill `out` from `start` to `stop`, and wherever the way leads; -1 is not known yet."""
    for i in range(start, stop):
        if out[i] >= 0:
            continue
        mark = np.int64(i)
        here = np.int64(pointers[i])
        walked, until = 1, 1
        while here != mark and out[here] < 0:
            if walked == until:
                mark = here
                walked, until = 0, 2 * until
            here = np.int64(pointers[here])
            walked += 1
        end = out[here]
        if end < 0:  # once round the cycle
            end = np.int32(here)
            at = np.int64(pointers[here])
            while at != here:
                end = min(end, np.int32(at))
                at = np.int64(pointers[at])
        at = np.int64(i)
        while out[at] < 0:
            out[at] = end
            at = np.int64(pointers[at])
