"""A slider with an editable value box, on any scale."""

from __future__ import annotations

import math

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLineEdit, QSlider, QWidget

from napari_cellseg.widgets.scales import Scale

_STEPS = 1000


class ValueSlider(QWidget):
    """A slider and the value it stands for; typing a value moves the slider.

    Parameters
    ----------
    scale : Scale
        Maps slider positions to values and values to text.
    value : float
        The first value.
    """

    value_changed = Signal(float)
    reset_requested = Signal()

    def __init__(self, scale: Scale, value: float, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scale = scale
        self._value = value
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self.slider.setSingleStep(_STEPS // 100)
        self.slider.setPageStep(_STEPS // 20)
        self.box = QLineEdit()
        self.box.setFixedWidth(62)
        self.box.setAlignment(Qt.AlignmentFlag.AlignRight)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.slider, 1)
        layout.addWidget(self.box)
        self._show()
        self._tip = ""
        self.slider.installEventFilter(self)
        self.slider.valueChanged.connect(self._on_slider)
        self.box.editingFinished.connect(self._on_box)

    @property
    def value(self) -> float:
        """The value as the user sees it."""
        return self._value

    def set_value(self, value: float) -> None:
        """Show a value without emitting ``value_changed``."""
        self._value = value
        self._show()

    def set_scale(self, scale: Scale) -> None:
        """Change the range without emitting; the value is clipped to it."""
        self._scale = scale
        self.set_value(min(max(self._value, scale.low), scale.high))

    def setToolTip(self, text: str | None) -> None:  # noqa: N802 - Qt's name
        """Show the same tooltip over the slider and the box."""
        self._tip = text or ""
        self.set_available("")

    def set_available(self, reason: str) -> None:
        """Enable the slider, or disable it and say why in the tooltip."""
        self.setEnabled(not reason)
        tip = f"{self._tip}\n\nNot now: {reason}" if reason else self._tip
        for widget in (self.slider, self.box):
            widget.setToolTip(tip)
        super().setToolTip(tip)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Ask for the usual value on a double click."""
        if event is not None and event.type() == QEvent.Type.MouseButtonDblClick:
            self.reset_requested.emit()
            return True
        return super().eventFilter(watched, event)

    def _show(self) -> None:
        blocked = self.slider.blockSignals(True)
        self.slider.setValue(round(self._scale.position(self._value) * _STEPS))
        self.slider.blockSignals(blocked)
        self.box.setText(self._scale.text(self._value))

    def _on_slider(self, step: int) -> None:
        self._accept(self._scale.value(step / _STEPS), move=False)

    def _on_box(self) -> None:
        try:
            typed = float(self.box.text().replace(",", ""))
        except ValueError:
            typed = math.nan
        if math.isnan(typed):
            typed = self._value  # the box goes back to the value in force
        self._accept(min(max(typed, self._scale.low), self._scale.high), move=True)

    def _accept(self, value: float, *, move: bool) -> None:
        changed = value != self._value
        self._value = value
        if move:
            self._show()
        else:
            self.box.setText(self._scale.text(value))
        if changed:
            self.value_changed.emit(value)
