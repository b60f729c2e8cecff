"""The strip at the foot of every dock: what is happening, how to stop it, what is saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QFontMetrics, QResizeEvent
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cellseg.widgets.saved_label import SavedLabel
from napari_cellseg.widgets.style import set_role

if TYPE_CHECKING:
    from napari_cellseg.session.records import JournalState


class _Line(QLabel):
    """One line, cut with … where it does not fit; or the whole text over several lines."""

    def __init__(self) -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setMinimumWidth(40)
        self._whole = ""

    def show_line(self, text: str, *, wrap: bool) -> None:
        """Show a text; its whole is always in the tooltip."""
        self._whole = text
        self.setToolTip(text)
        self.setWordWrap(wrap)
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 - Qt's name
        """Fit the text into the new width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        text = self._whole
        if not self.wordWrap():
            right = Qt.TextElideMode.ElideRight
            text = QFontMetrics(self.font()).elidedText(text, right, self.width())
        if text != self.text():
            self.setText(text)


class StatusStrip(QFrame):
    """One line of text over a thin progress bar, with Cancel while something runs.

    On its right stands what of the edits is saved.
    """

    cancelled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("cellseg_status")
        self._text = ""
        self._label = _Line()
        self.saved = SavedLabel()
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(5)
        self.cancel = QToolButton()
        self.cancel.setText("✕")
        self.cancel.setAutoRaise(True)
        self.cancel.setToolTip("Cancel what is running; nothing that you have is changed.")
        self.cancel.setAccessibleName("Cancel")
        self.cancel.clicked.connect(self.cancelled)
        top = QHBoxLayout()
        top.setContentsMargins(0, 0, 0, 0)
        top.addWidget(self._label, 1)
        top.addWidget(self.saved)
        top.addWidget(self.cancel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 6)
        layout.setSpacing(3)
        layout.addLayout(top)
        layout.addWidget(self.bar)
        self.idle("")

    @property
    def text(self) -> str:
        """The whole message, also where only its start fits."""
        return self._text

    @property
    def busy(self) -> bool:
        """Whether the bar and the Cancel button are shown."""
        return not self.cancel.isHidden()

    def progress(self, fraction: float, message: str) -> None:
        """Show how far the work is; a negative fraction means that nobody knows."""
        self.bar.setRange(0, 0 if fraction < 0 else 1000)
        self.bar.setValue(round(1000 * min(max(fraction, 0.0), 1.0)))
        self._set_running(True)
        self._write(message, error=False)

    def idle(self, message: str) -> None:
        """Show a message with nothing running."""
        self._set_running(False)
        self._write(message, error=False)

    def error(self, message: str) -> None:
        """Show what went wrong, with nothing running."""
        self._set_running(False)
        self._write(message, error=True)

    def show_journal(self, state: JournalState) -> None:
        """Show what of the edits is saved, and how many can be undone."""
        self.saved.show_journal(state)

    def _set_running(self, running: bool) -> None:
        self.cancel.setVisible(running)
        policy = self.bar.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # the dock does not jump when work starts
        self.bar.setSizePolicy(policy)
        self.bar.setVisible(running)

    def _write(self, message: str, *, error: bool) -> None:
        self._text = message
        set_role(self, "error", error)
        self._label.show_line(message, wrap=error)
