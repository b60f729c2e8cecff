"""The middle of the Segment dock: model, diameter, Try here, Segment all."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_cellseg.networks import NetworkInfo
from napari_cellseg.widgets.form import ActionButton, Form
from napari_cellseg.widgets.numbers import NumberEdit


class ModelSection(QWidget):
    """Reports what the user chooses and presses; holds no state of its own."""

    model_chosen = Signal(str)
    diameter_typed = Signal()
    measure_toggled = Signal(bool)
    try_here = Signal()
    segment_all = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = QComboBox()
        self.model.setToolTip("The model that finds the cells, by what it was trained on.")
        self.diameter = NumberEdit("The diameter", empty="estimated")
        self.diameter.setToolTip(
            "How wide a typical cell is. Leave it empty to have it estimated from the image."
        )
        self._unit = QLabel("µm")
        self.measure = ActionButton(
            "measure",
            "Measure the diameter: draw a line across one cell in the image. Esc stops measuring.",
        )
        self.measure.setCheckable(True)
        self.try_button = ActionButton(
            "Try here",
            "Segment only what you are looking at, within seconds, to find the right settings. "
            "Zoom in for a smaller part.",
        )
        self.segment_button = ActionButton(
            "Segment all", "Segment the whole image, every plane and time point.", primary=True
        )
        beside = QWidget()
        row = QHBoxLayout(beside)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._unit)
        row.addWidget(self.measure)
        form = Form()
        form.add_row("model", self.model)
        form.add_row("diameter", self.diameter, beside)
        buttons = QHBoxLayout()
        buttons.addWidget(self.try_button)
        buttons.addWidget(self.segment_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(form)
        layout.addLayout(buttons)
        self.model.activated.connect(self._on_model)
        self.diameter.changed.connect(self.diameter_typed)
        self.measure.toggled.connect(self.measure_toggled)
        self.try_button.clicked.connect(self.try_here)
        self.segment_button.clicked.connect(self.segment_all)

    def show_models(self, infos: Iterable[NetworkInfo], current: str) -> None:
        """List the models with what they are meant for."""
        self.model.clear()
        for info in infos:
            self.model.addItem(info.title, info.name)
            index = self.model.count() - 1
            tip = f"{info.note}\nLicence: {info.licence}"
            self.model.setItemData(index, tip, Qt.ItemDataRole.ToolTipRole)
        self.show_model(current)

    def show_model(self, name: str) -> None:
        """Show which model is in use."""
        self.model.setCurrentIndex(self.model.findData(name))

    def show_diameter(self, diameter: float | None, unit: str, estimated: float | None) -> None:
        """Show the diameter in force, or in grey the one that was estimated."""
        self._unit.setText("µm" if unit == "µm" else "px")
        self.diameter.setPlaceholderText(
            "estimated" if estimated is None else f"estimated: {estimated:.3g}"
        )
        self.diameter.set_value(diameter)

    def show_measuring(self, measuring: bool) -> None:
        """Show whether a line is being waited for, without reporting it."""
        blocked = self.measure.blockSignals(True)
        self.measure.setChecked(measuring)
        self.measure.blockSignals(blocked)

    def _on_model(self, index: int) -> None:
        self.model_chosen.emit(self.model.itemData(index))
