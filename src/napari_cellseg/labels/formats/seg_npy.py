"""Cellpose's ``_seg.npy``: a pickled dictionary inside a .npy file.

The keys are those that Cellpose's window reads and writes (``cellpose/gui/io.py`` of Cellpose 4).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels.formats.label_file import LabelFile
from napari_cellseg.labels.formats.pickled import Array, unpickle
from napari_cellseg.labels.formats.values import to_ids
from napari_cellseg.volume.axes import DEFAULTS
from napari_cellseg.volume.memory import check_memory

ENDING = "_seg.npy"
_MAGIC = b"\x93NUMPY"
_MOST_FLAGS = 2**24


def is_pickled(path: Path) -> bool:
    """Whether a file is a .npy that holds a pickle in place of an array."""
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return False
        file.seek(0)
        try:
            return _header(file)[1].hasobject
        except (ValueError, OSError, EOFError, SyntaxError, TypeError):
            return False  # let the reader of arrays say what is wrong


def _header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def read_seg_npy(path: Path) -> LabelFile:
    """Read the masks of a ``_seg.npy``.

    Parameters
    ----------
    path : Path
        For which `is_pickled` holds.

    Raises
    ------
    InputError
        There are no masks in it, or it asks for anything but arrays and plain values; nothing of
        it is ever run.
    """
    where = f"file {path.name!r}"
    check_memory(3 * path.stat().st_size, f"Reading {where}")
    with path.open("rb") as file:
        shape, _ = _header(file)
        content = unpickle(file.read(), where) if shape == () else None
    # numpy pickles the array of one object that holds the dictionary
    if isinstance(content, Array) and content.value is not None and content.value.size == 1:
        content = content.value.reshape(-1)[0]
    masks = content.get("masks") if isinstance(content, dict) else None
    values = masks.value if isinstance(masks, Array) else None
    if values is None:
        raise InputError(
            f"{where} holds no masks as Cellpose saves them: choose a file whose name ends in "
            f"{ENDING}, or the masks as TIFF."
        )
    if values.ndim == 3 and len(values) == 1:
        values = values[0]
    if values.ndim not in (2, 3) or not values.size:
        raise InputError(f"{where} holds masks of shape {values.shape}: a plane or stack is meant.")
    if values.dtype.kind == "i" and int(values.min()) == -1:  # background of the first versions
        values = values.astype(np.int64) + 1
    axes = DEFAULTS[values.ndim]
    labels, original, notices = to_ids(values, f"the masks in {path.name!r}", axes)
    return LabelFile(labels, axes, None, notices, original)


def write_seg_npy(
    path: Path, labels: NDArray[np.unsignedinteger[Any]], axes: str, image: str | None = None
) -> None:
    """Write what Cellpose's window opens.

    Parameters
    ----------
    path : Path
        Where; the caller makes the write atomic.
    labels : ndarray of uint8, uint16 or uint32
        (y, x) or (z, y, x).
    axes : str
        Their axes.
    image : str, optional
        File of the image, which the window opens along with the masks.

    Raises
    ------
    InputError
        There is a time axis.
    """
    if "t" in axes:
        raise InputError(
            f"Cellpose's {ENDING} has no time axis: write one time point, or TIFF or OME-Zarr."
        )
    largest = int(labels.max(initial=0))
    content: dict[str, Any] = {
        "masks": labels,
        "outlines": labels * outlines(labels),
        "chan_choose": [0, 0],
        "filename": image or "",
        "flows": [[], [], [], [], [[]]],
        "diameter": np.nan,
    }
    if largest <= _MOST_FLAGS:  # one flag for each number up to the largest id
        content["ismanual"] = np.zeros(largest, bool)
    with path.open("wb") as file:
        np.save(file, content)  # type: ignore[arg-type]


def outlines(labels: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.bool_]:
    """Voxels of an object whose plane holds another value beside them.

    Parameters
    ----------
    labels : ndarray of int
        ([z,] y, x).
    """
    edge = np.zeros(labels.shape, bool)
    for axis in (-2, -1):
        differs = np.diff(labels, axis=axis) != 0
        first = [slice(None)] * labels.ndim
        second = list(first)
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        edge[tuple(first)] |= differs
        edge[tuple(second)] |= differs
        for end in (0, -1):  # the outline is closed at the border of the image
            first[axis] = end  # type: ignore[call-overload]
            edge[tuple(first)] = True
    return edge & (labels > 0)
