"""Open zarr v2 and v3 arrays and groups on disk, checking their metadata before zarr sees them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.volume.lazy import lazy

if TYPE_CHECKING:
    import dask.array as da

DOCUMENTS = ("zarr.json", ".zarray", ".zgroup")
"""Any of these makes a folder a zarr node."""

_LARGEST_DOCUMENT = 1 << 26  # bytes
_V3_TYPES = {
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64",
}  # fmt: skip


def is_zarr(path: Path) -> bool:
    """Whether the folder `path` is a zarr array or group."""
    return any((path / name).is_file() for name in DOCUMENTS)


def is_array(path: Path) -> bool:
    """Whether the zarr node at `path` is an array."""
    return (path / ".zarray").is_file() or (
        (path / "zarr.json").is_file() and _document(path / "zarr.json").get("node_type") == "array"
    )


def attributes(path: Path) -> dict[str, Any]:
    """User attributes of the zarr node at `path`.

    Raises
    ------
    InputError
        If its metadata are missing or no JSON.
    """
    if (path / "zarr.json").is_file():
        found = _document(path / "zarr.json").get("attributes", {})
        return found if isinstance(found, dict) else {}
    if (path / ".zattrs").is_file():
        return _document(path / ".zattrs")
    if not is_zarr(path):
        raise InputError(
            f"{path.name!r} holds no zarr metadata (zarr.json, .zarray or .zgroup): "
            "choose the folder of a zarr array or group."
        )
    return {}


def zarr_format(path: Path) -> int:
    """2 or 3."""
    return 3 if (path / "zarr.json").is_file() else 2


def dimension_names(path: Path, ndim: int) -> str | None:
    """Axes of a plain array by zarr v3 dimension names, or xarray's convention for v2.

    None unless each of its dimensions is named by another letter of ``tczyx``.
    """
    stated = (
        _document(path / "zarr.json").get("dimension_names")
        if zarr_format(path) == 3
        else attributes(path).get("_ARRAY_DIMENSIONS")
    )
    letters = [str(name).lower() for name in stated] if isinstance(stated, list) else []
    named = len(letters) == ndim == len(set(letters)) and set(letters) <= set("tczyx")
    return "".join(letters) if named else None


def children(path: Path) -> Iterator[Path]:
    """Zarr nodes directly inside a group, by name."""
    for child in sorted(path.iterdir()):
        if child.is_dir() and is_zarr(child):
            yield child


def open_array(path: Path, where: str) -> da.Array:
    """A zarr array as a lazy dask array in native byte order.

    Parameters
    ----------
    path : Path
        Folder of the array.
    where : str
        Subject of messages.

    Raises
    ------
    InputError
        If the array is missing, holds no image, or its metadata are damaged or unsafe.
    """
    if not is_array(path):
        raise InputError(f"{where} has no zarr array at {path.name!r}: write the store again.")
    document = _document(path / ("zarr.json" if zarr_format(path) == 3 else ".zarray"))
    _check_metadata(document, where)
    import zarr

    try:
        array = zarr.open_array(path, mode="r")
    except Exception as error:  # zarr raises whatever damaged metadata make it raise
        raise _damaged(where, error) from error
    return lazy(array, where, tuple(array.chunks))


def _document(path: Path) -> dict[str, Any]:
    where = f"{path.parent.name}/{path.name}"
    try:
        if path.stat().st_size > _LARGEST_DOCUMENT:
            raise InputError(f"zarr metadata {where!r} are too large to be real.")
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"zarr metadata {where!r} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"zarr metadata {where!r} are damaged ({str(error).splitlines()[0]}): "
            "write the store again."
        ) from error
    if not isinstance(document, dict):
        raise InputError(f"zarr metadata {where!r} are damaged: they hold no JSON object.")
    return document


def _check_metadata(document: dict[str, Any], where: str) -> None:
    shape = document.get("shape")
    if not isinstance(shape, list) or not all(
        isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 1 << 62 for n in shape
    ):
        raise _damaged(where, ValueError(f"shape is {shape!r}"))
    if 0 in shape or not shape:
        raise InputError(f"{where} is empty: its shape is {tuple(shape)}.")
    if math.prod(shape) >= 1 << 62:
        raise InputError(f"{where} declares shape {tuple(shape)}, larger than any store can be.")
    kind = document.get("dtype", document.get("data_type"))
    if not _is_image_type(kind):
        raise InputError(
            f"{where} holds values of type {kind!r}, which is no image: "
            "save it as an integer, float or bool array."
        )
    # Pickle codecs run code of whoever made the file.
    for key in ("filters", "compressor", "codecs"):
        if "pickle" in json.dumps(document.get(key)).lower():
            raise InputError(f"{where} is stored as pickled objects, which are never opened.")


def _is_image_type(kind: Any) -> bool:
    if not isinstance(kind, str):
        return False
    if kind in _V3_TYPES:
        return True
    try:
        dtype = np.dtype(kind)
    except TypeError:
        return False
    return dtype.kind in "buif" and dtype.itemsize <= 8


def _damaged(where: str, error: Exception) -> InputError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(f"{where} has damaged zarr metadata ({reason}): write the store again.")
