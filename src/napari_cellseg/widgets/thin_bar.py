"""A thin bar that shows how much of something is done."""

from __future__ import annotations

from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QFrame, QWidget

_HEIGHT = 5


class ThinBar(QFrame):
    """Unlike a QProgressBar, it is drawn with everything else.

    A QProgressBar that is given a value repaints at once, and the canvas with it: in the middle of
    a layer being added, that draws a layer whose data are not there yet, which ends the process.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("cellseg_bar")
        self.setFixedHeight(_HEIGHT)
        self._filled = QFrame(self)
        self._filled.setObjectName("cellseg_bar_filled")
        self.done, self.count = 0, 1

    def show_fraction(self, done: int, count: int) -> None:
        """Show that so many of so many are done."""
        self.done, self.count = done, max(count, 1)
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 - Qt's name
        """Fill the same part of another width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        self._filled.setGeometry(0, 0, round(self.width() * self.done / self.count), _HEIGHT)
