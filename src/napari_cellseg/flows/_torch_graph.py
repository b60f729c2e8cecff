"""Ends of chains of pointers, and connected components, by pointer jumping.

All results are lowest indices, so they do not depend on the order in which threads write.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from napari_cellseg.flows._torch_memory import in_pieces


def terminals(pointers: Tensor) -> Tensor:
    """Lowest index on the cycle in which the chain of pointers from each index ends.

    Parameters
    ----------
    pointers : Tensor of int32, (n,)
        Where each index points to, in 0..n-1.

    Returns
    -------
    Tensor of int32, (n,)
        The same as `_terminals.terminals`.

    Notes
    -----
    Doubled pointers span 1, 2, 4, ... hops. What is pointed to shrinks until only cycles are left,
    a few voxels; there the lowest index of a window that doubles too becomes that of the cycle.
    """
    count = pointers.numel()
    if count == 0:
        return pointers.clone()
    far = pointers
    reached = _reached(far, count)
    while True:
        nodes = _reached(far[reached], count)
        if nodes.numel() == reached.numel():  # as each is reached from one: they go round
            break
        reached = nodes
        far = far.index_select(0, far)
    place = torch.empty_like(pointers)
    place[nodes] = torch.arange(nodes.numel(), dtype=torch.int32, device=pointers.device)
    ahead = place.index_select(0, pointers[nodes])
    lowest = nodes.to(torch.int32)
    while True:
        lower = torch.minimum(lowest, lowest.index_select(0, ahead))
        if torch.equal(lower, lowest):
            break
        lowest = lower
        ahead = ahead.index_select(0, ahead)
    place[nodes] = lowest
    return place.index_select(0, far)


def _reached(ends: Tensor, count: int) -> Tensor:
    """Indices that something points to, ascending (int64)."""
    mark = torch.zeros(count, dtype=torch.bool, device=ends.device)
    mark.index_fill_(0, ends.long(), True)
    return torch.nonzero(mark)[:, 0]


def join(root: Tensor, a: Tensor, b: Tensor) -> None:
    """Unite the trees of nodes `a` and `b`, pair by pair; the lowest node becomes the root.

    Parameters
    ----------
    root : Tensor of int32, (n,)
        Root of each node; changed. A root is its own.
    a, b : Tensor of int, (m,)
        Nodes.

    Notes
    -----
    Hooking and compressing in turn (Shiloach and Vishkin, J. Algorithms 3, 57-67, 1982).
    """
    while True:
        a, b = root.index_select(0, a), root.index_select(0, b)
        apart = torch.nonzero(a != b)[:, 0]
        if apart.numel() == 0:
            return
        a, b = a[apart], b[apart]
        root.scatter_reduce_(0, torch.maximum(a, b).long(), torch.minimum(a, b), "amin")
        while True:
            higher = root.index_select(0, root)
            if torch.equal(higher, root):
                break
            root.copy_(higher)


def join_in_pieces(
    root: Tensor, total: int, pairs: Callable[[slice], tuple[Tensor, Tensor]]
) -> None:
    """Unite trees by pairs that are found piece by piece; see `join`.

    Parameters
    ----------
    root : Tensor of int32, (n,)
        Changed.
    total : int
        Number of elements that the pieces are of.
    pairs : callable
        Gives the nodes ``a, b`` to unite, of a slice of them.
    """
    found: dict[int, tuple[Tensor, Tensor]] = {}

    def work(part: slice) -> None:
        a, b = (root.index_select(0, nodes) for nodes in pairs(part))
        apart = torch.nonzero(a != b)[:, 0]
        found[part.start] = (a[apart], b[apart])

    in_pieces(total, root.device, work)
    if found:
        a, b = (torch.cat(nodes) for nodes in zip(*found.values(), strict=True))
        join(root, a, b)
