"""Changing an object's surface: fill holes, smooth, grow, shrink."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels.edit import Edit, Labels, Slices
from napari_cellseg.labels.operations.distance import distance_to_outside
from napari_cellseg.labels.operations.geometry import Mask, full_connectivity, take

_CUT = 3.0  # standard deviations to which the smoothing looks
_SLACK = 1e-6  # voxels that are `distance` away count as near enough in spite of rounding


def fill_holes(labels: Labels, id: int, box: Slices, along: int | None = None) -> list[Edit]:
    """Fill what an object encloses, where there is background.

    Parameters
    ----------
    labels : array of uint32, ([z,] y, x)
    id : int
    box : tuple of slice
        Where the object lies; along an axis of length 1 it cannot be open.
    along : int, optional
        Fill each plane on its own, the planes being stacked along this axis; by default only
        what is enclosed from all sides.

    Returns
    -------
    list of Edit
        Empty if there is no hole. Objects within the hole stay.
    """
    from scipy import ndimage

    part = take(labels, id, box, (1.0,) * labels.ndim)
    if along is not None and along in part.axes and part.mask.ndim > 2:
        planes = np.moveaxis(part.mask, part.axes.index(along), 0)
        filled = np.stack([ndimage.binary_fill_holes(one) for one in planes])
        filled = np.moveaxis(filled, 0, part.axes.index(along))
    else:
        filled = ndimage.binary_fill_holes(part.mask)
    holes = filled & (part.ids == 0)
    return part.edits(holes, id, "fill holes", {"id": int(id), "along": along})


def grow(
    labels: Labels,
    id: int,
    box: Slices,
    distance: float,
    spacing: Sequence[float],
    flat: Collection[int] | None = None,
) -> list[Edit]:
    """Let an object grow into the background, never over others nor past them.

    Parameters
    ----------
    labels : array of uint32, ([z,] y, x)
    id : int
    box : tuple of slice
        Where the object lies.
    distance : float
        How far, in the unit of `spacing`.
    spacing : sequence of float
        (z, y, x) in µm; (1, 1, 1) to measure in voxels.
    flat : collection of int, optional
        Axes along which it does not grow; those along which the box has a length of 1 by default.

    Returns
    -------
    list of Edit

    Raises
    ------
    InputError
        If the distance is not positive.
    """
    _check_positive(distance, "distance")
    part = take(labels, id, box, spacing, distance, flat)
    near = distance_to_outside(~part.mask, part.steps)
    gained = (part.ids == 0) & (near <= distance * (1 + _SLACK))
    gained = _reached(part.mask | gained, part.mask) & gained
    return part.edits(gained, id, "grow", {"id": int(id), "distance": float(distance)})


def shrink(
    labels: Labels, id: int, box: Slices, distance: float, spacing: Sequence[float]
) -> list[Edit]:
    """Take off an object's outside; where the labels end, it is taken to go on.

    Parameters
    ----------
    labels : array of uint32, ([z,] y, x)
    id : int
    box : tuple of slice
        Where the object lies; along an axis of length 1 nothing is taken off.
    distance : float
        How far, in the unit of `spacing`.
    spacing : sequence of float
        (z, y, x) in µm; (1, 1, 1) to measure in voxels.

    Returns
    -------
    list of Edit

    Raises
    ------
    InputError
        If the distance is not positive, or nothing would be left.
    """
    _check_positive(distance, "distance")
    # one voxel of what surrounds it is enough, and none is there where the labels end
    part = take(labels, id, box, spacing, min(spacing) * 0.5)
    if part.mask.all():
        return []
    deep = distance_to_outside(part.mask, part.steps)
    kept = deep > distance * (1 + _SLACK)
    _check_left(kept, id)
    info = {"id": int(id), "distance": float(distance)}
    return part.edits(part.mask & ~kept, 0, "shrink", info)


def smooth(
    labels: Labels, id: int, box: Slices, width: float, spacing: Sequence[float]
) -> list[Edit]:
    """Round off an object, keeping its size.

    The mask is blurred by a Gaussian, and the level at which it is cut is the one that leaves as
    many voxels as before, so that small and convex objects do not shrink. It grows only into
    background.

    Parameters
    ----------
    labels : array of uint32, ([z,] y, x)
    id : int
    box : tuple of slice
        Where the object lies; an axis of length 1 is left out.
    width : float
        Standard deviation of the Gaussian, in the unit of `spacing`.
    spacing : sequence of float
        (z, y, x) in µm; (1, 1, 1) to measure in voxels.

    Returns
    -------
    list of Edit
        What it loses, and what it gains.

    Raises
    ------
    InputError
        If the width is not positive.
    """
    from scipy import ndimage

    _check_positive(width, "width")
    part = take(labels, id, box, spacing, _CUT * width)
    blurred = ndimage.gaussian_filter(
        part.mask.astype(np.float32),
        [width / step for step in part.steps],
        truncate=_CUT,
        mode="nearest",
    )
    possible = part.mask | (part.ids == 0)
    count = int(np.count_nonzero(part.mask))
    kept = _highest(np.where(possible, blurred, np.float32(-1)), part.mask, count)
    info = {"id": int(id), "width": float(width)}
    lost = part.edits(part.mask & ~kept, 0, "smooth", info)
    return lost + part.edits(kept & ~part.mask, id, "smooth", info)


def _highest(values: NDArray[np.float32], first: Mask, count: int) -> Mask:
    """The `count` highest values; of equal ones those in `first` come before the others."""
    level = np.partition(values.ravel(), -count)[-count]
    above = values > level
    room = count - int(np.count_nonzero(above))
    equal = np.flatnonzero(values == level)
    order = np.argsort(~first.ravel()[equal], kind="stable")
    kept = above.ravel()
    kept[equal[order[:room]]] = True
    return np.asarray(kept.reshape(values.shape))


def _reached(where: Mask, start: Mask) -> Mask:
    """Pieces of a mask that contain something of another."""
    from scipy import ndimage

    pieces, count = ndimage.label(where, full_connectivity(where.ndim))
    wanted = np.zeros(count + 1, np.bool_)
    wanted[pieces[start]] = True
    return np.asarray(wanted[pieces])


def _check_positive(value: float, what: str) -> None:
    if not np.isfinite(value) or value <= 0:
        raise InputError(f"The {what} {value} must be a number above 0.")


def _check_left(kept: Mask, id: int) -> None:
    if not kept.any():
        raise InputError(f"Object {id} would vanish: use Delete.")
