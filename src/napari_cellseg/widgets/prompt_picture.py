"""The picture that the model sees of a plane, as a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.widgets.placement import layer_letters, placement
from napari_cellseg.widgets.session_layers import METADATA, PICTURE

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import ViewerModel

    from napari_cellseg.prompts.plane_view import Plane


def show_picture(
    viewer: ViewerModel,
    image: Image,
    image_axes: str,
    label_axes: str,
    plane: Plane,
    picture: NDArray[np.uint8],
) -> Image:
    """Add or replace the layer with what the model sees.

    Parameters
    ----------
    viewer : ViewerModel
    image : napari Image layer
        The plane is one of it.
    image_axes, label_axes : str
        Axes of the image layer and of labels on it.
    plane : Plane
    picture : array of uint8, (rows, cols, 3)

    Returns
    -------
    napari Image layer
    """
    from napari.layers import Image as ImageLayer

    letters = layer_letters(image_axes, label_axes)
    row, col = plane.axes[1:]
    upright = picture if letters.index(row) < letters.index(col) else picture.swapaxes(0, 1)
    sizes = dict(zip([x for x in letters if x in (row, col)], upright.shape[:2], strict=True))
    data = upright.reshape(*(sizes.get(letter, 1) for letter in letters), 3)
    at = {plane.axes[0]: plane.index, "t": plane.t}
    offset = tuple(0 if letter in (row, col) else at.get(letter, 0) for letter in label_axes)
    place = placement(image, image_axes, label_axes, offset)
    name = f"{image.name} as the model sees it"
    if name in viewer.layers:
        viewer.layers.remove(name)
    active = viewer.layers.selection.active
    layer = ImageLayer(data, name=name, rgb=True, metadata={METADATA: {"role": PICTURE}}, **place)
    viewer.add_layer(layer)
    viewer.layers.move(viewer.layers.index(layer), viewer.layers.index(image) + 1)
    viewer.layers.selection.active = active
    return layer
