"""read_volume: open any supported file or store, lazily."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.volume.axes import DEFAULTS, UNKNOWN
from napari_cellseg.volume.build import assemble
from napari_cellseg.volume.ome_zarr import OmeZarr, find_image
from napari_cellseg.volume.spacing import StatedSpacing
from napari_cellseg.volume.tiff import MAGIC, read_tiff
from napari_cellseg.volume.volume import Volume
from napari_cellseg.volume.zarr_store import (
    children,
    dimension_names,
    is_array,
    is_zarr,
    open_array,
)

_SUFFIXES = (".ome.tiff", ".ome.tif", ".ome.zarr", ".tiff", ".tif", ".btf", ".zarr", ".npy")
_NUMPY_MAGIC = b"\x93NUMPY"
_SUPPORTED = "TIFF, OME-TIFF, OME-Zarr, zarr or .npy"


def read_volume(
    path: str | os.PathLike[str],
    *,
    spacing: Sequence[float] | None = None,
    axes: str | None = None,
) -> Volume:
    """Open an image without reading its voxels.

    Parameters
    ----------
    path : path-like
        TIFF (plain, ImageJ, OME), OME-Zarr 0.4 or 0.5, a zarr v2 or v3 array or a group that holds
        exactly one, or a ``.npy`` file. Recognised by content, not by name.
    spacing : sequence of float, optional
        (z, y, x) in µm, or (y, x) for a 2D image; wins over the file.
    axes : str, optional
        One letter of ``tczyx`` per dimension, in the order of the file without axes of length one
        (``s``: RGB samples); wins over the file.

    Returns
    -------
    Volume
        Its `notices` say what was assumed: a single axis that the file does not name is taken as z,
        a second one as t; spacing that it does not state as 1.

    Raises
    ------
    InputError
        If there is no such file, or it is not an image that can be used.
    """
    location = existing_path(path)
    if location.is_dir():
        return _read_zarr(location, spacing, axes)
    start = _first_bytes(location)
    if start[:4] in MAGIC:
        return read_tiff(location, spacing=spacing, axes=axes, name=title(location))
    if start.startswith(_NUMPY_MAGIC):
        return _read_npy(location, spacing, axes)
    if not start:
        raise InputError(f"file {location.name!r} is empty: copy or save it again.")
    if location.suffix.lower() in (".tif", ".tiff", ".btf"):
        raise InputError(f"file {location.name!r} is no TIFF, whatever its name: save it again.")
    raise InputError(f"file {location.name!r} is of an unknown kind: pass {_SUPPORTED}.")


def existing_path(path: str | os.PathLike[str]) -> Path:
    """`path` as a Path that exists and can be looked at.

    Raises
    ------
    InputError
        If it does not.
    """
    try:
        location = Path(path)
        location.stat()
    except TypeError:
        kind = type(path).__name__
        raise InputError(f"a {kind} is no path: pass a string or a Path.") from None
    except FileNotFoundError:
        raise InputError(f"there is no file or folder {str(path)!r}: check the path.") from None
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"path {str(path)!r} cannot be opened ({reason}).") from error
    return location


def title(path: Path) -> str:
    """Name of an image: that of its file without the suffix."""
    name = path.resolve().name or str(path)
    for suffix in _SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def zarr_where(path: Path) -> str:
    """Subject of messages about a store."""
    return f"zarr store {path.name!r}"


def volume_of(image: OmeZarr, data: Any, path: Path, spacing: Any, axes: str | None) -> Volume:
    """Volume of one level of an OME-Zarr image."""
    return assemble(
        data,
        image.axes,
        image.spacing,
        spacing=spacing,
        axes=axes,
        name=title(path),
        where=zarr_where(path),
        source=path,
        channels=image.channels,
        notices=image.notices,
    )


def _first_bytes(path: Path) -> bytes:
    if not path.is_file():
        raise InputError(f"{str(path)!r} is neither a file nor a folder.")
    try:
        with path.open("rb") as file:
            return file.read(8)
    except OSError as error:
        raise InputError(f"file {path.name!r} cannot be read ({error.strerror}).") from error


def _read_zarr(path: Path, spacing: Sequence[float] | None, axes: str | None) -> Volume:
    where = zarr_where(path)
    try:
        if not is_zarr(path):
            raise InputError(
                f"folder {path.name!r} is no zarr store (it holds no zarr.json, .zarray or "
                f".zgroup): pass {_SUPPORTED}."
            )
        if not is_array(path):
            image = find_image(path, where)
            if image is not None:
                return volume_of(image, image.arrays(where)[0], path, spacing, axes)
            arrays = [child for child in children(path) if is_array(child)]
            if len(arrays) != 1:
                names = ", ".join(repr(array.name) for array in arrays) or "none"
                raise InputError(
                    f"{where} is a group with {len(arrays)} arrays ({names}): "
                    "pass the folder of the one to open."
                )
        array = path if is_array(path) else arrays[0]
        data = open_array(array, where)
        found = dimension_names(array, data.ndim) or UNKNOWN * (data.ndim - 2) + "yx"
    except OSError as error:
        raise InputError(f"{where} cannot be read ({error.strerror}).") from error
    return assemble(
        data, found, StatedSpacing(), spacing=spacing, axes=axes, name=title(path), where=where,
        source=path,
    )  # fmt: skip


def _read_npy(path: Path, spacing: Sequence[float] | None, axes: str | None) -> Volume:
    where = f"file {path.name!r}"
    try:
        data = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError, TypeError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{where} is no usable .npy array ({text}): save it again.") from error
    ndim = data.ndim
    found = DEFAULTS[2] if ndim == 2 else UNKNOWN * (ndim - 2) + "yx"
    return assemble(
        data, found, StatedSpacing(), spacing=spacing, axes=axes, name=title(path), where=where,
        source=path,
    )  # fmt: skip
