"""The 8-bit picture of a plane that a model sees."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cellseg.errors import InputError

#: Shown as black and white where no limits are given.
PERCENTILES = (0.5, 99.5)


def picture(plane: ArrayLike, limits: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Return what a model of the SAM family sees of a plane, before it is fitted to its square.

    Parameters
    ----------
    plane : array, (rows, cols) or (rows, cols, 3) RGB
        uint8 is passed through untouched; anything else is mapped by `limits`.
    limits : two floats, optional
        Values shown as black and white; by default the percentiles `PERCENTILES` of the plane.

    Returns
    -------
    array of uint8, (rows, cols, 3)
        RGB; a grey plane becomes three equal channels.

    Raises
    ------
    InputError
        If the plane has another shape or no numbers, holds NaN or infinite values, or is constant
        where the limits must be found; or if the limits are not two finite, rising numbers.
    """
    values = np.asarray(plane)
    rgb = values.ndim == 3 and values.shape[2] == 3
    if values.size == 0 or not (rgb or values.ndim == 2):
        raise InputError(
            f"The plane has shape {values.shape}, but (rows, cols) or (rows, cols, 3) is needed."
        )
    if values.dtype.kind not in "buif":
        raise InputError(f"The plane holds {values.dtype}, but real numbers are needed.")
    eight = values if values.dtype == np.uint8 else _mapped(values, limits)
    return np.ascontiguousarray(eight if rgb else np.repeat(eight[..., None], 3, axis=2))


def _mapped(values: NDArray[np.generic], limits: tuple[float, float] | None) -> NDArray[np.uint8]:
    # float32 has steps of 1/128 of a grey value at 2¹⁷: integers beyond it need more
    wide: NDArray[Any] = values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
    if values.dtype.kind == "f" and not np.isfinite(wide).all():
        raise InputError(
            "The plane holds NaN or infinite values: replace them before it is prompted."
        )
    low, high = _limits(wide) if limits is None else _checked(limits)
    scaled = (wide - low) * (255.0 / (high - low))
    return np.asarray(np.clip(scaled, 0, 255, out=scaled).round(), np.uint8)


def _limits(values: NDArray[Any]) -> tuple[float, float]:
    low, high = (float(v) for v in np.percentile(values, PERCENTILES))
    if high <= low:  # a few bright pixels on an even background
        low, high = float(values.min()), float(values.max())
    if high <= low:
        raise InputError(
            f"The plane is constant (every value is {low:g}): choose another plane, or give limits."
        )
    return low, high


def _checked(limits: tuple[float, float]) -> tuple[float, float]:
    try:
        low, high = (float(v) for v in limits)
    except (TypeError, ValueError) as error:
        raise InputError(f"The limits {limits!r} must be two numbers: (black, white).") from error
    if not (np.isfinite([low, high]).all() and low < high):
        raise InputError(f"The limits ({low:g}, {high:g}) must be finite, black below white.")
    return low, high
