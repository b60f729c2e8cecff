"""Choosing cells by what they are like, in the Edit dock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QLineEdit, QWidget

from napari_cellseg.errors import InputError
from napari_cellseg.labels.select import select
from napari_cellseg.widgets.form import ActionButton

if TYPE_CHECKING:
    from napari_cellseg.labels import Key, LabelDocument

#: By name: what the condition is called, and the placeholder of its field; "" where it has none.
CONDITIONS = {
    "smaller": ("smaller than", "voxels"),
    "larger": ("larger than", "voxels"),
    "border": ("at the border", ""),
    "inside": ("not at the border", ""),
    "probability": ("probability below", "0…1"),
    "class": ("of class", "none"),
    "locked": ("locked", ""),
    "unlocked": ("not locked", ""),
}


class EditSelect(QWidget):
    """Reports that cells are to be selected; `condition` says which."""

    asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.what = QComboBox()
        for name, (text, _) in CONDITIONS.items():
            self.what.addItem(text, name)
        self.what.setToolTip("Which cells to select.")
        self.what.setMinimumContentsLength(8)
        self.what.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.value = QLineEdit()
        self.value.setFixedWidth(64)
        self.value.setAccessibleName("value of the condition")
        self.button = ActionButton(
            "Select",
            "Select all cells like that; then delete, lock or classify them as one step.",
            self.asked.emit,
        )
        label = QLabel("cells")
        label.setObjectName("cellseg_name")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(5)
        row.addWidget(label)
        row.addWidget(self.what, 1)
        row.addWidget(self.value)
        row.addWidget(self.button)
        self.what.currentIndexChanged.connect(self._show_field)
        self._show_field()

    @property
    def name(self) -> str:
        """The condition that is chosen, of `CONDITIONS`."""
        return str(self.what.currentData())

    def condition(self) -> dict[str, Any]:
        """Return the condition as `labels.select` takes it.

        Raises
        ------
        InputError
            If its number is missing or none.
        """
        name, text = self.name, self.value.text().strip()
        fixed: dict[str, dict[str, Any]] = {
            "border": {"touches_border": True},
            "inside": {"touches_border": False},
            "locked": {"locked": True},
            "unlocked": {"locked": False},
            "class": {"class_name": text},
        }
        if name in fixed:
            return fixed[name]
        try:
            number = float(text.replace(",", "."))
        except ValueError:
            raise InputError(f"“{text}” is no number: type one to select cells by.") from None
        if name == "smaller":
            return {"voxels": (None, number - 1e-9)}
        if name == "larger":
            return {"voxels": (number + 1e-9, None)}
        return {"probability": (None, number - 1e-9)}

    def chosen(self, document: LabelDocument, t: int) -> list[Key]:
        """Return the cells of a time point (0 without time) that the condition holds for.

        Raises
        ------
        InputError
            If the condition cannot be understood, or the document knows nothing of that kind.
        """
        condition = self.condition()
        table = document.table
        if "probability" in condition and "probability" not in table.columns:
            raise InputError("The cells have no probabilities: segment first.")
        return [key for key in select(table, **condition) if key[0] == t]

    def _show_field(self, *_: object) -> None:
        hint = CONDITIONS[self.name][1]
        self.value.setVisible(bool(hint))
        self.value.setPlaceholderText(hint)
