"""From what a user clicks and draws on the canvas to coordinates of the labels.

Positions in the world have the viewer's axes, those of the labels their own: a letter of "tzyx"
for each. Planes are those of prompting: rows and columns are in the order of the labels' axes,
however the view is transposed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.outline import lasso
from napari_cellseg.prompts.plane_view import AXES, Plane
from napari_cellseg.widgets.edit_sight import voxel_in_sight

if TYPE_CHECKING:
    from napari.viewer import ViewerModel

    from napari_cellseg.widgets.edit_ground import Ground
    from napari_cellseg.widgets.prompt_mouse import Click

Slices = tuple[slice, ...]
_ORIENTATIONS = {frozenset(axes[1:]): name for name, axes in AXES.items()}


@dataclass(frozen=True)
class Picked:
    """What was clicked.

    Attributes
    ----------
    voxel : tuple of int
        Along the labels' axes.
    t : int
        Its time point; 0 in labels without time.
    id : int
        Of the object there; 0 for background.
    """

    voxel: tuple[int, ...]
    t: int
    id: int


def viewed_plane(viewer: ViewerModel, ground: Ground) -> Plane | None:
    """Return the plane of the labels that is in view.

    Returns
    -------
    Plane or None
        None in a 3D view, where the view shows no plane of the labels (time along an axis), and
        beside their ends.
    """
    dims = viewer.dims
    offset = dims.ndim - len(ground.letters)
    shown = [ground.letters[axis - offset] for axis in dims.displayed if axis >= offset]
    orientation = _ORIENTATIONS.get(frozenset(shown))
    if dims.ndisplay != 2 or orientation is None:
        return None
    place = np.rint(ground.positions([dims.point])[0])
    at = {axis: int(value) for axis, value in zip(ground.axes, place, strict=True)}
    if any(not 0 <= at[axis] < ground.size[axis] for axis in ground.axes if axis not in shown):
        return None
    return Plane(orientation, at.get(AXES[orientation][0], 0), at.get("t", 0))


def across(plane: Plane, axes: str) -> tuple[int, int] | None:
    """Return the axis across a plane, counted without time, and the plane's place along it.

    None in labels without z, which are a plane themselves.
    """
    spatial, across = axes.replace("t", ""), plane.axes[0]
    return (spatial.index(across), plane.index) if across in spatial else None


def plane_region(plane: Plane, ground: Ground) -> Slices:
    """Return the whole plane as a box over the labels' axes."""
    _, row, col = plane.axes
    return plane.region(slice(0, ground.size[row]), slice(0, ground.size[col]), ground.axes)


def picked(click: Click, ground: Ground) -> Picked | None:
    """Return the voxel that a click means.

    In a plane, it is the voxel under the mouse; in a 3D view the first labelled one along the
    line of sight. None beside the labels, and where the line of sight meets no object.
    """
    if click.direction is None or len(click.displayed) < 3:
        at = np.rint(ground.positions([click.position])[0]).astype(int).tolist()
        if any(not 0 <= value < size for value, size in zip(at, ground.labels.shape, strict=True)):
            return None
    else:
        found = voxel_in_sight(click, ground)
        if found is None:
            return None
        at = list(found)
    t = at[ground.axes.index("t")] if "t" in ground.axes else 0
    return Picked(tuple(at), t, int(ground.labels[tuple(at)]))


def polyline(world: ArrayLike, plane: Plane, ground: Ground) -> NDArray[np.float64]:
    """Return a drawn line as ``(row, col)``, (n, 2), of a plane; vertices that repeat are one.

    Parameters
    ----------
    world : array of float, (n, ndim of the viewer)
    plane : Plane
    ground : Ground

    Raises
    ------
    InputError
        If fewer than two places are left.
    """
    _, row, col = plane.axes
    places = ground.positions(world)[:, [ground.axes.index(row), ground.axes.index(col)]]
    moved = np.ones(len(places), np.bool_)
    moved[1:] = (np.abs(np.diff(places, axis=0)) > 1e-6).any(axis=1)
    if moved.sum() < 2:
        raise InputError("The line is a single point: draw it from one side to the other.")
    return places[moved]


def lasso_region(
    pixels: ArrayLike, plane: Plane, ground: Ground, through: bool = False
) -> tuple[Slices, NDArray[np.bool_]]:
    """Return what an outline encloses in a plane.

    Parameters
    ----------
    pixels : array of float, (n, 2)
        ``(row, col)`` of the plane; see `polyline`.
    plane : Plane
    ground : Ground
    through : bool
        Through all planes of that orientation, of one time point.

    Returns
    -------
    region : tuple of slice
        Box over the labels' axes.
    mask : array of bool
        With the labels' axes; of length 1 across the plane, whatever `through` is, so that it is
        broadcast along the box.

    Raises
    ------
    InputError
        If it encloses no pixel of the plane.
    """
    across, row, col = plane.axes
    (rows, cols), mask = lasso(pixels, (ground.size[row], ground.size[col]))
    region = list(plane.region(rows, cols, ground.axes))
    if through and across in ground.axes:
        region[ground.axes.index(across)] = slice(0, ground.size[across])
    return tuple(region), plane.upright(mask, ground.axes)


def ids_in(ground: Ground, region: Slices, mask: NDArray[np.bool_]) -> list[int]:
    """Return the ids of the objects that have a voxel in a lasso, rising.

    Parameters
    ----------
    ground : Ground
    region, mask
        As `lasso_region` gives them.
    """
    part = ground.labels[region]
    if part.size == mask.size:
        values = part[mask]
    else:  # plane by plane: the values under a large lasso through a stack would be a large copy
        axis = next(n for n, (a, b) in enumerate(zip(part.shape, mask.shape, strict=True)) if a > b)
        flat = mask.take(0, axis)
        planes = np.moveaxis(part, axis, 0)
        values = np.concatenate([np.unique(plane[flat]) for plane in planes])
    found = np.unique(values)
    return [int(one) for one in found if one]
