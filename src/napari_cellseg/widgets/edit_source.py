"""The first row of the Edit dock: which image the cells are of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_cellseg.widgets.form import Form
from napari_cellseg.widgets.image_box import ImageBox

if TYPE_CHECKING:
    from napari_cellseg.volume import Volume
    from napari_cellseg.widgets.image_layers import LayerAxes


class EditSource(QWidget):
    """Shows the image; holds no state of its own."""

    image_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.image = ImageBox("The image layer whose cells are edited.")
        form = Form()
        form.add_row("image", self.image)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        self.image.activated.connect(self.image_chosen)

    @property
    def problem(self) -> str:
        """Nothing can be typed here, so nothing is wrong."""
        return ""

    def show_images(self, names: Sequence[str], current: int | None) -> None:
        """List the image layers; ``current`` is the one in use."""
        self.image.show_images(names, current)

    def show_volume(
        self,
        volume: Volume | None,
        axes: LayerAxes | None = None,
        spacing: tuple[float, float, float] | None = None,
        spacing_known: bool = True,
        channel: int = 0,
    ) -> None:
        """Do nothing: axes, channels and spacing are stated in the Segment dock."""

    def show_channel(self, channel: int) -> None:
        """Do nothing: no channel is edited."""
