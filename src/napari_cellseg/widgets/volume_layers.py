"""Image layers for a volume that was read: one per channel, with scale, units and axis labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_cellseg.contributions import layer_space
from napari_cellseg.widgets.image_layers import remember

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import ViewerModel

    from napari_cellseg.volume import Volume

_COLORMAPS = ("cyan", "magenta", "yellow", "green", "red", "blue")


def add_volume(viewer: ViewerModel, volume: Volume) -> Image:
    """Add a volume to the viewer, one layer per channel.

    Returns
    -------
    napari Image layer
        The one that shows the first channel.
    """
    from napari.layers import Image

    axes = volume.label_axes
    first: Image | None = None
    for channel in range(volume.n_channels):
        several = volume.n_channels > 1
        layer = Image(
            _channel(volume, channel),
            name=f"{volume.name} {volume.channels[channel]}" if several else volume.name,
            rgb=volume.rgb,
            colormap=_COLORMAPS[channel % len(_COLORMAPS)] if several else "gray",
            blending="translucent" if channel == 0 else "additive",
            **layer_space(axes, volume.spacing, volume.spacing_known),
        )
        remember(layer, volume, axes, channel)  # before anybody can ask what the layer is
        viewer.add_layer(layer)
        first = first or layer
    assert first is not None
    return first


def _channel(volume: Volume, channel: int) -> Any:
    if "c" not in volume.axes:
        return volume.data
    place = volume.axes.index("c")
    if volume.rgb:
        order = [axis for axis in range(volume.ndim) if axis != place]
        return volume.data.transpose([*order, place])
    return volume.data[(slice(None),) * place + (channel,)]
