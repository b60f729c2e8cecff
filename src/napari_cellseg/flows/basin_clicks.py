"""What a user points at in a volume, checked before anything is computed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cellseg.errors import InputError

MOST_POINTS = 1024

_AXES = {2: "(y, x)", 3: "(z, y, x)"}
_EDGES = {2: "(y0, x0, y1, x1)", 3: "(z0, y0, x0, z1, y1, x1)"}


@dataclass(frozen=True, eq=False)
class Clicks:
    """Points and a box of one object, in voxels ``(z, y, x)``; planes have z = 0.

    Attributes
    ----------
    positive, negative : numpy.ndarray, int64, shape (n, 3)
        Voxels in the object, and voxels that are not.
    box : numpy.ndarray or None, int64, shape (6,)
        Voxels ``(z0, y0, x0, z1, y1, x1)``, the end excluded, that bound the object.
    """

    positive: NDArray[np.int64]
    negative: NDArray[np.int64]
    box: NDArray[np.int64] | None


def checked_clicks(
    positive: ArrayLike, negative: ArrayLike, box: Sequence[float] | None, shape: tuple[int, ...]
) -> Clicks:
    """Points and box as voxels of a field of `shape`, (y, x) or (z, y, x).

    A point belongs to the voxel whose centre is nearest; the box holds the voxels whose centres
    lie in it or on its border, and may reach over the border of the field.

    Raises
    ------
    InputError
        If a number is not finite, a point lies outside the field or (a positive one) the box, one
        voxel is both positive and negative, the box holds no voxel of the field, there are more
        than 1,024 points, or nothing says where the object is.
    """
    inside = _voxels(positive, "positive", shape)
    outside = _voxels(negative, "negative", shape)
    if len(inside) + len(outside) > MOST_POINTS:
        raise InputError(
            f"There are {len(inside) + len(outside):,} points, but one object takes "
            f"{MOST_POINTS:,} at most."
        )
    if not len(inside) and box is None:
        raise InputError("Nothing says where the object is: add a positive point or a box.")
    edges = None if box is None else _box(box, shape)
    if edges is not None:
        out = ((inside < edges[:3]) | (inside >= edges[3:])).any(1)
        if out.any():
            raise InputError(
                f"The positive point at voxel {_named(inside[out][0], shape)} lies outside the "
                f"box {tuple(np.asarray(box).tolist())}."
            )
    both = (inside[:, None] == outside[None]).all(2).any(1)
    if both.any():
        raise InputError(
            f"Voxel {_named(inside[both][0], shape)} has a positive and a negative point: "
            "delete one of them."
        )
    return Clicks(inside, outside, edges)


def _named(voxel: NDArray[np.int64], shape: tuple[int, ...]) -> str:
    return str(tuple(voxel[3 - len(shape) :].tolist()))


def _finite(values: ArrayLike, name: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"The {name} must be numbers of equal count each.") from None
    if not np.isfinite(array).all():
        raise InputError(f"The {name} hold NaN or infinite values.")
    return array


def _voxels(points: ArrayLike, name: str, shape: tuple[int, ...]) -> NDArray[np.int64]:
    array = _finite(points, f"{name} points")
    if array.size == 0:
        return np.zeros((0, 3), np.int64)
    ndim = len(shape)
    if array.ndim != 2 or array.shape[1] != ndim:
        raise InputError(
            f"The {name} points have shape {array.shape}, but (n, {ndim}) is needed: "
            f"{_AXES[ndim]} each."
        )
    if len(array) > MOST_POINTS:
        raise InputError(
            f"There are {len(array):,} {name} points, but one object takes {MOST_POINTS:,} at most."
        )
    outside = ((array < -0.5) | (array > np.array(shape) - 0.5)).any(1)
    if outside.any():
        where = ", ".join(f"{value:g}" for value in array[outside][0])
        raise InputError(
            f"The {name} point ({where}) lies outside the field of "
            f"{' × '.join(map(str, shape))} voxels."
        )
    voxels = np.clip(np.floor(array + 0.5), 0, np.array(shape) - 1).astype(np.int64)
    _, first = np.unique(voxels, axis=0, return_index=True)
    return np.pad(voxels[np.sort(first)], ((0, 0), (3 - ndim, 0)))


def _box(box: Sequence[float], shape: tuple[int, ...]) -> NDArray[np.int64]:
    ndim = len(shape)
    edges = _finite(box, "box coordinates")
    if edges.shape != (2 * ndim,):
        raise InputError(f"The box must be {2 * ndim} numbers, {_EDGES[ndim]}.")
    low, high = edges[:ndim], edges[ndim:]
    if (low >= high).any():
        raise InputError(
            f"The box {tuple(edges.tolist())} is empty: each end must be greater than its start."
        )
    start = np.array([max(0, math.ceil(value)) for value in low])
    stop = np.array([min(n, math.floor(v) + 1) for n, v in zip(shape, high, strict=True)])
    if (start >= stop).any():
        raise InputError(
            f"The box {tuple(edges.tolist())} holds no voxel of the field of "
            f"{' × '.join(map(str, shape))} voxels."
        )
    pad = 3 - ndim
    return np.concatenate([np.zeros(pad), start, np.ones(pad), stop]).astype(np.int64)
