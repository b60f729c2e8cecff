"""Drawn shapes: discs, balls and polygons as masks, painted and erased through slices."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.labels.edit import Edit, Labels, Slices
from napari_cellseg.labels.operations.geometry import Mask, edits_of, steps_of
from napari_cellseg.labels.operations.joining import checked_mask

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def ball(
    centre: Sequence[float], radius: float, spacing: Sequence[float], shape: Sequence[int]
) -> tuple[Slices, Mask]:
    """Return a ball (in 2D: a disc) as a mask within its box, as far as the labels go.

    Parameters
    ----------
    centre : sequence of float, ([z,] y, x)
        In voxels.
    radius : float
        In the unit of `spacing`; the voxel of the centre always belongs to it.
    spacing : sequence of float
        (z, y, x) in µm; (1, 1, 1) to measure in voxels.
    shape : sequence of int
        Of the labels.

    Returns
    -------
    box : tuple of slice
    mask : array of bool, shape of the box

    Raises
    ------
    InputError
        If the centre or radius is not finite, or the ball lies outside the labels.
    """
    at = np.asarray(centre, np.float64)
    if at.shape != (len(shape),) or not np.isfinite(at).all():
        raise InputError(f"The centre must be {len(shape)} finite coordinates.")
    if not np.isfinite(radius) or radius < 0:
        raise InputError(f"The radius {radius} must be a number of 0 or above.")
    steps = steps_of(spacing, len(shape))
    box, square = [], np.zeros((1,) * len(shape))
    for axis, (middle, step, size) in enumerate(zip(at, steps, shape, strict=True)):
        nearest = int(np.floor(middle + 0.5))
        first = min(nearest, int(np.ceil(middle - radius / step)))
        last = max(nearest, int(np.floor(middle + radius / step)))
        cut = slice(max(0, first), min(size, last + 1))
        if cut.start >= cut.stop:
            raise InputError("The drawing lies outside the labels: draw within them.")
        box.append(cut)
        gap = (np.arange(cut.start, cut.stop) - middle) * step
        square = square + (gap**2).reshape([-1 if k == axis else 1 for k in range(len(shape))])
    mask = square <= radius**2 * (1 + 1e-9)
    own = tuple(
        int(np.floor(middle + 0.5)) - cut.start for middle, cut in zip(at, box, strict=True)
    )
    if all(0 <= one < n for one, n in zip(own, mask.shape, strict=True)):
        mask[own] = True
    return tuple(box), mask


def disc(
    centre: Sequence[float],
    radius: float,
    spacing: Sequence[float],
    shape: Sequence[int],
    axis: int = 0,
    through: tuple[int, int] | None = None,
) -> tuple[Slices, Mask]:
    """Return a disc in a plane, or through several planes, as a mask within its box.

    Parameters
    ----------
    centre : sequence of float, ([z,] y, x)
        In voxels.
    radius, spacing, shape
        As for `ball`.
    axis : int
        Axis that the plane stands on: 0 for xy, 1 for xz, 2 for yz.
    through : tuple of int, optional
        First and last index along `axis`, both included; the centre's plane by default.

    Returns
    -------
    box : tuple of slice
    mask : array of bool, shape of the box

    Raises
    ------
    InputError
        As `ball`, or if the planes lie outside the labels.
    """
    if len(shape) == 2:
        return ball(centre, radius, spacing, shape)
    here = int(np.floor(float(centre[axis]) + 0.5)) if np.isfinite(centre[axis]) else -1
    depth = _depth(through if through is not None else (here, here), shape[axis])
    rest = [k for k in range(len(shape)) if k != axis]
    steps = steps_of(spacing, len(shape))
    box, mask = ball(
        [centre[k] for k in rest],
        radius,
        (1.0, *(steps[k] for k in rest)),
        [shape[k] for k in rest],
    )
    return _stacked(box, mask, axis, depth)


def polygon(
    vertices: ArrayLike,
    shape: Sequence[int],
    axis: int = 0,
    through: tuple[int, int] | None = None,
) -> tuple[Slices, Mask]:
    """Return a polygon in a plane, or through several planes, as a mask within its box.

    Parameters
    ----------
    vertices : array-like, (n, 2)
        Three or more (row, col) in voxels, in the plane.
    shape : sequence of int
        Of the labels.
    axis : int
        Axis that the plane stands on: 0 for xy, 1 for xz, 2 for yz; of no meaning in 2D.
    through : tuple of int
        First and last index along `axis`, both included; needed in 3D.

    Returns
    -------
    box : tuple of slice
    mask : array of bool, shape of the box
        Voxels with their centre within the polygon.

    Raises
    ------
    InputError
        If there are fewer than three vertices, or it lies outside the labels.
    """
    from skimage import draw

    at = np.asarray(vertices, np.float64)
    if at.ndim != 2 or at.shape[1] != 2 or len(at) < 3 or not np.isfinite(at).all():
        raise InputError("A polygon needs three or more points (row, col) with finite coordinates.")
    sides = [size for k, size in enumerate(shape) if len(shape) == 2 or k != axis]
    low = np.maximum(np.floor(at.min(axis=0)), 0).astype(np.int64)
    high = np.minimum(np.ceil(at.max(axis=0)) + 1, sides).astype(np.int64)
    if (low >= high).any():
        raise InputError("The drawing lies outside the labels: draw within them.")
    mask = np.zeros(tuple(high - low), np.bool_)
    fill: Any = draw.polygon
    mask[fill(at[:, 0] - low[0], at[:, 1] - low[1], mask.shape)] = True
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    if len(shape) == 2:
        return box, mask
    if through is None:
        raise InputError("Say through which planes the polygon goes.")
    return _stacked(box, mask, axis, _depth(through, shape[axis]))


def paint(
    labels: Labels, id: int, region: Slices, mask: Mask, over_others: bool = False
) -> list[Edit]:
    """Add the voxels of a mask to an object.

    Parameters
    ----------
    labels : array of uint32, ([z,] y, x)
    id : int
        Of the object, which need not exist yet.
    region : tuple of slice
        Where the mask lies.
    mask : array of bool, shape of `region`
    over_others : bool
        Take voxels of other objects, too; else only background is painted.

    Returns
    -------
    list of Edit
    """
    mask = checked_mask(region, mask)
    present = labels[region]
    chosen = mask & (present != id if over_others else present == 0)
    return edits_of(region, chosen, id, "paint", {"id": int(id)})


def erase(labels: Labels, ids: Collection[int] | None, region: Slices, mask: Mask) -> list[Edit]:
    """Make background of the voxels of a mask.

    Parameters
    ----------
    labels : array of uint32, ([z,] y, x)
    ids : collection of int or None
        Objects that lose voxels; None: all.
    region : tuple of slice
        Where the mask lies.
    mask : array of bool, shape of `region`

    Returns
    -------
    list of Edit
    """
    mask = checked_mask(region, mask)
    present = labels[region]
    chosen = mask & (present != 0)
    if ids is not None:
        chosen &= np.isin(present, list(ids))
    return edits_of(region, chosen, 0, "erase", {} if ids is None else {"ids": sorted(ids)})


def _depth(through: tuple[int, int], size: int) -> slice:
    first, last = sorted(int(one) for one in through)
    if not 0 <= first <= last < size:
        raise InputError(
            f"The planes {first} to {last} lie outside the labels, which have {size}: choose "
            "planes within them."
        )
    return slice(first, last + 1)


def _stacked(box: Slices, mask: Mask, axis: int, depth: slice) -> tuple[Slices, Mask]:
    planes = np.repeat(np.expand_dims(mask, axis), depth.stop - depth.start, axis)
    return (*box[:axis], depth, *box[axis:]), planes
