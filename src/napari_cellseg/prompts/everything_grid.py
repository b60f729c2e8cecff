"""Where to look: views of a plane, the points asked in each, and overlapping crops."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError

if TYPE_CHECKING:
    from napari_cellseg.prompts.embedding import Embedding

#: Rows and columns of a plane.
Place = tuple[slice, slice]

#: Share of the shorter side by which crops of the first layer overlap, as in segment-anything.
CROP_OVERLAP = 512 / 1500

#: Step between points, in diameters: a round cell of 0.71 diameters still holds one.
_PER_DIAMETER = 0.5

#: Points along the longer side of a view, if nothing is said, as in segment-anything.
_PER_SIDE = 32

#: Most points along a side of a view: beyond, a model of 64 × 64 positions sees nothing new.
MOST_PER_SIDE = 128


@dataclass(frozen=True, eq=False)
class View:
    """A part of a plane, encoded by itself.

    Attributes
    ----------
    embedding : Embedding
    place : tuple of slice
        Its rows and columns in the plane.

    Raises
    ------
    InputError
        If the place is not as large as what was encoded.
    """

    embedding: Embedding
    place: Place

    def __post_init__(self) -> None:
        size = extent(self.place)
        if size != tuple(self.embedding.shape) or min(start(self.place)) < 0:
            rows, cols = self.place
            raise InputError(
                f"The view is said to be rows {rows.start}–{rows.stop} and columns {cols.start}–"
                f"{cols.stop}, but {self.embedding.shape[0]} × {self.embedding.shape[1]} pixels "
                "were encoded: give the place that was encoded."
            )


def extent(place: Place) -> tuple[int, int]:
    """Return the numbers of rows and columns of a place."""
    return place[0].stop - place[0].start, place[1].stop - place[1].start


def start(place: Place) -> tuple[int, int]:
    """Return the first row and column of a place."""
    return place[0].start, place[1].start


def point_grid(
    shape: tuple[int, int], points_per_side: int | None = None, diameter: float | None = None
) -> NDArray[np.float64]:
    """Points evenly over a view, half a step from its border.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the view.
    points_per_side : int, optional
        Along the longer side; 32 by default, where no diameter is known.
    diameter : float, optional
        Of a cell, in pixels: points are half of it apart, but at most 128 along the longer side.

    Returns
    -------
    array of float64, (n, 2)
        (row, col); pixel centres lie at integers.
    """
    longest = max(shape)
    step = longest / (points_per_side or _PER_SIDE)
    if points_per_side is None and diameter is not None:
        step = max(diameter * _PER_DIAMETER, longest / MOST_PER_SIDE)
    # the tolerance keeps a rounding error from adding a row
    counts = [max(1, math.ceil(side / step - 1e-9)) for side in shape]
    rows, cols = (
        (np.arange(count) + 0.5) * (side / count) - 0.5
        for count, side in zip(counts, shape, strict=True)
    )
    return np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1).reshape(-1, 2)


def crop_places(place: Place, layers: int) -> list[Place]:
    """Overlapping crops of a view: 4 in the first layer, 16 in the second, and so on.

    The layout is that of segment-anything's mask generator (Kirillov et al., ICCV 2023, appendix).

    Parameters
    ----------
    place : tuple of slice
    layers : int

    Returns
    -------
    list of tuple of slice
        In the plane; clipped to `place`.
    """
    shape, corner = extent(place), start(place)
    found = []
    for layer in range(1, layers + 1):
        count = 2**layer
        overlap = int(CROP_OVERLAP * min(shape) * 2 / count)
        along = []
        for side, first in zip(shape, corner, strict=True):
            long = math.ceil((overlap * (count - 1) + side) / count)
            low = [(long - overlap) * i for i in range(count)]
            along.append([slice(first + a, first + min(a + long, side)) for a in low if a < side])
        found += list(product(along[0], along[1]))
    return found
