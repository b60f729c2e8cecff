"""What a user clicks, draws or encloses in a 3D view, in coordinates of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.ray import first_voxel

if TYPE_CHECKING:
    from napari_cellseg.widgets.edit_ground import Ground
    from napari_cellseg.widgets.prompt_mouse import Click


def voxel_in_sight(click: Click, ground: Ground) -> tuple[int, ...] | None:
    """Return the first voxel along the line of sight that belongs to an object.

    Along the labels' axes; None where it meets none, and where space is not what is displayed.
    """
    layer, letters = ground.layer, ground.letters
    offset = len(click.position) - len(letters)
    shown = {letters[axis - offset] for axis in click.displayed if axis >= offset}
    if shown != set("zyx") or "z" not in ground.axes:
        return None
    start, end = layer.get_ray_intersections(
        list(click.position), click.direction, list(click.displayed), world=True
    )
    if start is None or end is None:
        return None
    # the ends of the ray have no place along axes that are not displayed
    there = ground.positions([click.position])[0]
    t = round(there[ground.axes.index("t")]) if "t" in ground.axes else 0
    if not 0 <= t < ground.size.get("t", 1):
        return None
    ends = [
        [float(at) for at, letter in zip(point, letters, strict=True) if letter in "zyx"]
        for point in (start, end)
    ]
    voxel = first_voxel(ends[0], ends[1], ground.at_time(t), threshold=0)
    return None if voxel is None else ((t, *voxel) if "t" in ground.axes else voxel)


def ids_in_sight(
    world: ArrayLike,
    direction: ArrayLike,
    displayed: Sequence[int],
    centroids: ArrayLike,
    ids: Sequence[int],
    t: int,
    ground: Ground,
) -> list[int]:
    """Return the objects whose centroids an outline encloses in a 3D view.

    Objects hidden behind others are among them. The view is taken to be without perspective,
    which is napari's default.

    Parameters
    ----------
    world : array of float, (n, ndim of the viewer)
        The outline's vertices.
    direction : array of float, (ndim of the viewer,)
        Of sight.
    displayed : sequence of int
        Axes of the viewer that are displayed.
    centroids : array of float, (m, 3)
        ``(z, y, x)`` in voxels.
    ids : sequence of int, m
    t : int
    ground : Ground

    Returns
    -------
    list of int
        In the order of `ids`.

    Raises
    ------
    InputError
        If space is not what is displayed.
    """
    from skimage.measure import points_in_poly

    outline = np.atleast_2d(np.asarray(world, float))
    centres = np.atleast_2d(np.asarray(centroids, float))
    _check_space(displayed, outline.shape[1], ground)
    if len(outline) < 3 or not len(ids):
        return []
    if "t" in ground.axes:
        centres = np.insert(centres, ground.axes.index("t"), t, axis=1)
    offset = outline.shape[1] - len(ground.letters)
    shown = [axis - offset for axis in displayed]
    sight = np.asarray(direction, float)[list(displayed)]
    _, _, screen = np.linalg.svd(sight[None])  # its last two rows span the screen
    flat = outline[:, list(displayed)] @ screen[1:].T
    inside = points_in_poly(ground.world(centres)[:, shown] @ screen[1:].T, flat)
    return [int(one) for one, within in zip(ids, inside, strict=True) if within]


def plane_of_line(
    world: ArrayLike,
    direction: ArrayLike,
    displayed: Sequence[int],
    spacing: Sequence[float],
    ground: Ground,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the plane that a straight line drawn in a 3D view cuts along the line of sight.

    Parameters
    ----------
    world : array of float, (n, ndim of the viewer)
        The line's vertices; only its ends count.
    direction : array of float, (ndim of the viewer,)
        Of sight.
    displayed : sequence of int
        Axes of the viewer that are displayed.
    spacing : three floats
        ``(z, y, x)`` in µm per voxel.
    ground : Ground

    Returns
    -------
    point : three floats
        ``(z, y, x)`` in voxels.
    normal : three floats
        In µm, of length 1.

    Raises
    ------
    InputError
        If the line has no length on the screen, or space is not what is displayed.
    """
    ends = np.asarray(world, float)[[0, -1]]
    _check_space(displayed, ends.shape[1], ground)
    sight = np.asarray(direction, float)
    places = ground.positions([ends[0], ends[1], ends[0] + sight])[:, -3:]
    along, into = (places[1:] - places[0]) * np.asarray(spacing, float)
    normal = np.cross(along, into)
    length = float(np.linalg.norm(normal))
    if length <= 1e-9 * float(np.linalg.norm(into)):
        raise InputError("The line is a single point: draw it from one side to the other.")
    return tuple(places[0].tolist()), tuple((normal / length).tolist())


def _check_space(displayed: Sequence[int], ndim: int, ground: Ground) -> None:
    offset = ndim - len(ground.letters)
    shown = {ground.letters[axis - offset] for axis in displayed if axis >= offset}
    if shown != set("zyx") or ground.spatial != "zyx":
        raise InputError("This needs a 3D view of z, y and x: roll the axes of the view back.")
