"""What counts as instance labels: non-negative integers that fit into uint32."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError

LARGEST = int(np.iinfo(np.uint32).max)


def as_labels(values: NDArray[Any], where: str) -> NDArray[np.uint32]:
    """Integer values as uint32.

    Parameters
    ----------
    values : ndarray of int
        Any shape.
    where : str
        Subject of messages.

    Raises
    ------
    InputError
        If a value is negative or larger than uint32 holds.
    """
    if values.size and values.dtype.kind == "i":
        smallest = int(values.min())
        if smallest < 0:
            raise InputError(
                f"{where} hold the negative value {smallest}: "
                "instance labels start at 0 (background)."
            )
    if values.size and values.dtype.itemsize > 4:
        largest = int(values.max())
        if largest > LARGEST:
            raise InputError(
                f"{where} hold the value {largest}, more than 32 bits: "
                "renumber the instances first."
            )
    return np.ascontiguousarray(values, np.uint32)


def to_labels(values: NDArray[Any], where: str) -> NDArray[np.uint32]:
    """Like :func:`as_labels`, but also of bool (one instance) and of floats that are whole.

    Other programs store labels in those types.
    """
    if values.dtype.kind == "f":
        if not np.isfinite(values).all() or (values != np.rint(values)).any():
            raise InputError(
                f"{where} hold fractions or NaN: choose a label image, not an intensity image."
            )
        if values.size and not 0 <= values.min() <= values.max() <= LARGEST:
            raise InputError(f"{where} hold values outside 0 to {LARGEST}: renumber the instances.")
        return np.ascontiguousarray(values, np.uint32)
    return as_labels(values, where)
