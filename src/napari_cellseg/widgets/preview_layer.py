"""The one layer that shows what an edit would change, before it does."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import numpy as np

from napari_cellseg.widgets.edit_preview import PARTS, Picture
from napari_cellseg.widgets.labels_shim import replace_data
from napari_cellseg.widgets.placement import aligned, placement
from napari_cellseg.widgets.session_layers import METADATA, PREVIEW, SessionLayers

if TYPE_CHECKING:
    from napari.layers import Image, Labels
    from napari.viewer import ViewerModel

    from napari_cellseg.session import Session

# Okabe and Ito's palette, which all can tell apart: https://jfly.uni-koeln.de/color
_PARTS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#0072b2", "#f0e442")
_COLOURS = ("transparent", *_PARTS[:PARTS], "#f0e442", "#d55e00")
"""By code: nothing, parts, `ADDED`, `REMOVED`."""


class PreviewLayer:
    """Shows a `Picture` on the image; hidden rather than removed, while its image is in use.

    Parameters
    ----------
    viewer : ViewerModel
        Kept weakly.
    session : Session
    layers : SessionLayers
        Knows the image that it lies on.

    Attributes
    ----------
    layer : napari Labels layer or None
    adding : bool
        Whether the layer is just being added, which makes it the active one for a moment.
    """

    def __init__(self, viewer: ViewerModel, session: Session, layers: SessionLayers) -> None:
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._layers = layers
        self._image: weakref.ref[Image] | None = None
        self.layer: Labels | None = None
        self.adding = False

    @property
    def shown(self) -> bool:
        """Whether something is shown."""
        return self.layer is not None and self.layer.visible

    def show(self, picture: Picture) -> None:
        """Show what would change, above the cells; the active layer stays the active one."""
        viewer, image = self._viewer(), self._layers.image
        if viewer is None or image is None:
            return
        self._forget_removed(viewer)
        axes, image_axes = self._session.label_axes, self._layers.axes
        offset = tuple(part.start for part in picture.region)
        data = aligned(picture.codes, axes, image_axes, image.data.shape)
        place = placement(image, image_axes, axes, offset)
        if self.layer is not None and (
            self._image is None or self._image() is not image or self.layer.ndim != data.ndim
        ):
            self.remove()
        if self.layer is None:
            self._add(viewer, image, data, place)
            return
        replace_data(self.layer, data)
        self.layer.scale, self.layer.units = place["scale"], place["units"]
        self.layer.translate = place["translate"]
        self.layer.visible = True

    def hide(self) -> None:
        """Show nothing; the layer stays, with next to nothing in it."""
        viewer = self._viewer()
        if viewer is None or self.layer is None:
            return
        self._forget_removed(viewer)
        if self.layer is not None and self.layer.visible:
            self.layer.visible = False
            replace_data(self.layer, np.zeros((1,) * self.layer.ndim, np.uint8))

    def remove(self) -> None:
        """Take the layer away."""
        layer, self.layer, self._image = self.layer, None, None
        viewer = self._viewer()
        if layer is not None and viewer is not None and layer in viewer.layers:
            viewer.layers.remove(layer)

    def _forget_removed(self, viewer: ViewerModel) -> None:
        if self.layer is not None and self.layer not in viewer.layers:
            self.layer = None

    def _add(
        self, viewer: ViewerModel, image: Image, data: np.ndarray, place: dict[str, object]
    ) -> None:
        from napari.layers import Labels
        from napari.utils.colormaps import CyclicLabelColormap

        active = viewer.layers.selection.active
        self.layer = Labels(
            data,
            name=f"{image.name} preview of the edit",
            opacity=0.7,
            blending="translucent_no_depth",  # else the cells hide it in a 3D view
            colormap=CyclicLabelColormap(colors=_COLOURS),  # a direct one takes a second at first
            metadata={METADATA: {"role": PREVIEW}},
            **place,
        )
        self._image = weakref.ref(image)
        self.adding = True
        try:
            viewer.add_layer(self.layer)
            self.layer.editable = False
            if active is not None and active in viewer.layers:
                viewer.layers.selection.active = active
        finally:
            self.adding = False
