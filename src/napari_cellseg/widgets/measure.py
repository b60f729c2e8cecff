"""Measure a cell: the user draws one line across it in a layer that then disappears."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_cellseg.widgets.canvas_shim import keep_drawn

if TYPE_CHECKING:
    from napari.layers import Image, Shapes
    from napari.viewer import ViewerModel

LAYER_NAME = "draw a line across one cell"


def line_length(line: np.ndarray, spacing: tuple[float, ...]) -> float:
    """Return the length of a line in the units of the spacing.

    Parameters
    ----------
    line : ndarray, shape (n, d)
        Vertices in data coordinates; the first and the last one count.
    spacing : tuple of float, length d
        Size of a step along each axis; 0 for axes without an extent (time).
    """
    step = (np.asarray(line[-1], float) - np.asarray(line[0], float)) * np.asarray(spacing, float)
    return float(np.linalg.norm(step))


class MeasureTool(QObject):
    """Adds a temporary Shapes layer, waits for one line, and takes the layer away again."""

    measured = Signal(float)
    finished = Signal()

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Shapes | None = None
        self._spacing: tuple[float, ...] = ()
        self._image: Image | None = None
        self._before: Any = None

    @property
    def active(self) -> bool:
        """Whether a line is being waited for."""
        return self._layer is not None

    def start(self, image: Image, spacing: tuple[float, ...]) -> None:
        """Let the user draw a line over an image.

        Parameters
        ----------
        image : napari Image layer
            The new layer has its scale, translate, units and dimensions.
        spacing : tuple of float
            Length of a step along each of the layer's axes, for the result.
        """
        from napari.layers import Shapes

        self.stop()
        ndim = image.ndim
        self._spacing = spacing
        self._image = image
        self._before = self._viewer.layers.selection.active
        self._layer = Shapes(
            ndim=ndim,
            name=LAYER_NAME,
            scale=image.scale,
            translate=image.translate,
            units=image.units,
            axis_labels=image.axis_labels,
            edge_color="#ffd166",
            edge_width=max(float(np.max(image.extent.data[1][-2:])) / 250.0, 0.5),
        )
        self._viewer.add_layer(self._layer)
        keep_drawn(self._viewer, self._layer)
        self._viewer.layers.selection.active = self._layer
        self._layer.mode = "add_line"
        self._layer.events.data.connect(self._on_data)
        self._layer.bind_key("Escape", self._on_escape, overwrite=True)
        self._viewer.layers.events.removed.connect(self._on_removed)

    def stop(self) -> None:
        """Take the temporary layer away, whether or not a line was drawn."""
        layer, self._layer = self._layer, None
        if layer is None:
            return
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        layer.events.data.disconnect(self._on_data)
        layer.bind_key("Escape", None, overwrite=True)
        if layer in self._viewer.layers:
            self._viewer.layers.remove(layer)
        if self._before is not None and self._before in self._viewer.layers:
            self._viewer.layers.selection.active = self._before
        self._before = self._image = None
        self.finished.emit()

    def _on_data(self, event: Any) -> None:
        if self._layer is None or str(getattr(event.action, "value", event.action)) != "added":
            return
        length = line_length(self._layer.data[-1], self._spacing)
        # The layer is still in the middle of its own mouse event here: it goes on the next turn.
        QTimer.singleShot(0, self.stop)
        if length > 0:
            self.measured.emit(length)

    def _on_escape(self, layer: Any) -> None:
        QTimer.singleShot(0, self.stop)

    def _on_removed(self, event: Any) -> None:
        if event.value is self._layer or event.value is self._image:
            self.stop()
