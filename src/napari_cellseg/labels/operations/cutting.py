"""Cutting an object in two by a drawn line or by a plane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels.edit import Edit, Labels, Slices
from napari_cellseg.labels.operations.geometry import Mask, Part, lengths, steps_of, take
from napari_cellseg.labels.operations.parts import edits_of_parts

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_STRAIGHT = 0.25  # voxels by which a drawn line may be simplified


def cut_line(
    labels: Labels,
    id: int,
    box: Slices,
    line: ArrayLike,
    new_ids: Callable[[int], list[int]],
    spacing: Sequence[float],
    axis: int = 0,
) -> list[Edit]:
    """Cut an object in two along a line drawn in a plane.

    What lies left and what lies right of the line become the two parts; beyond its ends the line
    goes straight on. A box of several planes is cut through its whole depth, one that is clipped
    to a plane only there.

    Parameters
    ----------
    labels : array of uint32, ([z,] y, x)
    id : int
    box : tuple of slice
        Where the object lies.
    line : array-like, (n, 2)
        Two or more (row, col) in voxels, in the plane.
    new_ids : callable
        ``new_ids(n)`` gives n free ids.
    spacing : sequence of float
        (z, y, x) in µm.
    axis : int
        Axis that the plane stands on: 0 for xy, 1 for xz, 2 for yz; of no meaning in 2D.

    Returns
    -------
    list of Edit
        One for the smaller part; the larger keeps the id.

    Raises
    ------
    InputError
        If the line has fewer than two points, misses the object, or leaves it on one side.
    """
    points = _checked_line(line)
    part = take(labels, id, box, spacing)
    mask = part.mask.reshape(lengths(part.box))
    rows_cols = [one for one in range(labels.ndim) if labels.ndim == 2 or one != axis]
    seen: Mask = mask if labels.ndim == 2 else np.any(mask, axis=axis)
    low = np.array([box[one].start for one in rows_cols], np.float64)
    steps = np.array([steps_of(spacing, labels.ndim)[one] for one in rows_cols])
    if not _touches(points - low, seen):
        raise InputError(f"The line misses object {id}: draw it across the object.")
    left = _left_of(_simpler(points - low) * steps, seen.shape, steps)
    if labels.ndim == 3:
        left = np.expand_dims(left, axis)
    return _halves(part, np.broadcast_to(left, mask.shape), id, new_ids, "line")


def cut_plane(
    labels: Labels,
    id: int,
    box: Slices,
    point: Sequence[float],
    normal: Sequence[float],
    new_ids: Callable[[int], list[int]],
    spacing: Sequence[float],
) -> list[Edit]:
    """Cut an object in two by a plane (in 2D: a straight line).

    Parameters
    ----------
    labels : array of uint32, ([z,] y, x)
    id : int
    box : tuple of slice
        Where the object lies.
    point : sequence of float
        A point of the plane in voxels, with a coordinate per axis.
    normal : sequence of float
        Direction that the plane stands on, in physical space (µm), of any length but 0.
    new_ids : callable
        ``new_ids(n)`` gives n free ids.
    spacing : sequence of float
        (z, y, x) in µm.

    Returns
    -------
    list of Edit
        One for the smaller part; the larger keeps the id.

    Raises
    ------
    InputError
        If the plane misses the object, or its point or normal cannot be used.
    """
    at, towards = np.asarray(point, np.float64), np.asarray(normal, np.float64)
    usable = at.shape == towards.shape == (labels.ndim,) and np.isfinite([at, towards]).all()
    if not usable or not towards.any():
        raise InputError(
            f"The plane's point and normal must be {labels.ndim} finite numbers each, and the "
            "normal must not be 0."
        )
    part = take(labels, id, box, spacing)
    sizes = steps_of(spacing, labels.ndim)
    height = np.zeros(lengths(part.box))
    for axis, (cut, size) in enumerate(zip(part.box, sizes, strict=True)):
        along = (np.arange(cut.start, cut.stop) - at[axis]) * size * towards[axis]
        height += along.reshape([-1 if k == axis else 1 for k in range(labels.ndim)])
    return _halves(part, height >= 0, id, new_ids, "plane")


def _halves(
    part: Part, left: Mask, id: int, new_ids: Callable[[int], list[int]], what: str
) -> list[Edit]:
    mask = part.mask
    side = left.reshape(mask.shape)
    if not (mask & side).any() or not (mask & ~side).any():
        raise InputError(f"The {what} leaves object {id} whole: put it through the object.")
    owner = np.where(side, 1, 2).astype(np.int32)
    return edits_of_parts(part, id, owner, 2, new_ids, "cut")


def _checked_line(line: ArrayLike) -> NDArray[np.float64]:
    points = np.asarray(line, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise InputError("A line must be points (row, col) with finite coordinates.")
    distinct = np.ones(len(points), np.bool_)
    distinct[1:] = (np.diff(points, axis=0) != 0).any(axis=1)
    if np.count_nonzero(distinct) < 2:
        raise InputError("A line needs two or more points that differ: draw it longer.")
    return points[distinct]


def _simpler(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Drop points of a freehand line that hardly bend it: each segment costs a pass."""
    if len(points) < 4 or (points[0] == points[-1]).all():
        return points
    from skimage import measure

    simplified: Any = measure.approximate_polygon
    return np.asarray(simplified(points, _STRAIGHT), np.float64)


def _touches(points: NDArray[np.float64], seen: Mask) -> bool:
    """Whether a line passes through a pixel of a mask."""
    for start, end in pairwise(points):
        count = 2 * int(np.ceil(np.abs(end - start).max())) + 2
        at = np.floor(np.linspace(start, end, count) + 0.5).astype(np.int64)
        at = at[((at >= 0) & (at < seen.shape)).all(axis=1)]
        if seen[at[:, 0], at[:, 1]].any():
            return True
    return False


def _left_of(
    points: NDArray[np.float64], shape: tuple[int, ...], steps: NDArray[np.float64]
) -> Mask:
    """Which pixels lie left of a line, by the side of its nearest segment.

    Where the nearest point is a corner, two segments are equally near, and the one that sees the
    pixel more from the side is right.
    """
    rows = np.arange(shape[0], dtype=np.float64)[:, None] * steps[0]
    cols = np.arange(shape[1], dtype=np.float64)[None, :] * steps[1]
    nearest = np.full(shape, np.inf)
    sideways = np.zeros(shape)
    left = np.zeros(shape, np.bool_)
    last = len(points) - 2
    for k, (start, end) in enumerate(pairwise(points)):
        along = end - start
        length = float(np.hypot(*along))
        along = along / length
        r, c = rows - start[0], cols - start[1]
        way = r * along[0] + c * along[1]
        side = r * along[1] - c * along[0]
        low, high = -np.inf if k == 0 else 0.0, np.inf if k == last else length
        gap = (way - np.clip(way, low, high)) ** 2 + side**2
        clearer = np.abs(side) > sideways
        better = (gap < nearest - 1e-9) | ((gap <= nearest + 1e-9) & clearer)
        nearest[better] = gap[better]
        sideways[better] = np.abs(side)[better]
        left[better] = side[better] >= 0
    return left
