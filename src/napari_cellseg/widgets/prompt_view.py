"""Which plane of the image the user is looking at, and where in it a layer's coordinates lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cellseg.prompts.plane_view import AXES, Plane
from napari_cellseg.widgets.placement import layer_letters

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import ViewerModel

_ORIENTATIONS = {frozenset(axes[1:]): name for name, axes in AXES.items()}


@dataclass(frozen=True)
class Looking:
    """What is in view.

    Attributes
    ----------
    plane : Plane or None
        None in a 3D view, and where the view shows no plane of the image.
    near : two floats or None
        Pixel ``(row, col)`` of the plane at the middle of the canvas.
    t : int
        Time point.
    solid : bool
        Whether it is a 3D view.
    """

    plane: Plane | None
    near: tuple[float, float] | None
    t: int
    solid: bool


def looking_at(viewer: ViewerModel, image: Image, axes: str, shape: Sequence[int]) -> Looking:
    """Return what is in view of an image.

    Parameters
    ----------
    viewer : ViewerModel
    image : napari Image layer
    axes : str
        Its axes, letters of "tczyx".
    shape : sequence of int
        Its size along them.
    """
    dims = viewer.dims
    offset = dims.ndim - image.ndim
    world = np.asarray(dims.point, float)[-image.ndim :]
    at = np.asarray(image.world_to_data(world), float)
    index = {
        letter: int(np.clip(np.round(value), 0, size - 1))
        for letter, value, size in zip(axes, at, shape, strict=True)
    }
    t = index.get("t", 0)
    shown = [axes[axis - offset] for axis in dims.displayed if axis >= offset]
    if dims.ndisplay == 3:
        return Looking(None, None, t, solid=set(shown) == set("zyx"))
    orientation = _ORIENTATIONS.get(frozenset(shown))
    if orientation is None:
        return Looking(None, None, t, solid=False)
    plane = Plane(orientation, index.get(AXES[orientation][0], 0), t)
    return Looking(plane, _middle(viewer, image, axes, plane, world, offset), t, solid=False)


def _middle(
    viewer: ViewerModel, image: Image, axes: str, plane: Plane, world: np.ndarray, offset: int
) -> tuple[float, float]:
    place = world.copy()
    for axis, value in zip(viewer.dims.displayed, viewer.scene.camera.center[-2:], strict=True):
        place[axis - offset] = value
    found = dict(zip(axes, np.asarray(image.world_to_data(place), float), strict=True))
    return float(found[plane.axes[1]]), float(found[plane.axes[2]])


class Frame:
    """How label coordinates are those of a layer that lies on the image.

    Parameters
    ----------
    image_axes, label_axes : str
    others : dict of str to float
        Position along axes of the layer that labels do not have (a channel).
    """

    def __init__(self, image_axes: str, label_axes: str, others: dict[str, float]) -> None:
        self.label_axes = label_axes
        self.letters = layer_letters(image_axes, label_axes)
        self._others = others

    def to_layer(self, position: Sequence[float]) -> tuple[float, ...]:
        """Coordinates in the layer of a position along the label axes."""
        at = {**self._others, **dict(zip(self.label_axes, position, strict=True))}
        return tuple(at.get(letter, 0.0) for letter in self.letters)

    def to_labels(self, position: Iterable[float]) -> tuple[float, ...]:
        """Position along the label axes of coordinates in the layer."""
        at = dict(zip(self.letters, position, strict=True))
        return tuple(float(at[letter]) for letter in self.label_axes)

    def pixels_to_layer(self, plane: Plane, pixels: Sequence[Sequence[float]]) -> np.ndarray:
        """Coordinates in the layer, (n, axes), of pixels ``(row, col)`` of a plane."""
        places = [plane.position(row, col, self.label_axes) for row, col in pixels]
        return np.array([self.to_layer(place) for place in places], float)

    def layer_to_pixels(self, plane: Plane, places: Iterable[Iterable[float]]) -> np.ndarray:
        """Pixels ``(row, col)``, (n, 2), of a plane at coordinates in the layer."""
        return np.array(
            [plane.pixel(self.to_labels(place), self.label_axes) for place in places], float
        ).reshape(-1, 2)
