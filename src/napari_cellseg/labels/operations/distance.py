"""Exact Euclidean distances, several times as fast as in scipy on the box of a cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def distance_to_outside(mask: NDArray[np.bool_], steps: Sequence[float]) -> NDArray[np.float64]:
    """Distance of each voxel of a mask to the nearest one outside of it.

    By lower envelopes of parabolas, axis by axis (Felzenszwalb & Huttenlocher, Theory of Computing
    8, 2012).

    Parameters
    ----------
    mask : array of bool, 1 to 3 axes
    steps : sequence of float
        Voxel size along each.

    Returns
    -------
    array of float64
        0 outside; infinite where all is inside.
    """
    from napari_cellseg.labels.operations._distance_kernel import squared

    missing = 3 - mask.ndim
    volume = np.ascontiguousarray(mask).reshape((1,) * missing + mask.shape)
    sizes = np.array([1.0] * missing + [float(one) for one in steps])
    out = np.empty(volume.shape, np.float64)
    squared(volume, sizes, out)
    return np.sqrt(out, out=out).reshape(mask.shape)
