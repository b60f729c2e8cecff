"""Kernels: renumbering, and how far two flows differ in each instance."""

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._jit import kernel


@kernel
def replace(canvas: NDArray[np.int32], new: NDArray[np.int32]) -> None:
    """Renumber `canvas` in place."""
    flat = canvas.reshape(-1)
    for i in range(flat.size):
        flat[i] = new[flat[i]]


@kernel
def squared_errors(
    flow: NDArray[np.float32],
    own: NDArray[np.float32],
    labels: NDArray[np.int32],
    total: NDArray[np.float64],
    count: NDArray[np.float64],
) -> None:
    """Add to `total` and `count`, by id, the squared difference of two flows (D, z, y, x)."""
    depth, height, width = labels.shape
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                k = labels[z, y, x]
                if k != 0:
                    for axis in range(flow.shape[0]):
                        total[k] += (flow[axis, z, y, x] - own[axis, z, y, x]) ** 2
                    count[k] += 1
