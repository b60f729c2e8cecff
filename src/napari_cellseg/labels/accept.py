"""Labels from anywhere, as the array that a document edits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels.edit import MOST, Labels
from napari_cellseg.volume.label_values import to_labels


def accept_labels(
    labels: Any, where: str = "The labels", *, copy: bool = True
) -> tuple[Labels, NDArray[np.uint64] | None]:
    """Return labels as uint32, and what their ids were if those had to change.

    Parameters
    ----------
    labels : array
        Whole numbers of any type and byte order; lazy arrays are computed.
    where : str
        Subject of messages.
    copy : bool
        False: an array that is editable as it is, is returned itself.

    Returns
    -------
    labels : array of uint32
        Contiguous and writable.
    original_ids : array of uint64 or None
        By new id, where an id was above 2³² - 2; index 0 is background.

    Raises
    ------
    InputError
        Several resolutions, negative ids, fractions, or no numbers at all.
    """
    if isinstance(labels, list | tuple) or (hasattr(labels, "_data") and _is_multiscale(labels)):
        raise InputError(
            f"{where} come in several resolutions: choose the one with full resolution."
        )
    array = np.asarray(labels)
    if array.dtype.kind not in "uibf":
        raise InputError(f"{where} hold {array.dtype} and must be whole numbers.")
    if array.dtype.kind in "ui" and array.dtype.itemsize == 8 and array.size:
        if int(array.min()) < 0:
            raise InputError(
                f"{where} hold the negative value {int(array.min())}: ids start at 0 (background)."
            )
        if int(array.max()) > MOST:
            ids, rows = np.unique(array, return_inverse=True)
            if ids[0] != 0:
                ids, rows = np.append(np.zeros(1, ids.dtype), ids), rows + 1
            small = rows.reshape(array.shape).astype(np.uint32)
            return np.ascontiguousarray(small), ids.astype(np.uint64)
    wide = array.dtype.kind in "uf" and array.dtype.itemsize >= 4
    if wide and array.size and array.max() == MOST + 1:
        raise InputError(
            f"{where} hold the value {MOST + 1}, which no object can have: renumber it."
        )
    editable = array.dtype == np.uint32 and array.dtype.isnative and array.flags.c_contiguous
    if editable and array.flags.writeable and not copy:
        return array, None
    made = to_labels(array, where)
    owned = made if made is not array and made.base is None else made.copy()
    return owned if owned.flags.writeable else owned.copy(), None


def _is_multiscale(labels: Any) -> bool:
    return isinstance(labels._data, list) and not hasattr(labels, "__array_interface__")


def axes_of(ndim: int, axes: str | None, where: str = "The labels") -> str:
    """Return the axes of labels, from their number where that is clear.

    Raises
    ------
    InputError
        They do not fit.
    """
    known = {2: "yx", 3: "zyx", 4: "tzyx"}
    chosen = known.get(ndim, "") if axes is None else axes
    if len(chosen) != ndim or chosen not in ("yx", "zyx", "tyx", "tzyx"):
        raise InputError(
            f"{where} have {ndim} axes, which cannot be {axes or 'labels'}: give 'yx', 'zyx', "
            "'tyx' or 'tzyx'."
        )
    return chosen
