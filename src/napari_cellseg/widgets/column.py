"""A dock's body that scrolls."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QFrame, QScrollArea

from napari_cellseg.widgets.style import WIDTH


class Column(QScrollArea):
    """Scrolls up and down only: it is never narrower than what it holds."""

    def __init__(self) -> None:
        super().__init__()
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the width of what it holds, with room for the scroll bar."""
        body, bar = self.widget(), self.verticalScrollBar()
        held = 0 if body is None else body.minimumSizeHint().width()
        beside = 0 if bar is None else bar.sizeHint().width()
        return QSize(max(WIDTH[0], held + beside), super().minimumSizeHint().height())
