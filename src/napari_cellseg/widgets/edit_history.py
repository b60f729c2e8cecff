"""The history in the Edit dock: every step, newest first; a click goes back to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QObject, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QFont
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QListView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cellseg.errors import CellsegError
from napari_cellseg.widgets.edit_words import clock, step_words
from napari_cellseg.widgets.icons import icon

if TYPE_CHECKING:
    from napari_cellseg.labels import LabelDocument, Step
    from napari_cellseg.session import Session

_ROWS = 7


class HistoryModel(QAbstractListModel):
    """The steps of a document, newest first, with those that were undone above; and the start.

    Nothing is copied: a row is looked up when it is drawn.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._document: LabelDocument | None = None

    def show(self, document: LabelDocument | None) -> None:
        """Show the steps of a document as they are now."""
        self.beginResetModel()
        self._document = document
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Return the number of steps, and one for the start."""
        one = self._document
        if one is None or not (one.history or one.undone):
            return 0
        return len(one.undone) + len(one.history) + 1

    def step(self, row: int) -> Step | None:
        """Return the step in a row; None for the start."""
        one = self._document
        if one is None:
            return None
        if row < len(one.undone):
            return one.undone[row]
        row -= len(one.undone)
        return one.history[-1 - row] if row < len(one.history) else None

    def distance(self, row: int) -> int:
        """Return how many steps to undo (or, below 0, to redo) so that a row's is the last."""
        return 0 if self._document is None else row - len(self._document.undone)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the words, the tooltip, or the look of a row."""
        step = self.step(index.row())
        undone = self.distance(index.row()) < 0
        if role == Qt.ItemDataRole.DisplayRole:
            if step is None:
                return "start"
            return f"{clock(step.when)}   {step_words(step)}" + ("   (undone)" if undone else "")
        if role == Qt.ItemDataRole.ToolTipRole:
            if step is None:
                return "The cells as they were before the first step: click to go back there."
            changed = f"{step.count:,} voxels, " if step.count else ""
            ends = "Click to make it again." if undone else "Click to go back to right after it."
            return f"{changed}by {step.source} ({step.user}). {ends}"
        if role == Qt.ItemDataRole.FontRole:
            font = QFont()
            font.setItalic(undone)
            font.setBold(self.distance(index.row()) == 0)
            return font
        return None


class EditHistory(QWidget):
    """Shows the history, and walks through it; reports a walk that goes on.

    Parameters
    ----------
    session : Session
        Whose steps are undone and made again, one for each turn of the event loop, so that a walk
        can be stopped at any step and never leaves half of one.
    """

    walking = Signal(int, int)
    """Steps done, and to do; (0, 0) when the walk has ended."""
    failed = Signal(object)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._left = self._whole = 0
        self.model = HistoryModel(self)
        self.view = QListView()
        self.view.setModel(self.model)
        self.view.setUniformItemSizes(True)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerItem)
        self.view.setAccessibleName("history")
        row = self.view.fontMetrics().height() + 4
        self.view.setFixedHeight(row * _ROWS)
        self.undo, self.redo = QToolButton(), QToolButton()
        self._tips = {
            "undo": "Undo the last step (Ctrl+Z on the cells layer).",
            "redo": "Make the last undone step again (Ctrl+Shift+Z on the cells layer).",
        }
        self.count = QLabel("history")
        self.count.setObjectName("cellseg_name")
        top = QHBoxLayout()
        top.setSpacing(5)
        top.addWidget(self.count, 1)
        for name, button in (("undo", self.undo), ("redo", self.redo)):
            button.setText(name)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setIconSize(QSize(16, 16))
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            top.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addWidget(self.view)
        self.undo.clicked.connect(self._on_undo)
        self.redo.clicked.connect(self._on_redo)
        self.view.clicked.connect(self._on_clicked)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._go_on)

    def show_icons(self, theme_id: str) -> None:
        """Draw the icons in a theme's colours."""
        self.undo.setIcon(icon("undo", theme_id))
        self.redo.setIcon(icon("redo", theme_id))

    def show_document(self, document: LabelDocument | None) -> None:
        """Show the steps of a document as they are now."""
        bar = self.view.verticalScrollBar()
        at = 0 if bar is None else bar.value()
        self.model.show(document)
        if bar is not None:
            bar.setValue(at)
        done = 0 if document is None else len(document.history)
        self.count.setText(f"history · {done:,} step{'s' if done != 1 else ''}")
        for name, button in (("undo", self.undo), ("redo", self.redo)):
            able = self._session.can(name)
            button.setEnabled(able.ok)
            tip = self._tips[name]
            button.setToolTip(tip if able.ok else f"{tip}\n\nNot now: {able.reason}")

    @property
    def on_the_way(self) -> bool:
        """Whether a walk has steps to go."""
        return self._left != 0

    def stop(self) -> None:
        """Stop a walk after the step that it is at."""
        self._timer.stop()
        if self._left:
            self._left = 0
            self.walking.emit(0, 0)

    def walk(self, row: int) -> None:
        """Undo or make again, until the step in a row is the last one."""
        self._go(self.model.distance(row))

    def _go(self, steps: int) -> None:
        self.stop()
        self._left, self._whole = steps, abs(steps)
        if steps:
            self._go_on()

    def _on_undo(self) -> None:
        self._go(1)

    def _on_redo(self) -> None:
        self._go(-1)

    def _on_clicked(self, index: QModelIndex) -> None:
        self.walk(index.row())

    def _go_on(self) -> None:
        verb = "undo" if self._left > 0 else "redo"
        if not self._session.can(verb).ok:
            self.stop()
            return
        # counted first: a step that brings other labels back ends the walk
        self._left += -1 if verb == "undo" else 1
        try:
            self._session.undo() if verb == "undo" else self._session.redo()
        except CellsegError as error:
            self.stop()
            self.failed.emit(error)
            return
        if self._left:
            self.walking.emit(self._whole - abs(self._left), self._whole)
            self._timer.start(0)
        else:
            self.walking.emit(0, 0)
