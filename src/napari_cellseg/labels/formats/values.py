"""From the numbers of a file to ids that a document can hold, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels.edit import MOST

_EXACT = {2: 2**11, 4: 2**24}
"""Whole numbers below which floats of so many bytes tell all of them apart."""


def to_ids(
    values: NDArray[Any], where: str, axes: str = ""
) -> tuple[NDArray[np.uint32], NDArray[np.integer[Any]] | None, tuple[str, ...]]:
    """Numbers of a file as uint32 ids.

    Whole floats are accepted with a notice, because several programs can write nothing else (a
    32-bit result of ImageJ, a matrix of MATLAB); anything that is no id is refused, because
    rounding it would make up objects.

    Parameters
    ----------
    values : ndarray
        bool, integer or float of any byte order, of any shape.
    where : str
        Subject of messages, in the plural.
    axes : str
        Axes of `values`, for messages.

    Returns
    -------
    labels : ndarray of uint32
        Of the same shape; a copy, C-contiguous and native.
    original_ids : ndarray or None
        See `LabelFile`.
    notices : tuple of str

    Raises
    ------
    InputError
        A value is negative, no whole number, or no number at all.
    """
    if values.dtype.kind == "b":
        return values.astype(np.uint32, order="C"), None, (f"{where} are a mask: one object.",)
    if values.dtype.kind not in "iuf":
        raise InputError(
            f"{where} are of type {values.dtype}: choose a file with one whole number per voxel."
        )
    if not values.size:
        return values.astype(np.uint32), None, ()
    notices: tuple[str, ...] = ()
    if values.dtype.kind == "f":
        values, notices = _whole(values, where, axes)
    elif values.dtype.kind == "i" and int(values.min()) < 0:
        raise _fault(values < 0, values, where, axes, "a negative number")
    if int(values.max()) <= MOST:
        return values.astype(np.uint32, order="C"), None, notices
    ids = np.unique(values)
    if ids[0] != 0:
        ids = np.concatenate([np.zeros(1, ids.dtype), ids])
    labels = np.searchsorted(ids, values).astype(np.uint32, order="C")
    text = (
        f"{where} hold ids up to {int(ids[-1])}, more than 32 bits: "
        f"objects were numbered 1 to {len(ids) - 1} in the order of their ids."
    )
    return labels, ids, (*notices, text)


def restore_ids(
    labels: NDArray[np.uint32], original_ids: NDArray[np.integer[Any]]
) -> NDArray[np.uint64]:
    """Go back to the ids that a file had.

    Parameters
    ----------
    labels : ndarray of uint32
        Labels read from that file, maybe edited since: objects that the file did not have get
        ids above all that it had.
    original_ids : ndarray of int
        Of `LabelFile`.

    Returns
    -------
    ndarray of uint64
        Of the same shape.
    """
    known = np.asarray(original_ids).astype(np.uint64)
    place = np.minimum(labels, np.uint32(len(known) - 1))
    restored = known[place]
    new = labels >= len(known)
    if new.any():
        above = labels[new].astype(np.uint64) - np.uint64(len(known) - 1)
        restored[new] = known[-1] + above
    return restored


def _whole(
    values: NDArray[Any], where: str, axes: str
) -> tuple[NDArray[np.integer[Any]], tuple[str, ...]]:
    finite = np.isfinite(values)
    if not finite.all():
        raise _fault(~finite, values, where, axes, "no number")
    if float(values.min()) < 0:
        raise _fault(values < 0, values, where, axes, "a negative number")
    fractions = values != np.rint(values)
    if fractions.any():
        raise _fault(fractions, values, where, axes, "a fraction")
    largest = float(values.max())
    if largest >= 2.0**63:
        raise InputError(f"{where} hold {largest:g}, which is no id: renumber the objects first.")
    text = f"{where} are stored as {values.dtype.name}; all are whole numbers and taken as ids."
    if largest >= _EXACT.get(values.dtype.itemsize, 2**53):
        text += " Ids this large may have been rounded together when the file was written."
    return values.astype(np.int64), (text,)


def _fault(
    bad: NDArray[np.bool_], values: NDArray[Any], where: str, axes: str, what: str
) -> InputError:
    place = np.unravel_index(int(np.argmax(bad)), bad.shape)
    value = values[place]
    position = ", ".join(str(int(k)) for k in place)
    letters = ", ".join(axes) if len(axes) == len(place) else "index"
    others = np.count_nonzero(bad) - 1
    more = f" and {others} more" if others else ""
    return InputError(
        f"{where} hold {value} at ({letters}) = ({position}){more}, {what}: choose a label image "
        "with 0 for background and a positive whole number for each object."
    )
