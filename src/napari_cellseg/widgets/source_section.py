"""The top of the Segment dock: which image, which channel, which axes, how large a voxel is."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_cellseg.volume import Volume
from napari_cellseg.widgets.form import ActionButton, Form
from napari_cellseg.widgets.image_box import ImageBox
from napari_cellseg.widgets.image_layers import LayerAxes
from napari_cellseg.widgets.spacing_edit import SpacingEdit
from napari_cellseg.widgets.style import set_role

_AXIS_NAMES = {"t": "time", "c": "channel", "z": "z", "y": "y", "x": "x"}


class SourceSection(QWidget):
    """Shows an image's metadata and reports what the user chooses; holds no state of its own."""

    open_file = Signal()
    open_folder = Signal()
    image_chosen = Signal(int)
    channel_chosen = Signal(int)
    axes_chosen = Signal(str)
    spacing_typed = Signal(tuple)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.file_button = ActionButton(
            "Open file…", "Open an image file: TIFF, ImageJ hyperstack or OME-TIFF."
        )
        self.folder_button = ActionButton("folder…", "Open a folder: OME-Zarr or a zarr array.")
        self.image = ImageBox("The image layer to segment; any image open in napari will do.")
        self.channel = QComboBox()
        self.channel.setToolTip("The channel that shows the cells.")
        self.axes = QComboBox()
        self.axes.setToolTip("What the image's dimensions are, in their order.")
        self.spacing = SpacingEdit()
        self.spacing.setToolTip(
            "The size of a voxel in µm. Type it where the file does not state it: the cells' shape "
            "in 3D and the diameter depend on it."
        )
        for combo in (self.channel, self.axes):
            combo.setMinimumContentsLength(8)
            combo.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
        buttons = QHBoxLayout()
        buttons.addWidget(self.file_button, 2)
        buttons.addWidget(self.folder_button, 1)
        self._form = Form()
        self._form.add_row("image", self.image)
        self._form.add_row("channel", self.channel)
        self._form.add_row("axes", self.axes)
        self._form.add_row("spacing", self.spacing)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(buttons)
        layout.addLayout(self._form)
        self.file_button.clicked.connect(self.open_file)
        self.folder_button.clicked.connect(self.open_folder)
        self.image.activated.connect(self.image_chosen)
        self.channel.activated.connect(self.channel_chosen)
        self.axes.activated.connect(self._on_axes)
        self.spacing.changed.connect(self.spacing_typed)
        self.show_volume(None)

    @property
    def problem(self) -> str:
        """What is wrong with the spacing that was typed; empty if nothing is."""
        return self.spacing.problem

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
        """Show a volume's metadata; unknown axes or spacing are highlighted."""
        form = self._form
        for field in (self.axes, self.spacing):
            form.set_row_visible(field, volume is not None)
        several = volume is not None and volume.n_channels > 1 and not volume.rgb
        form.set_row_visible(self.channel, several)
        if volume is None:
            return
        self.channel.clear()
        self.channel.addItems(list(volume.channels))
        self.show_channel(channel)
        self._show_axes(axes or LayerAxes(volume.axes, True, (volume.axes,)))
        self.spacing.show_spacing(
            spacing or volume.spacing, known=spacing_known, is_3d=volume.is_3d
        )

    def show_channel(self, channel: int) -> None:
        """Show which channel is in use."""
        self.channel.setCurrentIndex(min(channel, self.channel.count() - 1))

    def _show_axes(self, axes: LayerAxes) -> None:
        self.axes.clear()
        for choice in axes.choices if axes.axes in axes.choices else (axes.axes,):
            self.axes.addItem(" · ".join(_AXIS_NAMES[letter] for letter in choice), choice)
        self.axes.setCurrentIndex(max(self.axes.findData(axes.axes), 0))
        self.axes.setEnabled(self.axes.count() > 1)
        set_role(self.axes, "asked", not axes.known)

    def _on_axes(self, index: int) -> None:
        self.axes_chosen.emit(self.axes.itemData(index))
