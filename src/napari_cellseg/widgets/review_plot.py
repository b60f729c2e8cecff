"""A small histogram of doubt, drawn by Qt itself: nothing has to be imported for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.utils.theme import get_theme
from qtpy.QtCore import QRectF, QSize
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

_BINS, _HEIGHT, _AXIS = 25, 46, 3


class DoubtPlot(QWidget):
    """Bars of how many have which score: all of them dim, what is left bright.

    Heights are square roots, so that the few doubtful ones are seen beside the many others.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(_HEIGHT)
        self.setAccessibleName("histogram of doubt")
        self.all: list[int] = [0] * _BINS
        self.left: list[int] = [0] * _BINS
        self.at: float | None = None
        self._colours = ("#555555", "#4a90d9", "#ffffff")

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As wide as there is room."""
        return QSize(200, _HEIGHT)

    def show_scores(self, every: Sequence[float], left: Sequence[float], at: float | None) -> None:
        """Show the scores of all items, of those that are left, and that of the one in hand."""
        self.all, self.left = _counted(every), _counted(left)
        self.at = at
        self.setToolTip(
            "How many are how doubtful, from none (left) to very (right): bright is what is left "
            "to look at, the white line the one in hand."
        )
        self.update()

    def show_theme(self, theme_id: str) -> None:
        """Draw in a theme's colours."""
        theme = get_theme(theme_id)
        self._colours = (
            theme.primary.as_hex(),
            theme.current.as_hex(),
            theme.text.as_hex(),
        )
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Draw the bars."""
        painter = QPainter(self)
        most = np.sqrt(max(*self.all, 1))
        wide, high = self.width() / _BINS, self.height() - _AXIS
        for counts, colour in zip((self.all, self.left), self._colours, strict=False):
            for place, count in enumerate(counts):
                tall = np.sqrt(count) / most * high
                bar = QRectF(place * wide + 0.5, high - tall, wide - 1, tall)
                painter.fillRect(bar, QColor(colour))
        painter.fillRect(QRectF(0, high, self.width(), 1), QColor(self._colours[0]))
        if self.at is not None:
            place = min(max(self.at, 0.0), 1.0) * (self.width() - 2)
            painter.fillRect(QRectF(place, 0, 2, self.height()), QColor(self._colours[2]))
        painter.end()


def _counted(scores: Sequence[float]) -> list[int]:
    counts, _ = np.histogram(np.clip(scores, 0, 1), _BINS, (0.0, 1.0))
    return [int(count) for count in counts]
