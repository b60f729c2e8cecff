"""Planes whose pixels are not square, shown to a model with square ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.answer import Region
from napari_cellseg.prompts.tile_region import tight

#: Pixels less oblong than this are shown as they are: models are trained on cells of any shape.
OBLONG = 1.5

#: Beyond it, what lies between two rows is the interpolation's invention.
MOST = 32


@dataclass(frozen=True)
class Sampling:
    """How many of the model's pixels one pixel of the plane becomes, along rows and columns.

    Pixels are areas: pixel r covers the model's ``r·k`` to ``r·k + k − 1``, and its centre lies at
    ``r·k + (k − 1) / 2``.
    """

    factors: tuple[int, int] = (1, 1)

    @classmethod
    def of(cls, pixel: tuple[float, float]) -> Sampling:
        """Choose whole factors that make pixels of a physical size (rows, cols) about square.

        Raises
        ------
        InputError
            If the sizes are not two finite, positive numbers.
        """
        sizes = np.asarray(pixel, np.float64)
        if sizes.shape != (2,) or not (np.isfinite(sizes).all() and (sizes > 0).all()):
            raise InputError(
                f"The pixel size {pixel!r} must be two positive numbers: along rows, along columns."
            )
        ratios = sizes / sizes.min()
        rows, cols = (min(MOST, int(r + 0.5)) if r >= OBLONG else 1 for r in ratios)
        return cls((rows, cols))

    @property
    def plain(self) -> bool:
        """Whether the model sees the plane's own pixels."""
        return self.factors == (1, 1)

    def pixels(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Interpolate a plane linearly; what lies beyond its border is like the border.

        Integers are rounded and keep their format.
        """
        for axis, factor in enumerate(self.factors):
            if factor > 1:
                plane = _stretched(plane, axis, factor)
        return plane

    def places(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn (row, col) of the plane, (n, 2), into the model's."""
        factors = np.array(self.factors)
        return np.asarray(points * factors + (factors - 1) / 2, np.float64)

    def mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Turn a mask of the plane's pixels into one of the model's."""
        for axis, factor in enumerate(self.factors):
            if factor > 1:
                mask = mask.repeat(factor, axis=axis)
        return mask

    def back(self, region: Region) -> Region:
        """Turn the model's region into the plane's: each pixel is what is seen at its centre.

        Between two of the model's pixels it is the first of them, so that masks keep their area.
        """
        if self.plain:
            return region
        box, mask = region
        centres = tuple((factor - 1) // 2 for factor in self.factors)
        first = tuple(
            -((centre - part.start) // factor)  # the first centre at or after the start
            for part, factor, centre in zip(box, self.factors, centres, strict=True)
        )
        rows, cols = (
            slice(number * factor + centre - part.start, None, factor)
            for part, factor, centre, number in zip(box, self.factors, centres, first, strict=True)
        )
        small = mask[rows, cols]
        place = tuple(
            slice(number, number + count) for number, count in zip(first, small.shape, strict=True)
        )
        return tight(((place[0], place[1]), small))


def _stretched(plane: NDArray[Any], axis: int, factor: int) -> NDArray[Any]:
    count = plane.shape[axis]
    places = np.clip((np.arange(count * factor) - (factor - 1) / 2) / factor, 0, count - 1)
    left = np.minimum(places.astype(np.int64), max(count - 2, 0))
    right = np.minimum(left + 1, count - 1)
    wide = np.float32 if plane.dtype.itemsize <= 2 else np.float64
    along = [1] * plane.ndim
    along[axis] = -1
    part = (places - left).astype(wide).reshape(along)
    values = plane.astype(wide)
    low, high = values.take(left, axis), values.take(right, axis)
    mixed = low + (high - low) * part
    if plane.dtype.kind in "bui":
        mixed = np.rint(mixed)
    return np.asarray(mixed.astype(plane.dtype))
