"""A line edit for one positive number, possibly left empty."""

from __future__ import annotations

import math

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QLineEdit, QWidget

from napari_cellseg.widgets.style import set_role


class NumberEdit(QLineEdit):
    """A positive number, or nothing; anything else is marked and said in a sentence.

    Parameters
    ----------
    what : str
        What the number is, for the sentence about a bad one ("The diameter").
    empty : str
        Placeholder that says what an empty field means; "" if it may not be empty.
    """

    changed = Signal()

    def __init__(self, what: str, empty: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._what = what
        self._optional = bool(empty)
        self.setPlaceholderText(empty)
        self.editingFinished.connect(self._on_edited)
        self.textEdited.connect(self._mark)
        self._said = self.text()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 - Qt's name
        """Keep Enter and Esc, which mean something else in the window around the field."""
        super().keyPressEvent(event)
        if event is not None and event.key() in (
            Qt.Key.Key_Return,
            Qt.Key.Key_Enter,
            Qt.Key.Key_Escape,
        ):
            event.accept()

    @property
    def value(self) -> float | None:
        """The number, or None where the field is empty or wrong."""
        return None if self.problem else self._parse(self.text())

    @property
    def problem(self) -> str:
        """What is wrong with the text, as one sentence; "" if nothing is."""
        text = self.text().strip()
        if not text:
            return "" if self._optional else f"{self._what} is missing: type a number above 0."
        number = self._parse(text)
        if number is None:
            return f"{self._what} “{text}” is not a number: type one above 0."
        if not math.isfinite(number) or number <= 0:
            return f"{self._what} {text} is not usable: type a number above 0."
        return ""

    def set_value(self, value: float | None) -> None:
        """Show a number (four digits) without emitting ``changed``."""
        text = "" if value is None else f"{value:.4g}"
        if value is not None and self._parse(self.text()) is not None:
            shown = self._parse(self.text())
            if shown is not None and math.isclose(shown, value, rel_tol=1e-9):
                return  # keep what the user typed, digit for digit
        self.setText(text)
        self._said = text
        self._mark()

    def _on_edited(self) -> None:
        if self.text() == self._said:
            return
        self._said = self.text()
        self._mark()
        self.changed.emit()

    def _mark(self) -> None:
        set_role(self, "wrong", bool(self.problem))

    @staticmethod
    def _parse(text: str) -> float | None:
        text = text.strip()
        if text.count(",") == 1 and "." not in text:
            text = text.replace(",", ".")  # a decimal comma
        try:
            return float(text)
        except ValueError:
            return None
