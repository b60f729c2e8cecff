"""The foot of the Segment dock: thresholds, Apply, Save, and a start from existing labels."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QHBoxLayout, QMenu, QVBoxLayout, QWidget

from napari_cellseg.widgets.form import ActionButton, Available, Form
from napari_cellseg.widgets.scales import LogitScale, LogScale
from napari_cellseg.widgets.slider import ValueSlider


class ResultSection(QWidget):
    """Reports what the user moves and presses; holds no state of its own."""

    probability_moved = Signal(float)
    min_size_moved = Signal(float)
    min_size_reset = Signal()
    apply = Signal()
    discard = Signal()
    undo = Signal()
    save = Signal()
    save_field = Signal()
    open_field = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.probability = ValueSlider(LogitScale(), 0.5)
        self.probability.setToolTip(
            "How sure the model must be that a place belongs to a cell. Lower finds more and "
            "larger cells. Acts at once on what was segmented. Double-click for 0.5."
        )
        self.min_size = ValueSlider(LogScale(), 15)
        self.min_size.setToolTip(
            "Leave out cells that have fewer voxels than this. Acts at once on what was segmented. "
            "Double-click for the automatic size, which follows the diameter."
        )
        self.apply_button = ActionButton(
            "Apply",
            "Take the proposal over into the cells layer. Cells that you changed by hand stay as "
            "they are.",
        )
        self.discard_button = ActionButton("Discard", "Throw the proposal away.")
        self.undo_button = ActionButton(
            "Undo", "Go back to the cells as they were before the last Apply or Segment all."
        )
        self.adopt_button = ActionButton(
            "Adopt labels", "Start from labels that exist: a Labels layer or a label file."
        )
        self.adopt_menu = QMenu(self)
        self.adopt_button.setMenu(self.adopt_menu)
        self.field_button = ActionButton(
            "Field",
            "The flow field is what the sliders act on. Save it beside the cells, or open one: the "
            "sliders work again, without running the model.",
        )
        field_menu = QMenu(self)
        self.field_button.setMenu(field_menu)
        self.save_field_action = QAction("Save field…", field_menu)
        self.open_field_action = QAction("Open field…", field_menu)
        self.save_field_action.triggered.connect(lambda: self.save_field.emit())
        self.open_field_action.triggered.connect(lambda: self.open_field.emit())
        field_menu.addActions([self.save_field_action, self.open_field_action])
        field_menu.setToolTipsVisible(True)
        self.save_button = ActionButton("Save…", "Save the cells as OME-Zarr or OME-TIFF.")
        form = Form()
        form.add_row("probability", self.probability)
        form.add_row("min size", self.min_size)
        first, second = QHBoxLayout(), QHBoxLayout()
        for button in (self.apply_button, self.discard_button, self.undo_button):
            first.addWidget(button)
        for button in (self.adopt_button, self.field_button, self.save_button):
            second.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(form)
        layout.addLayout(first)
        layout.addLayout(second)
        self.probability.value_changed.connect(self.probability_moved)
        self.probability.reset_requested.connect(self._on_probability_reset)
        self.min_size.value_changed.connect(self.min_size_moved)
        self.min_size.reset_requested.connect(self.min_size_reset)
        self.apply_button.clicked.connect(self.apply)
        self.discard_button.clicked.connect(self.discard)
        self.undo_button.clicked.connect(self.undo)
        self.save_button.clicked.connect(self.save)

    def show_field(self, save: Available, open: Available) -> None:
        """Show whether a field can be saved and opened, and why not."""
        for action, available in ((self.save_field_action, save), (self.open_field_action, open)):
            action.setEnabled(available.ok)
            action.setToolTip("" if available.ok else f"Not now: {available.reason}")

    def set_sliders_enabled(self, reason: str) -> None:
        """Enable the sliders, or say why they cannot be moved."""
        for slider in (self.probability, self.min_size):
            slider.set_available(reason)

    def _on_probability_reset(self) -> None:
        self.probability.set_value(0.5)
        self.probability_moved.emit(0.5)
