"""What a user points at in a plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cellseg.errors import InputError

MOST_POINTS = 1024


@dataclass(frozen=True, eq=False)
class Prompt:
    """Points, a box and a mask that together name one object of a plane.

    Parameters
    ----------
    points : array of float, shape (n, 2)
        ``(row, col)``; pixel centres lie at integers.
    labels : array of int, shape (n,), optional
        1 where a point lies in the object, 0 where it does not; all 1 by default.
    box : four floats, optional
        ``(row0, col0, row1, col1)``, in the same coordinates as the points.
    mask : array, optional
        What the object looks like so far: bool of the plane's shape, or the logits of a
        `Proposal`, float of shape ([1,] 256, 256).

    Raises
    ------
    InputError
        If a number is not finite, a label is neither 0 nor 1, the box has no area, there are more
        than 1,024 points, or nothing says where the object is.
    """

    points: NDArray[np.float64]
    labels: NDArray[np.int64]
    box: tuple[float, float, float, float] | None
    mask: NDArray[Any] | None

    def __init__(
        self,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> None:
        places = _points(points)
        put = object.__setattr__
        put(self, "points", places)
        put(self, "labels", _labels(labels, len(places)))
        put(self, "box", None if box is None else _box(box))
        put(self, "mask", None if mask is None else _mask(mask))
        if self.box is None and self.mask is None and not self.labels.any():
            raise InputError(
                "The prompt does not say where the object is: add a positive point or a box."
            )

    def within(self, shape: tuple[int, int]) -> Prompt:
        """Return the prompt if it lies in a plane of this shape.

        A box may reach over the border; it is cut there. Points must lie on a pixel.

        Raises
        ------
        InputError
            If a point, or the whole box, lies outside, or a bool mask has another shape.
        """
        rows, cols = shape
        upper = np.array([rows, cols]) - 0.5
        outside = (self.points < -0.5) | (self.points > upper)
        if outside.any():
            row, col = self.points[outside.any(axis=1)][0]
            raise InputError(
                f"The point ({row:g}, {col:g}) lies outside the plane of {rows} × {cols} pixels."
            )
        if self.mask is not None and self.mask.dtype == bool and self.mask.shape != tuple(shape):
            raise InputError(
                f"The mask has shape {self.mask.shape}, but the plane has {rows} × {cols} pixels."
            )
        if self.box is None:
            return self
        row0, col0, row1, col1 = self.box
        cut = (max(row0, -0.5), max(col0, -0.5), min(row1, rows - 0.5), min(col1, cols - 0.5))
        if cut[0] >= cut[2] or cut[1] >= cut[3]:
            raise InputError(
                f"The box {self.box} lies outside the plane of {rows} × {cols} pixels."
            )
        return self if cut == self.box else Prompt(self.points, self.labels, cut, self.mask)


def _numbers(values: ArrayLike, name: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"The prompt's {name} must be numbers: {error}.") from error
    if not np.isfinite(array).all():
        raise InputError(f"The prompt's {name} hold NaN or infinite values.")
    return array


def _points(points: ArrayLike | None) -> NDArray[np.float64]:
    array = _numbers([] if points is None else points, "points")
    if array.size == 0:
        return np.zeros((0, 2))
    if array.ndim != 2 or array.shape[1] != 2:
        raise InputError(
            f"The prompt's points have shape {array.shape}, but (n, 2) is needed: (row, col) each."
        )
    if len(array) > MOST_POINTS:
        raise InputError(
            f"The prompt has {len(array):,} points, but one object takes {MOST_POINTS:,} at most."
        )
    return array


def _labels(labels: ArrayLike | None, count: int) -> NDArray[np.int64]:
    if labels is None:
        return np.ones(count, np.int64)
    array = _numbers(labels, "labels")
    if array.shape != (count,):
        raise InputError(f"The prompt has {count} points but labels of shape {array.shape}.")
    if not np.isin(array, (0, 1)).all():
        raise InputError("The prompt's labels must be 1 (in the object) or 0 (not in it).")
    return array.astype(np.int64)


def _box(box: ArrayLike) -> tuple[float, float, float, float]:
    array = _numbers(box, "box coordinates")
    if array.shape != (4,):
        raise InputError("The prompt's box must be four numbers: (row0, col0, row1, col1).")
    row0, col0, row1, col1 = array.tolist()
    if row0 >= row1 or col0 >= col1:
        raise InputError(
            f"The prompt's box ({row0:g}, {col0:g}, {row1:g}, {col1:g}) has no area: "
            "row1 and col1 must be greater than row0 and col0."
        )
    return row0, col0, row1, col1


def _mask(mask: ArrayLike) -> NDArray[Any]:
    array = np.asarray(mask)
    if array.dtype == bool and array.ndim == 2:
        if not array.any():
            raise InputError("The prompt's mask is empty: draw at least one pixel.")
        return array
    if array.dtype.kind == "f":
        logits = array[0] if array.ndim == 3 and len(array) == 1 else array
        if logits.ndim == 2:
            if not np.isfinite(logits).all():
                raise InputError("The prompt's mask logits hold NaN or infinite values.")
            return logits.astype(np.float32, copy=False)
    raise InputError(
        f"The prompt's mask ({array.dtype}, shape {array.shape}) must be bool (rows, cols), "
        "or one proposal's logits (256, 256)."
    )
