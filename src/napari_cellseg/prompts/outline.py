"""What a user draws in a plane, a closed outline or a stroke, as a mask in its bounding box.

A pixel belongs to a drawing if its centre does. Both shapes are filled row by row: work grows with
the box of the drawing and the number of its vertices, not with their product nor with the plane.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.answer import Region
from napari_cellseg.prompts.mask_region import NOWHERE, tight

#: Beyond this many pixels from the origin a coordinate is a mistake.
_FAR = 1e8
#: Half the diagonal of a pixel: a stroke of this radius meets a pixel wherever it runs.
_THINNEST = np.sqrt(0.5)


def lasso(vertices: ArrayLike, shape: tuple[int, int]) -> Region:
    """Fill a closed outline.

    Parameters
    ----------
    vertices : array of float, (n, 2)
        ``(row, col)``, pixel centres at integers; the last is joined to the first. Where the
        outline crosses itself, what it encloses twice is outside (even-odd rule). A centre that
        lies on an upper or left edge is inside, on a lower or right edge outside.
    shape : two ints
        Rows and columns of the plane; what reaches over its border is cut off.

    Returns
    -------
    Region
        Row and column slices of the bounding box, and the bool mask of that box;
        `napari_cellseg.prompts.mask_region.whole` spreads it over the plane.

    Raises
    ------
    InputError
        If a coordinate is not finite, there are fewer than three vertices, or the outline
        encloses no pixel of the plane.
    """
    corners, size = _corners(vertices, "lasso"), _size(shape)
    if len(np.unique(corners, axis=0)) < 3:
        raise InputError("The lasso needs three vertices or more: draw around the object.")
    if np.linalg.matrix_rank(corners - corners[0]) < 2:
        raise InputError("The lasso is a line that encloses no area: draw around the object.")
    (top, left), (bottom, right) = _frame(corners, 0.0, size, "lasso")
    ends = np.roll(corners, -1, axis=0)
    down = corners[:, 0] <= ends[:, 0]
    upper, lower = np.where(down[:, None], corners, ends), np.where(down[:, None], ends, corners)
    # an edge crosses the rows from its upper end up to, but not including, its lower end
    first = np.clip(np.ceil(upper[:, 0]), top, bottom).astype(np.int64)
    count = np.clip(np.ceil(lower[:, 0]), top, bottom).astype(np.int64) - first
    edge = np.repeat(np.arange(len(corners)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    part = (row - upper[edge, 0]) / (lower[edge, 0] - upper[edge, 0])
    at = upper[edge, 1] + part * (lower[edge, 1] - upper[edge, 1])
    col = np.clip(np.ceil(at), left, right).astype(np.int64)
    crossings = np.zeros((bottom - top, right - left + 1), np.uint8)
    np.add.at(crossings, (row - top, col - left), 1)  # wraps at 256, which is even
    inside = np.bitwise_xor.accumulate(crossings & 1, axis=1)[:, :-1].astype(np.bool_)
    region = tight(((slice(top, bottom), slice(left, right)), inside))
    if region is NOWHERE:
        raise InputError(f"The lasso encloses no pixel of the plane of {size[0]} × {size[1]}.")
    return region


def scribble(points: ArrayLike, width: float, shape: tuple[int, int]) -> Region:
    """Draw a stroke with round ends and corners.

    Parameters
    ----------
    points : array of float, (n, 2)
        ``(row, col)``, pixel centres at integers; a single point is a dot.
    width : float
        In pixels. A stroke thinner than a pixel's diagonal, √2, is drawn as wide as that, so that
        it is never broken.
    shape : two ints
        Rows and columns of the plane; what reaches over its border is cut off.

    Returns
    -------
    Region
        As for `lasso`.

    Raises
    ------
    InputError
        If a coordinate is not finite, there is no point, the width is not positive, or the stroke
        lies outside the plane.
    """
    corners, size = _corners(points, "scribble"), _size(shape)
    if not len(corners):
        raise InputError("The scribble has no points: draw a stroke inside the object.")
    if not 0 < width < _FAR:
        raise InputError(f"The scribble's width {width} must be a positive number of pixels.")
    radius = max(width / 2, float(_THINNEST))
    (top, left), (bottom, right) = _frame(corners, radius, size, "scribble")
    starts = np.zeros((bottom - top, right - left + 1), np.int32)
    for one, two in zip(corners, corners[1:] if len(corners) > 1 else corners, strict=False):
        first = max(top, int(np.ceil(min(one[0], two[0]) - radius)))
        last = min(bottom - 1, int(np.floor(max(one[0], two[0]) + radius)))
        rows = np.arange(first, last + 1)
        low, high = _span(one, two, radius, rows)
        begin = np.maximum(np.ceil(low), left)
        end = np.minimum(np.floor(high) + 1, right)
        there = begin < end  # also drops rows that the stroke misses: there low is infinite
        at = rows[there] - top
        starts[at, begin[there].astype(np.int64) - left] += 1
        starts[at, end[there].astype(np.int64) - left] -= 1
    inside = np.cumsum(starts, axis=1)[:, :-1] > 0
    region = tight(((slice(top, bottom), slice(left, right)), inside))
    if region is NOWHERE:
        raise InputError(f"The scribble meets no pixel of the plane of {size[0]} × {size[1]}.")
    return region


def _span(
    one: NDArray[np.float64], two: NDArray[np.float64], radius: float, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Columns between which each row lies within `radius` of a segment: a capsule is convex."""
    low, high = np.full(len(rows), np.inf), np.full(len(rows), -np.inf)
    for row, col in (one, two):
        rest = radius**2 - (rows - row) ** 2
        half = np.sqrt(np.maximum(rest, 0))
        low = np.where(rest >= 0, np.minimum(low, col - half), low)
        high = np.where(rest >= 0, np.maximum(high, col + half), high)
    length = float(np.hypot(*(two - one)))
    if length == 0:
        return low, high
    # the sides of the capsule; its ends lie within the discs
    aside = np.array([one[1] - two[1], two[0] - one[0]]) * (radius / length)
    for begin, end in ((one + aside, two + aside), (one - aside, two - aside)):
        if begin[0] == end[0]:
            continue  # along a row: its ends bound the discs already
        part = (rows - begin[0]) / (end[0] - begin[0])
        at = begin[1] + part * (end[1] - begin[1])
        on = (part >= 0) & (part <= 1)
        low = np.where(on, np.minimum(low, at), low)
        high = np.where(on, np.maximum(high, at), high)
    return low, high


