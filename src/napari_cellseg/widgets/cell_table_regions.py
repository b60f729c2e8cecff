"""Regions that are drawn in a Shapes layer, as polygons in voxels of the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.widgets.session_layers import METADATA

if TYPE_CHECKING:
    from napari.layers import Shapes
    from napari.viewer import ViewerModel

    from napari_cellseg.widgets.edit_ground import Ground

_CORNERS = 64
_AREAS = ("polygon", "rectangle", "ellipse")


def region_layers(viewer: ViewerModel) -> list[Shapes]:
    """Return the Shapes layers of the user, in the viewer's order."""
    from napari.layers import Shapes

    shapes = [layer for layer in viewer.layers if isinstance(layer, Shapes)]
    return [layer for layer in shapes if "role" not in layer.metadata.get(METADATA, {})]


def drawn_regions(layer: Shapes, ground: Ground) -> dict[str, NDArray[np.float64]]:
    """Return the areas of a layer by name, as corners (y, x) in voxels; lines are left out.

    A shape is called what the layer's first column of text says, or by its number.

    Parameters
    ----------
    layer : napari Shapes layer
    ground : Ground

    Raises
    ------
    InputError
        Nothing is drawn, or not in a plane of y and x.
    """
    regions: dict[str, NDArray[np.float64]] = {}
    kinds = list(layer.shape_type)
    for number, (shape, kind) in enumerate(zip(layer.data, kinds, strict=True), start=1):
        if str(kind) not in _AREAS:
            continue
        corners = np.asarray(shape, float)
        if str(kind) == "ellipse":
            corners = _ellipse(corners)
        world = np.stack([np.asarray(layer.data_to_world(one), float) for one in corners])
        lacking = len(ground.letters) - world.shape[1]
        if lacking > 0:  # napari lays layers of fewer axes onto the last ones
            world = np.pad(world, ((0, 0), (lacking, 0)))
        found = ground.positions(world)
        flat = found[:, [ground.axes.index("y"), ground.axes.index("x")]]
        if np.ptp(flat, axis=0).min() < 1e-6:
            raise InputError(
                f"Region {number} of “{layer.name}” was not drawn in a plane of y and x: draw it "
                "where z is the slider."
            )
        regions[_name(layer, number, regions)] = flat
    if not regions:
        raise InputError(f"The layer “{layer.name}” has no area: draw a polygon around cells.")
    return regions


def _ellipse(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points on the ellipse in a box of four corners, which may be turned."""
    centre = box.mean(0)
    one, other = (box[1] - box[0]) / 2, (box[3] - box[0]) / 2
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)[:, None]
    points: NDArray[np.float64] = centre + np.cos(angles) * one + np.sin(angles) * other
    return points


def _name(layer: Shapes, number: int, taken: dict[str, Any]) -> str:
    features = layer.features
    for column in features.columns:
        text = features[column].iloc[number - 1]
        if isinstance(text, str) and text and text not in taken:
            return text
    return f"region {number}"
