"""Parting of one basin that holds positive and negative points."""

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows.basin_index import BasinIndex

_PARTING = 8.0  # how much dearer a step is where the flow parts by its whole length
_LEAP = 30.0  # and where the two voxels flow to different places
_REACH = 0.5  # diameters of the whole from which two ends are different places


def split(
    flow: NDArray[np.floating],
    index: BasinIndex,
    mask: NDArray[np.bool_],
    box: NDArray[np.int64],
    positive: NDArray[np.int64],
    negative: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Give each voxel to the point that is nearest on a way within the mask.

    A watershed grown from the points (as in Meyer's flooding, Signal Processing 38, 1994): the way
    has its physical length, and is longer where the flow parts or where neighbours end at
    different places, which is the border of two cells. Voxels that no point reaches stay.

    Parameters
    ----------
    flow : numpy.ndarray, shape (D, [z,] y, x)
        Of the frame.
    index : BasinIndex
        Of the frame.
    mask : numpy.ndarray, bool, shape of `box`
        What to part.
    box : numpy.ndarray, int64, shape (6,)
        Where `mask` lies.
    positive, negative : numpy.ndarray, int64, shape (n, 3)
        Voxels ``(z, y, x)``; those outside of the mask are ignored.

    Returns
    -------
    numpy.ndarray, bool
        The part of the positive points.
    """
    from napari_cellseg.flows import _basin_kernels

    seeds = np.zeros(mask.shape, np.int8)
    for points, kind in ((positive, 1), (negative, -1)):
        inside = ((points >= box[:3]) & (points < box[3:])).all(1)
        seeds[tuple((points[inside] - box[:3]).T)] = kind
    if not (seeds[mask] < 0).any():
        return mask
    if not (seeds[mask] > 0).any():
        return np.zeros_like(mask)
    integration = index.integration
    steps = np.array(integration.spacing)
    part = tuple(slice(a, b) for a, b in zip(box[:3], box[3:], strict=True))
    directions = np.zeros((3, *mask.shape), np.float32)
    directions[3 - flow.shape[0] :] = flow.reshape(-1, *integration.shape)[(slice(None), *part)]
    ends = np.indices(mask.shape).astype(np.int64) + box[:3].reshape(3, 1, 1, 1)
    covered = index.covered(box)
    known = covered >= 0
    last = integration.voxels[integration.terminal[covered[known]]]
    ends[:, known] = np.unravel_index(last.astype(np.int64), integration.shape)
    grown = _basin_kernels.grow(
        np.ascontiguousarray(mask),  # one layout: numba compiles each anew
        seeds,
        directions,
        (ends * steps.reshape(3, 1, 1, 1)).astype(np.float32),
        steps,
        _PARTING,
        _LEAP,
        _REACH * index.diameter_of(float(np.count_nonzero(mask))),
    )
    return mask & (grown >= 0)


def compile_kernel() -> None:
    """Have the watershed compiled, which takes a second once, before a user waits for it."""
    from napari_cellseg.flows import _basin_kernels

    shape = (1, 1, 1)
    numbers = (np.ones(shape, np.bool_), np.ones(shape, np.int8))
    vectors = np.zeros((3, *shape), np.float32)
    _basin_kernels.grow(*numbers, vectors, vectors, np.ones(3), _PARTING, _LEAP, 1.0)
