"""Sentences that the user should know, each under a key so that it can be taken back."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget


class Notices(QWidget):
    """A short list of hints; it takes no room while it is empty."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._labels: dict[str, QLabel] = {}
        self._layout = layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self.hide()

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is shown, in order."""
        return tuple(label.text() for label in self._labels.values())

    def set(self, key: str, sentence: str) -> None:
        """Show a sentence under a key, instead of the one that was there."""
        if not sentence:
            self.clear(key)
            return
        if key not in self._labels:
            label = QLabel()
            label.setObjectName("cellseg_notice")
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self._labels[key] = label
            self._layout.addWidget(label)
        self._labels[key].setText(sentence)
        self.show()

    def clear(self, key: str | None = None) -> None:
        """Take one sentence back, or all of them."""
        for name in [key] if key is not None else list(self._labels):
            label = self._labels.pop(name, None)
            if label is not None:
                self._layout.removeWidget(label)
                label.setParent(None)
                label.deleteLater()
        self.setVisible(bool(self._labels))
