"""What is to be written into labels, as boxes: single voxels, and boxes of a layer's axes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError

_LOOSE = 64
"""Voxels that a box may have for each that is written; beyond that it is cut into blocks."""
_SMALL = 1 << 18
"""Voxels of a box that is never cut."""
_BLOCK = 32


class Patch(NamedTuple):
    """What is to be written into a box.

    Attributes
    ----------
    region : tuple of slice
        Over all axes of the layer's array, with start and stop.
    mask : array of bool
        Of the region's shape: which voxels.
    values : int or array
        An id for all, or an array of the region's shape and the array's type.
    """

    region: tuple[slice, ...]
    mask: NDArray[np.bool_]
    values: int | NDArray[np.integer[Any]]


def patches_of(
    data: NDArray[np.integer[Any]], indices: tuple[NDArray[Any], ...], values: Any
) -> list[Patch]:
    """Return what indexed assignment would change, in boxes that do not overlap.

    Parameters
    ----------
    data : integer array
        As it is now; voxels that have their value already are left out.
    indices : tuple of arrays of int, one for each axis
        Negative ones count from the end.
    values : int or array of int
        Of the indices' shape, or one for all. Where a voxel is given twice, the last counts.

    Returns
    -------
    list of Patch
        Empty if nothing would change.

    Raises
    ------
    InputError
        If an index lies outside the array, or a value outside its type.
    """
    at = _checked_indices(indices, data.shape)
    wanted = _checked_values(values, at[0].shape, data.dtype)
    each = wanted.ndim > 0
    at = tuple(axis.ravel() for axis in at)
    changed = data[at] != (wanted.ravel() if each else wanted)
    if each and not changed.all():  # a voxel may be given twice: only the last value decides
        last = np.zeros(at[0].size, np.bool_)
        flat = np.ravel_multi_index(at, data.shape)[::-1]
        last[flat.size - 1 - np.unique(flat, return_index=True)[1]] = True
        changed &= last
    at = tuple(axis[changed] for axis in at)
    if not at[0].size:
        return []
    wanted = wanted.ravel()[changed] if each else wanted
    return [
        _patch(tuple(axis[part] for axis in at), wanted[part] if each else int(wanted))
        for part in _parts(at)
    ]


def to_label_axes(patch: Patch, letters: str, axes: str) -> Patch:
    """Return what is to be written into a layer's array as a box over the labels' axes.

    A layer may have axes that the labels have not, along which every position is the same memory:
    there a voxel is written if it is at any position.
    """
    if letters == axes:
        return patch
    extra = tuple(at for at, letter in enumerate(letters) if letter not in axes)
    kept = [letter for letter in letters if letter in axes]
    turned = [kept.index(letter) for letter in axes]
    region = tuple(patch.region[letters.index(letter)] for letter in axes)
    mask = np.asarray(patch.mask.any(axis=extra)).transpose(turned)
    values = patch.values
    if isinstance(values, np.ndarray):  # the last position wins, as in indexed assignment
        shape = [size for at, size in enumerate(values.shape) if at not in extra]
        written = np.zeros(shape, values.dtype)
        each = np.moveaxis(values, extra, range(len(extra))).reshape(-1, *shape)
        where = np.moveaxis(patch.mask, extra, range(len(extra))).reshape(-1, *shape)
        for value, there in zip(each, where, strict=True):
            np.copyto(written, value, where=there)
        values = written.transpose(turned)
    return Patch(region, mask, values)


def _checked_indices(
    indices: tuple[NDArray[Any], ...], shape: tuple[int, ...]
) -> tuple[NDArray[np.intp], ...]:
    if not isinstance(indices, tuple) or len(indices) != len(shape):
        raise InputError(f"Voxels need a tuple of {len(shape)} index arrays, one for each axis.")
    try:
        arrays = np.broadcast_arrays(*[np.asarray(axis) for axis in indices])
    except ValueError:
        raise InputError("The index arrays of the voxels must have one length.") from None
    out = []
    for axis, (array, size) in enumerate(zip(arrays, shape, strict=True)):
        if array.dtype.kind not in "iu" and array.size:
            raise InputError(f"Indices of voxels must be whole numbers, not {array.dtype}.")
        array = array.astype(np.intp)
        array = np.where(array < 0, array + size, array)
        if array.size and not (array.min() >= 0 and array.max() < size):
            raise InputError(f"Voxels lie outside the labels along axis {axis} of length {size}.")
        out.append(array)
    return tuple(out)


def _checked_values(values: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    array = np.asarray(values)
    limits = np.iinfo(dtype)
    if array.dtype.kind not in "iu" and array.size:
        raise InputError(f"Ids must be whole numbers, not {array.dtype}.")
    if array.size and not (int(array.min()) >= limits.min and int(array.max()) <= limits.max):
        raise InputError(f"Ids must lie between {max(0, limits.min)} and {limits.max} in {dtype}.")
    if array.ndim:
        try:
            array = np.broadcast_to(array, shape)
        except ValueError:
            raise InputError("There must be one id for all voxels, or one for each.") from None
    return array.astype(dtype)


def _parts(at: tuple[NDArray[np.intp], ...]) -> list[Any]:
    """Which of the voxels go into one box: all, or those of one block."""
    spans = [int(axis.max()) - int(axis.min()) + 1 for axis in at]
    count = at[0].size
    if np.prod(spans, dtype=float) <= max(_SMALL, _LOOSE * count):
        return [slice(None)]
    blocks = [(axis - axis.min()) // _BLOCK for axis in at]
    keys = np.ravel_multi_index(blocks, [span // _BLOCK + 1 for span in spans])
    order = np.argsort(keys, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(keys[order])) + 1)


def _patch(at: tuple[NDArray[np.intp], ...], values: int | NDArray[Any]) -> Patch:
    region = tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in at)
    shape = tuple(part.stop - part.start for part in region)
    inside = tuple(axis - part.start for axis, part in zip(at, region, strict=True))
    mask = np.zeros(shape, np.bool_)
    mask[inside] = True
    if isinstance(values, int):
        return Patch(region, mask, values)
    box = np.zeros(shape, values.dtype)
    box[inside] = values
    return Patch(region, mask, box)
