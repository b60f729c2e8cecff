"""The top of the Prompt dock: which image, and which channels the model sees."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QMenu, QToolButton, QVBoxLayout, QWidget

from napari_cellseg.prompts.plane_view import MOST_CHANNELS
from napari_cellseg.volume import Volume
from napari_cellseg.widgets.form import Form
from napari_cellseg.widgets.image_box import ImageBox
from napari_cellseg.widgets.image_layers import LayerAxes

_COLORS = ("red", "green", "blue")


class PromptSource(QWidget):
    """Shows the image and the channels; holds no state of its own."""

    image_chosen = Signal(int)
    channels_chosen = Signal(tuple)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.image = ImageBox("The image layer to prompt; any image open in napari will do.")
        self.channels = QToolButton()
        self.channels.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.channels.setSizePolicy(self.image.sizePolicy())
        self.channels.setToolTip(
            "The channels that the model sees. Tick two or three to show them to it together, as "
            "red, green and blue."
        )
        self.menu = QMenu(self.channels)
        self.menu.setToolTipsVisible(True)
        self.channels.setMenu(self.menu)
        self._names: tuple[str, ...] = ()
        self._chosen: tuple[int, ...] = (0,)
        self._form = Form()
        self._form.add_row("image", self.image)
        self._form.add_row("channels", self.channels)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._form)
        self.image.activated.connect(self.image_chosen)
        self.menu.triggered.connect(self._on_ticked)
        self.show_volume(None)

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
        """List the volume's channels, where it has several; axes and spacing are not shown."""
        several = volume is not None and volume.n_channels > 1 and not volume.rgb
        self._form.set_row_visible(self.channels, several)
        names = tuple(volume.channels) if volume is not None and several else ()
        if names != self._names:
            self._names = names
            self.menu.clear()
            for index, name in enumerate(names):
                action = QAction(name, self.menu)
                action.setCheckable(True)
                action.setData(index)
                self.menu.addAction(action)
        self.show_channels(self._chosen)

    def show_channel(self, channel: int) -> None:
        """Do nothing: the channel that is segmented need not be among those that are prompted."""

    def show_channels(self, channels: tuple[int, ...]) -> None:
        """Show which channels the model sees."""
        self._chosen = channels
        full = len(channels) >= MOST_CHANNELS
        for action in self.menu.actions():
            ticked = action.data() in channels
            action.setChecked(ticked)
            action.setEnabled(ticked or not full)
            shown = f"Seen as {_COLORS[channels.index(action.data())]}." if ticked else ""
            action.setToolTip(shown or ("Untick another first: three at most." if full else ""))
        names = [self._names[index] for index in channels if index < len(self._names)]
        self.channels.setText(" + ".join(names))

    def _on_ticked(self, action: QAction) -> None:
        index = action.data()
        kept = tuple(channel for channel in self._chosen if channel != index)
        chosen = (*kept, index) if action.isChecked() else kept
        if chosen and len(chosen) <= MOST_CHANNELS:
            self.channels_chosen.emit(chosen)
        else:
            self.show_channels(self._chosen)
