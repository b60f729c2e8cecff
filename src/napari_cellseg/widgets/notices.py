"""Sentences that the user should know."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget


class Notices(QWidget):
    """A short list of hints, the most important first; it takes no room while it is empty."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._labels: list[QLabel] = []
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(4)
        self.hide()

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is shown, in order."""
        return tuple(label.text() for label in self._labels if not label.isHidden())

    def show_sentences(self, sentences: Iterable[str]) -> None:
        """Show these sentences instead of those that were there; empty ones are left out."""
        shown = [sentence for sentence in sentences if sentence]
        while len(self._labels) < len(shown):
            label = QLabel()
            label.setObjectName("cellseg_notice")
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self._labels.append(label)
            self._layout.addWidget(label)
        for index, label in enumerate(self._labels):
            label.setVisible(index < len(shown))
            label.setText(shown[index] if index < len(shown) else "")
        self.setVisible(bool(shown))
