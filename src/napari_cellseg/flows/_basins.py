"""Kernels: union and find."""

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._jit import kernel


@kernel
def find(parent: NDArray[np.integer], a: int) -> int:
    """Root of `a`, with path halving."""
    while parent[a] != a:
        parent[a] = parent[parent[a]]
        a = parent[a]
    return a


@kernel
def unite(parent: NDArray[np.integer], a: int, b: int) -> None:
    """Join two trees; the smaller index becomes the root, so that the order does not matter."""
    a, b = find(parent, a), find(parent, b)
    if a < b:
        parent[b] = a
    elif b < a:
        parent[a] = b
