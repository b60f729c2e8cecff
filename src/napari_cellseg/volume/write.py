"""write_labels: save instance labels, whole or not at all."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellseg.errors import Cancelled, InputError, StorageError
from napari_cellseg.volume.atomic import replacing
from napari_cellseg.volume.axes import DEFAULTS, ORDER, parse_axes
from napari_cellseg.volume.pyramid import LabelImage
from napari_cellseg.volume.read import title
from napari_cellseg.volume.spacing import Spacing, check_spacing
from napari_cellseg.volume.volume import Volume
from napari_cellseg.volume.write_tiff import write_tiff
from napari_cellseg.volume.write_zarr import write_zarr

SUFFIXES = (".tif", ".tiff", ".zarr")
"""Suffixes that :func:`write_labels` understands (also ``.ome.tif``, ``.ome.zarr``)."""


def write_labels(
    path: str | os.PathLike[str],
    labels: Any,
    *,
    like: Volume | None = None,
    spacing: Sequence[float] | None = None,
    axes: str | None = None,
    overwrite: bool = False,
    metadata: Mapping[str, Any] | None = None,
    cancel: threading.Event | None = None,
) -> Path:
    """Save instance labels as uint32 with their axes and spacing.

    Parameters
    ----------
    path : path-like
        ``.tif`` or ``.tiff``: OME-TIFF, zlib-compressed. ``.zarr``: OME-Zarr 0.5, under
        ``labels/cells`` with a pyramid; an existing OME-Zarr 0.5 image gets the labels added.
    labels : array of int
        (y, x), (z, y, x) or (t, z, y, x); numpy, dask or zarr; read block by block.
    like : Volume, optional
        The image that was segmented: axes and spacing are taken from it, and the shape must fit.
    spacing : sequence of float, optional
        (z, y, x) in µm, or (y, x); wins over `like`.
    axes : str, optional
        Axes of `labels` where there is no `like` and the number of dimensions does not tell.
    overwrite : bool
        Replace labels that are there already; an image is never replaced.
    metadata : mapping, optional
        JSON-able recipe (model, parameters), stored with the labels.
    cancel : threading.Event, optional
        Stops when set.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    InputError
        If the labels, axes, spacing or metadata cannot be used.
    StorageError
        If it cannot be written; what was there before is untouched.
    Cancelled
        If `cancel` was set; nothing was written.
    """
    try:
        target = Path(path)
    except TypeError:
        raise InputError(f"path {path!r} is no path: pass a string or a Path.") from None
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f"labels cannot be written as {target.name!r}: "
            "end the name in .tif, .tiff or .ome.zarr."
        )
    labels = _checked(labels)
    letters, size, known = _geometry(labels, like, spacing, axes)
    image = LabelImage(
        labels=labels,
        axes=letters,
        spacing={a: s for a, s in zip("zyx", size, strict=True) if a in letters},
        known=known,
        recipe=_recipe(metadata, like),
        name=title(target),
    )

    def check() -> None:
        if cancel is not None and cancel.is_set():
            raise Cancelled(f"Writing {target.name!r} was cancelled; nothing was written.")

    check()
    try:
        _protect_source(target, like)
        if suffix == ".zarr":
            write_zarr(target, image, overwrite=overwrite, check=check)
        else:
            if target.is_dir():
                raise StorageError(f"{str(target)!r} is a folder: choose the name of a file.")
            with replacing(target, overwrite=overwrite) as temporary:
                write_tiff(
                    temporary,
                    labels,
                    axes=letters,
                    sizes=image.spacing if known else {},
                    recipe=image.recipe,
                    check=check,
                    name=image.name,
                )
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise StorageError(f"{str(target)!r} cannot be written ({reason}).") from error
    return target


def _checked(labels: Any) -> Any:
    if not all(hasattr(labels, attribute) for attribute in ("shape", "dtype", "__getitem__")):
        labels = np.asarray(labels)
    dtype = np.dtype(labels.dtype)
    if dtype.kind not in "iu":
        raise InputError(
            f"labels are of type {dtype}: "
            "pass integers, one number per instance and 0 for background."
        )
    if len(labels.shape) < 2 or any(int(n) <= 0 for n in labels.shape):
        raise InputError(
            f"labels have shape {tuple(labels.shape)}: pass a non-empty 2D to 4D array."
        )
    return labels


def _geometry(
    labels: Any, like: Volume | None, spacing: Sequence[float] | None, axes: str | None
) -> tuple[str, Spacing, bool]:
    shape = tuple(int(n) for n in labels.shape)
    if like is not None:
        letters = like.label_axes
        if shape != like.label_shape:
            raise InputError(
                f"labels have shape {shape} but image {like.name!r} has {like.label_shape} "
                f"({letters}): pass labels of the whole image, or spacing instead of like."
            )
        size, known = like.spacing, like.spacing_known
    else:
        if axes is None and len(shape) not in DEFAULTS:
            raise InputError(f"labels have shape {shape}: pass a 2D to 4D array.")
        letters = DEFAULTS[len(shape)] if axes is None else axes.lower()
        parse_axes(letters, len(shape), "the array of labels")
        if letters != "".join(a for a in ORDER if a in letters) or "c" in letters:
            raise InputError(f"axes={axes!r} cannot be written: order labels as (t, z, y, x).")
        size, known = (1.0, 1.0, 1.0), False
    if spacing is not None:
        size, known = check_spacing(spacing, "z" in letters), True
    return letters, size, known


def _recipe(metadata: Mapping[str, Any] | None, like: Volume | None) -> dict[str, Any]:
    from napari_cellseg import __version__

    recipe: dict[str, Any] = {"version": __version__, "metadata": dict(metadata or {})}
    if like is not None:
        recipe["image"] = like.source.name if like.source is not None else like.name
    return {key: _plain(value) for key, value in recipe.items()}


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it; NaN and infinity, which JSON lacks, become null."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    raise InputError(
        f"metadata cannot hold a {type(value).__name__} ({_short(value)}): pass numbers and text."
    )


def _short(value: object) -> str:
    return " ".join(repr(value).split())[:60]


def _protect_source(target: Path, like: Volume | None) -> None:
    """Refuse to replace the very image that was segmented."""
    if like is None or like.source is None or not target.is_file():
        return
    if like.source.exists() and target.samefile(like.source):
        raise StorageError(
            f"{str(target)!r} is the image itself, which is never replaced: choose another name."
        )
