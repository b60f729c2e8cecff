"""as_volume, and how format readers make a Volume of what they found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.volume.axes import DEFAULTS, UNKNOWN, arrange, settle_axes
from napari_cellseg.volume.lazy import check_dtype, native
from napari_cellseg.volume.spacing import StatedSpacing, settle_spacing
from napari_cellseg.volume.volume import Volume, check_shape


def as_volume(
    array: Any, spacing: Sequence[float] | None = None, axes: str | None = None, name: str = "image"
) -> Volume:
    """Make a Volume of an array, or adjust one.

    Parameters
    ----------
    array : array-like or Volume
        numpy, dask, zarr or anything with ``shape``, ``dtype`` and slicing. Not copied.
    spacing : sequence of float, optional
        (z, y, x) in µm, or (y, x) for a 2D image.
    axes : str, optional
        One letter of ``tczyx`` per dimension in any order (``s``: RGB samples); by default ``yx``,
        ``zyx`` or ``tzyx`` by number of dimensions, with a notice where that is a guess.
    name : str
        What to call it.

    Raises
    ------
    InputError
        If the array is no image, or its axes or spacing cannot be used.
    """
    if isinstance(array, Volume):
        return array.with_axes(axes).with_spacing(spacing)
    if not all(hasattr(array, attribute) for attribute in ("shape", "dtype", "__getitem__")):
        try:
            array = np.asarray(array)
        except (TypeError, ValueError) as error:
            raise InputError(f"{name!r} is no array: pass a numpy, dask or zarr array.") from error
    ndim = len(array.shape)
    found = UNKNOWN * (ndim - 2) + "yx" if ndim not in DEFAULTS else DEFAULTS[ndim]
    if axes is None and ndim in DEFAULTS:
        # By contract the number of dimensions tells the axes of an array; only say so where the
        # guess may well be wrong.
        doubtful = ndim == 3 and array.shape[-1] in (3, 4) and min(array.shape[:2]) > 4
        found = UNKNOWN + "yx" if doubtful else found
    return assemble(
        array, found, StatedSpacing(), spacing=spacing, axes=axes, name=name, where="the array"
    )


def assemble(
    data: Any,
    found: str,
    stated: StatedSpacing,
    *,
    spacing: Sequence[float] | None,
    axes: str | None,
    name: str,
    where: str,
    source: Path | None = None,
    channels: Sequence[str] = (),
    notices: Sequence[str] = (),
) -> Volume:
    """Build a Volume from what a format reader found and what the user gave.

    Parameters
    ----------
    data : array-like
        In the order of the file; not read.
    found : str
        One letter of ``tczyxs?`` per dimension.
    stated : StatedSpacing
        What the file says about spacing.
    spacing, axes
        What the user gave; they win.
    name, where, source
        Title, subject of messages, origin.
    channels : sequence of str
        Names stated by the file, if any.
    notices : sequence of str
        What the reader already assumed.
    """
    check_dtype(np.dtype(data.dtype), where)
    check_shape(data.shape, where)
    letters, axis_notices = settle_axes(found, data.shape, axes, where)
    data, order, is_rgb, arrange_notices = arrange(native(data, where), letters)
    size, known, spacing_notices = settle_spacing(stated, spacing, "z" in order)
    return Volume(
        data=data,
        axes=order,
        spacing=size,
        spacing_known=known,
        channels=tuple(channels),
        rgb=is_rgb,
        name=name,
        source=source,
        notices=(*notices, *axis_notices, *arrange_notices, *spacing_notices),
    )