def _corners(values: ArrayLike, what: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"The {what}'s vertices must be numbers: {error}.") from error
    if array.size == 0:
        return np.zeros((0, 2))
    if array.ndim != 2 or array.shape[1] != 2:
        raise InputError(
            f"The {what}'s vertices have shape {array.shape}, but (n, 2) is needed: (row, col)."
        )
    if not np.isfinite(array).all():
        raise InputError(f"The {what}'s vertices hold NaN or infinite values.")
    if np.abs(array).max() > _FAR:
        raise InputError(f"The {what} reaches {np.abs(array).max():.3g} pixels: draw it smaller.")
    return array


def _size(shape: tuple[int, int]) -> tuple[int, int]:
    if len(shape) != 2 or min(shape) < 1:
        raise InputError(f"The plane's shape {tuple(shape)} must be (rows, cols), both positive.")
    return int(shape[0]), int(shape[1])


def _frame(
    corners: NDArray[np.float64], radius: float, size: tuple[int, int], what: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First pixel, and the one after the last, of the box of a drawing within the plane."""
    low = np.maximum(np.ceil(corners.min(axis=0) - radius), 0).astype(np.int64)
    high = np.minimum(np.floor(corners.max(axis=0) + radius) + 1, size).astype(np.int64)
    if (low >= high).any():
        raise InputError(
            f"The {what} meets no pixel of the plane of {size[0]} × {size[1]}: draw it larger, "
            "inside the plane."
        )
    return low, high
