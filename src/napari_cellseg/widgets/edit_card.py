"""The top of the Edit dock: the cell in hand, or how many are selected."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

NO_CLASS = "no class"


class EditCard(QWidget):
    """Reports a typed class and presses of the lock; holds no state of its own."""

    class_chosen = Signal(str)
    lock_pressed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = QLabel()
        self.name.setTextFormat(Qt.TextFormat.RichText)
        self.name.setToolTip("What is selected; what the tools below work on.")
        self.kind = QComboBox()
        self.kind.setEditable(True)
        self.kind.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.kind.setFixedWidth(118)
        self.kind.setToolTip(
            "Class of what is selected: choose one, or type a new one and press Enter."
        )
        line = self.kind.lineEdit()
        assert line is not None  # it is editable
        line.setPlaceholderText(NO_CLASS)
        self.lock = QToolButton()
        self.lock.setCheckable(True)
        self.lock.setIconSize(QSize(18, 18))
        self.lock.setAccessibleName("lock")
        self.size = QLabel()
        self.origin = QLabel()
        self.origin.setObjectName("cellseg_name")
        self.origin.setWordWrap(True)
        self.origin.setToolTip("How it came to be, and what was done to it since.")
        top = QHBoxLayout()
        top.setSpacing(5)
        top.addWidget(self.name, 1)
        top.addWidget(self.kind)
        top.addWidget(self.lock)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addWidget(self.size)
        layout.addWidget(self.origin)
        self.kind.textActivated.connect(self._on_class)
        line.editingFinished.connect(self._on_typed)
        self.lock.clicked.connect(self.lock_pressed)
        self._shown_class = ""

    def show_none(self, sentence: str) -> None:
        """Show that nothing is selected, and what to do about it."""
        self.name.setText("no cell selected")
        self.size.setText("")
        self.origin.setText(sentence)
        for part in (self.kind, self.lock, self.size):
            part.setVisible(False)

    def show_cells(
        self,
        name: str,
        size: str,
        origin: str,
        kind: str,
        kinds: Sequence[str],
        locked: bool,
        lock_tip: str,
        lock_icon: QIcon,
    ) -> None:
        """Show what is selected, without reporting it."""
        for part in (self.kind, self.lock, self.size):
            part.setVisible(True)
        self.name.setText(name)
        self.size.setText(size)
        self.origin.setText(origin)
        self.origin.setVisible(bool(origin))
        self._shown_class = kind
        blocked = self.kind.blockSignals(True)
        listed = [self.kind.itemText(index) for index in range(self.kind.count())]
        wanted = ["", *kinds]
        if listed != wanted:
            self.kind.clear()
            self.kind.addItems(wanted)
        self.kind.setCurrentIndex(wanted.index(kind) if kind in wanted else 0)
        self.kind.setEditText(kind)
        self.kind.blockSignals(blocked)
        self.lock.setChecked(locked)
        self.lock.setIcon(lock_icon)
        self.lock.setToolTip(lock_tip)

    def _on_class(self, text: str) -> None:
        self._report(text)

    def _on_typed(self) -> None:
        self._report(self.kind.currentText())

    def _report(self, text: str) -> None:
        name = text.strip()
        if name != self._shown_class and not self.kind.isHidden():
            self._shown_class = name  # leaving the field ends the typing a second time
            self.class_chosen.emit(name)
