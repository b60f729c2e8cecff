"""The layer with the labels of a store on disk: as it grows block by block, and once it is done."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from napari_cellseg.errors import CellsegError
from napari_cellseg.session.crops import crop_of
from napari_cellseg.session.session_stores import growing_logits
from napari_cellseg.volume.zarr_store import is_array
from napari_cellseg.widgets.canvas_shim import keep_drawn
from napari_cellseg.widgets.placement import layer_letters, placement
from napari_cellseg.widgets.session_layers import METADATA, STORE, SessionLayers

if TYPE_CHECKING:
    from napari.layers import Image, Labels
    from napari.viewer import ViewerModel

    from napari_cellseg.session import Session

_SHOWN = (-4.0, 4.0)
"""Logits between which the cell probability is shown."""
_LOOK_MS = 1000
_MOST_3D = 2**28
"""Voxels of one resolution that a 3D view may load."""


class StoreLayer(QObject):
    """Shows the label store of a session's image; nothing of it is held in memory.

    While a store is segmented, that is first the cell probability, then the labels so far. Arrays
    are read where they are looked at, and without a cache: blocks that were finished are seen at
    the next refresh, at most once a second.

    Parameters
    ----------
    viewer : ViewerModel
        Kept weakly.
    session : Session
    layers : SessionLayers
        Knows the image that it lies on.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        layers: SessionLayers,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._layers = layers
        self._growing: Path | None = None
        self._seen = 0.0
        self._hid = False
        self.layer: Labels | Image | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self.look)

    def follow(self) -> None:
        """Look at the store that is being segmented from now on."""
        self._growing, self._seen = self._session.growing, 0.0
        self._timer.start()

    def stop(self) -> None:
        """Look no more; the layer stays."""
        self._timer.stop()

    def look(self) -> None:
        """Show what has been finished since the last look."""
        growing = self._session.growing
        if growing is None:
            self._timer.stop()
            self._finish()
            return
        self._growing = growing
        labels = self.layer is not None and not self._is_probability
        if not labels and is_array(growing):
            self.remove()
            self._add([_opened(growing)], "cells so far")
            return
        if self.layer is None and is_array(growing_logits(growing)):
            self._add_probability(_opened(growing_logits(growing)))
            return
        done = self._session.status.fraction or 0.0
        if self.layer is not None and done != self._seen:
            self._seen = done
            self.layer.refresh()

    @property
    def _is_probability(self) -> bool:
        from napari.layers import Image

        return isinstance(self.layer, Image)

    def _finish(self) -> None:
        """Put the finished store in place of the growing labels, or take those away."""
        was, self._growing = self._growing, None
        store = self._session.label_store
        if was is None or crop_of(self._session.volume) is not None:
            return
        self.remove()
        if store is not None and not was.exists():
            self.show(store)

    def show(self, store: Path) -> None:
        """Show a label store with all of its resolutions."""
        from napari_cellseg.volume.patch_store import open_label_store

        try:
            opened = open_label_store(store)
        except CellsegError:
            return  # it is said when it is opened for editing
        if opened.shape == self._session.label_shape:
            self.remove()
            self._add([level.array for level in opened.levels], f"cells in {store.name}")

    def refresh(self) -> None:
        """Read anew what is in view, because the store was written."""
        if self.layer is not None:
            self.layer.refresh()

    def on_volume(self) -> None:
        """Hide the store below a region that is being edited, and show it above the whole."""
        if self.layer is None:
            return
        if crop_of(self._session.volume) is not None:
            self._hid = self._hid or self.layer.visible
            self.layer.visible = False
        elif self._hid:
            self._hid = False
            self.layer.visible = True

    def remove(self) -> None:
        """Take the layer away."""
        layer, self.layer = self.layer, None
        viewer = self._viewer()
        if layer is not None and viewer is not None and layer in viewer.layers:
            viewer.layers.remove(layer)

    def removed(self, layer: Any) -> None:
        """Let go of a layer that the user removed."""
        if layer is self.layer:
            self.layer = None
            self._timer.stop()

    def _add(self, levels: list[Any], what: str) -> None:
        from napari.layers import Labels

        place = self._place(what)
        if place is not None:
            data = levels if len(levels) > 1 else levels[0]
            self._show(Labels(data, multiscale=len(levels) > 1, opacity=0.6, **place))

    def _add_probability(self, logits: Any) -> None:
        from napari.layers import Image

        place = self._place("cell probability so far")
        if place is not None:
            look = {"contrast_limits": _SHOWN, "colormap": "inferno", "blending": "additive"}
            self._show(Image(logits, rgb=False, multiscale=False, opacity=0.6, **look, **place))

    def _place(self, what: str) -> dict[str, Any] | None:
        """Name and place of a layer; None where napari cannot lay it onto the image."""
        image, axes = self._layers.image, self._session.label_axes
        if image is None or layer_letters(self._layers.axes, axes) != axes:
            return None  # channels between time and planes
        return {
            "name": f"{image.name} {what}",
            "metadata": {METADATA: {"role": STORE}},
            **placement(image, self._layers.axes, axes, (0,) * len(axes)),
        }

    def _show(self, layer: Labels | Image) -> None:
        viewer = self._viewer()
        if viewer is None:
            return
        active = viewer.layers.selection.active
        self.layer = layer
        viewer.add_layer(layer)
        layer.editable = False
        keep_drawn(viewer, layer)
        if active is not None and active in viewer.layers:
            viewer.layers.selection.active = active
        self.on_dims()

    def on_dims(self) -> None:
        """Hide labels that a 3D view would load as a whole."""
        viewer = self._viewer()
        if self.layer is None or viewer is None or self.layer.multiscale:
            return
        if viewer.dims.ndisplay == 3 and self.layer.data.size > _MOST_3D:
            self.layer.visible = False


def _opened(folder: Path) -> Any:
    """An array that is read where it is looked at, and never from memory."""
    import zarr

    return zarr.open_array(folder, mode="r")
