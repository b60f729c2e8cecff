"""The voxel size as three small fields, asked for where the file does not state it."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QWidget

from napari_cellseg.widgets.numbers import NumberEdit
from napari_cellseg.widgets.style import set_role

_AXES = ("z", "y", "x")


class SpacingEdit(QWidget):
    """Spacing (z, y, x) in µm per voxel; z is hidden for an image that has no z."""

    changed = Signal(tuple)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.fields = {axis: NumberEdit(f"The {axis} spacing") for axis in _AXES}
        self._names = {axis: QLabel(axis) for axis in _AXES}
        self._is_3d = True
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for axis in _AXES:
            self._names[axis].setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
            layout.addWidget(self._names[axis])
            layout.addWidget(self.fields[axis], 1)
            self.fields[axis].setMinimumWidth(38)
            self.fields[axis].changed.connect(self._on_changed)
        unit = QLabel("µm")
        unit.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        layout.addWidget(unit)

    @property
    def value(self) -> tuple[float, float, float] | None:
        """The spacing (z, y, x), or None where a field is wrong."""
        numbers = [
            1.0 if axis == "z" and not self._is_3d else self.fields[axis].value for axis in _AXES
        ]
        if any(number is None for number in numbers):
            return None
        z, y, x = (float(number) for number in numbers if number is not None)
        return z, y, x

    @property
    def problem(self) -> str:
        """What is wrong with the first wrong field, as one sentence."""
        shown = _AXES if self._is_3d else _AXES[1:]
        return next((p for axis in shown if (p := self.fields[axis].problem)), "")

    def show_spacing(
        self, spacing: tuple[float, float, float], *, known: bool, is_3d: bool
    ) -> None:
        """Show a spacing without emitting; unknown ones are highlighted."""
        self._is_3d = is_3d
        self._names["z"].setVisible(is_3d)
        self.fields["z"].setVisible(is_3d)
        for axis, number in zip(_AXES, spacing, strict=True):
            field = self.fields[axis]
            field.set_value(number)
            set_role(field, "asked", not known)

    def setToolTip(self, text: str | None) -> None:  # noqa: N802 - Qt's name
        """Show the same tooltip over all three fields."""
        for field in self.fields.values():
            field.setToolTip(text or "")
        super().setToolTip(text or "")

    def _on_changed(self) -> None:
        value = self.value
        self.changed.emit(value if value is not None else ())
