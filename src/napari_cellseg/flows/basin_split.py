"""Parting of a mask between what positive and what negative points claim."""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows.basin_index import BasinIndex

if TYPE_CHECKING:
    from napari_cellseg.flows.field import FlowField

_PARTING = 8.0  # how much dearer a step is where the flow parts by its whole length,
_LEAP = 8.0  # where the two voxels flow to different places,
_FAINT = 8.0  # and where the logit is as low as at the rim: cells that touch have a dip between
_REACH = 0.5  # diameters of the whole from which two ends are different places
_MOST = 1 << 15  # voxels that are grown through; larger masks are grown on a coarser grid
_TOP, _BOTTOM = 90.0, 5.0  # percentiles of the logits in the middle and at the rim of a mask


def split(
    field: "FlowField",
    index: BasinIndex,
    mask: NDArray[np.bool_],
    box: NDArray[np.int64],
    seeds: NDArray[np.int8],
) -> NDArray[np.bool_]:
    """Give each voxel of a mask to the seeds that are nearest on a way within it.

    A watershed grown from the seeds (as in Meyer's flooding, Signal Processing 38, 1994): the way
    has its physical length, and is longer where the flow parts, where neighbours end at different
    places, and where the logit is low, which is the border of two cells. Voxels that no seed
    reaches stay.

    Parameters
    ----------
    field : FlowField
        One frame.
    index : BasinIndex
        Of that frame.
    mask : numpy.ndarray, bool, shape of `box`
        What to part.
    box : numpy.ndarray, int64, shape (6,)
        Where `mask` lies.
    seeds : numpy.ndarray, int8, shape of `box`
        1 or -1 where it is known; those outside of the mask are ignored.

    Returns
    -------
    numpy.ndarray, bool
        The part of the positive seeds.
    """
    from scipy import ndimage

    seeds = np.where(mask, seeds, np.int8(0))
    if not (seeds < 0).any():
        return mask
    if not (seeds > 0).any():
        return np.zeros_like(mask)
    inner = ndimage.find_objects(mask.astype(np.int8))[0]
    edges = [(cut.start, cut.stop) for cut in inner]
    used = np.array(edges).T.ravel() + np.tile(box[:3], 2)
    out = np.zeros_like(mask)
    out[inner] = _parted(field, index, mask[inner], used, seeds[inner])
    return out


def _parted(
    field: "FlowField",
    index: BasinIndex,
    mask: NDArray[np.bool_],
    box: NDArray[np.int64],
    seeds: NDArray[np.int8],
) -> NDArray[np.bool_]:
    """The same of a mask without empty borders, on a coarser grid if it is large."""
    from scipy import ndimage

    count = int(np.count_nonzero(mask))
    axes = 2 if index.integration.planar else 3
    stride = math.ceil((count / _MOST) ** (1 / axes))
    if stride == 1:
        return mask & (_grown(field, index, mask, box, seeds, 1, count) >= 0)
    # a block takes the sign of any seed in it; edges are rounded off instead of stepping
    coarse = _grown(field, index, mask, box, seeds, stride, count)
    fine = coarse.astype(np.float32)
    for axis in range(3):
        if not (index.integration.planar and axis == 0):
            fine = np.repeat(fine, stride, axis)
    fine = fine[tuple(slice(0, n) for n in mask.shape)]
    size = [1 if index.integration.planar else stride, stride, stride]
    kept = ndimage.uniform_filter(fine, size, mode="nearest") >= 0
    return mask & np.where(seeds == 0, kept, seeds > 0)


def compile_kernel() -> None:
    """Have the watershed compiled, which takes a second once, before a user waits for it."""
    from napari_cellseg.flows import _basin_kernels

    shape = (1, 1, 1)
    numbers = (np.ones(shape, np.bool_), np.ones(shape, np.int8))
    vectors = np.zeros((3, *shape), np.float32)
    dear = np.ones(shape, np.float32)
    _basin_kernels.grow(*numbers, vectors, vectors, dear, np.ones(3), _PARTING, _LEAP, 1.0)


def _grown(
    field: "FlowField",
    index: BasinIndex,
    mask: NDArray[np.bool_],
    box: NDArray[np.int64],
    seeds: NDArray[np.int8],
    stride: int,
    count: int,
) -> NDArray[np.int8]:
    """Seeds grown through the mask of `count` voxels, on every `stride`-th voxel."""
    from napari_cellseg.flows import _basin_kernels

    integration = index.integration
    strides = np.array([1 if integration.planar else stride, stride, stride])
    every = tuple(slice(None, None, int(n)) for n in strides)
    part = tuple(
        slice(int(a), int(b), int(n)) for a, b, n in zip(box[:3], box[3:], strides, strict=True)
    )
    logits = field.logits.reshape(integration.shape)[part].astype(np.float32)
    flow = field.flow.reshape(-1, *integration.shape)[(slice(None), *part)]
    directions = np.zeros((3, *logits.shape), np.float32)
    directions[3 - flow.shape[0] :] = flow
    steps = np.array(integration.spacing)
    scale = strides.reshape(3, 1, 1, 1)
    ends = np.indices(logits.shape).astype(np.int64) * scale + box[:3].reshape(3, 1, 1, 1)
    covered = index.covered(box)[every]
    known = covered >= 0
    last = integration.voxels[integration.terminal[covered[known]]]
    ends[:, known] = np.unravel_index(last.astype(np.int64), integration.shape)
    within = mask
    if stride > 1:
        within = _blocks(mask, strides)
        lost, kept = _blocks(seeds < 0, strides), _blocks(seeds > 0, strides)
        seeds = np.where(kept, 1, np.where(lost, -1, 0)).astype(np.int8)
    low, high = np.percentile(logits[within], [_BOTTOM, _TOP])
    faint = np.clip((high - logits) / max(float(high - low), 0.5), 0, 1)
    return np.asarray(
        _basin_kernels.grow(
            np.ascontiguousarray(within),  # one layout: numba compiles each anew
            np.ascontiguousarray(seeds),
            directions,
            (ends * steps.reshape(3, 1, 1, 1)).astype(np.float32),
            (1 + _FAINT * faint).astype(np.float32),
            steps * strides,
            _PARTING,
            _LEAP,
            _REACH * index.diameter_of(float(count)),
        )
    )


def _blocks(mask: NDArray[np.bool_], strides: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether there is any in each block of so many voxels; the last blocks are filled up."""
    short = [(0, int(-n % s)) for n, s in zip(mask.shape, strides, strict=True)]
    full = np.pad(mask, short)
    pairs = zip(full.shape, strides, strict=True)
    blocks = full.reshape([k for n, s in pairs for k in (n // int(s), int(s))])
    return np.asarray(blocks.any((1, 3, 5)))
