"""Image layers for a volume that was read: the same that File ▸ Open makes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_cellseg.contributions import image_layers
from napari_cellseg.widgets.image_layers import remember

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import ViewerModel

    from napari_cellseg.session.crops import Crop
    from napari_cellseg.volume import Volume


def add_volume(viewer: ViewerModel, volume: Volume) -> Image:
    """Add a volume to the viewer, one layer per channel.

    Returns
    -------
    napari Image layer
        The one that shows the first channel.
    """
    from napari.layers import Image

    layers = []
    for channel, (data, attributes, _) in enumerate(image_layers(volume)):
        layer = Image(data, **attributes)
        remember(layer, volume, volume.label_axes, channel)  # before anybody asks what it is
        viewer.add_layer(layer)
        layers.append(layer)
    return layers[0]


def add_crop(viewer: ViewerModel, volume: Volume, crop: Crop, whole: Image | None) -> Image:
    """Add a part of an image to the viewer, in its place on the whole.

    Parameters
    ----------
    viewer : ViewerModel
    volume : Volume
        The part.
    crop : Crop
        Where it is from.
    whole : napari Image layer or None
        A layer of the whole image, where one is there: its place and its look are taken.

    Returns
    -------
    napari Image layer
        The one that shows the first channel.
    """
    from napari.layers import Image

    layers = []
    start = dict(zip(crop.parent.label_axes, (part.start for part in crop.box), strict=True))
    # without its source: what lies there is the whole, with coarser levels of the whole
    for channel, (data, attributes, _) in enumerate(image_layers(replace(volume, source=None))):
        layer = Image(data, **attributes)
        offset = np.array([start[axis] for axis in volume.label_axes], float)
        if whole is not None and whole.ndim == layer.ndim:
            layer.scale, layer.units = whole.scale, whole.units
            layer.translate = np.asarray(whole.translate) + offset * np.asarray(whole.scale)
            if not volume.rgb and volume.n_channels == 1:
                layer.contrast_limits = whole.contrast_limits
                layer.colormap = whole.colormap
        else:
            layer.translate = offset * np.asarray(layer.scale)
        remember(layer, volume, volume.label_axes, channel)
        viewer.add_layer(layer)
        layers.append(layer)
    return layers[0]
