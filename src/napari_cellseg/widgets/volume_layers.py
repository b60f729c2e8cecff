"""Image layers for a volume that was read: the same that File ▸ Open makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cellseg.contributions import image_layers
from napari_cellseg.widgets.image_layers import remember

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import ViewerModel

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
