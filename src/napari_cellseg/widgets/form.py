"""Small pieces of form that every dock uses: labelled rows and buttons that say why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QSizePolicy, QWidget


class Available(Protocol):
    """Whether something can be done now, and why not."""

    @property
    def ok(self) -> bool:
        """Whether it can be done."""
        ...

    @property
    def reason(self) -> str:
        """Why not, as one sentence."""
        ...


class Form(QGridLayout):
    """Rows of a dim name on the left and a field on the right."""

    def __init__(self) -> None:
        super().__init__()
        self.setContentsMargins(0, 0, 0, 0)
        self.setHorizontalSpacing(8)
        self.setVerticalSpacing(5)
        self.setColumnMinimumWidth(0, 74)  # as wide as the longest name, in every section
        self.setColumnStretch(1, 1)
        self._names: dict[QWidget, QLabel] = {}

    def add_row(self, name: str, field: QWidget, beside: QWidget | None = None) -> None:
        """Add a row; ``beside`` goes to the right of the field at its own width."""
        row = self.rowCount()
        label = QLabel(name)
        label.setObjectName("cellseg_name")
        label.setIndent(0)
        label.setContentsMargins(0, 0, 0, 0)
        label.setBuddy(field)
        self._names[field] = label
        field.setAccessibleName(name)
        self.addWidget(label, row, 0)
        if beside is None:
            self.addWidget(field, row, 1, 1, 2)
        else:
            self.addWidget(field, row, 1)
            self.addWidget(beside, row, 2)

    def set_row_visible(self, field: QWidget, visible: bool) -> None:
        """Show or hide a field together with its name."""
        self._names[field].setVisible(visible)
        field.setVisible(visible)


class ActionButton(QPushButton):
    """A button whose tooltip also says why it cannot be pressed.

    Parameters
    ----------
    text : str
    tip : str
        What it does, in the user's words.
    clicked : callable
        A bound method; it is called without arguments.
    primary : bool
        Whether it is the main thing to press.
    """

    def __init__(
        self, text: str, tip: str, clicked: Callable[[], None] | None = None, primary: bool = False
    ) -> None:
        super().__init__(text)
        self._tip = tip
        self._reason = ""
        self.setToolTip(tip)
        self.setProperty("primary", primary)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        if clicked is not None:
            self.clicked.connect(clicked)

    def set_available(self, available: Available, instead: str = "") -> None:
        """Enable or disable; ``instead`` is a reason of the dock's own, and goes first."""
        self.set_reason(instead or ("" if available.ok else available.reason))

    def set_reason(self, reason: str) -> None:
        """Enable the button, or disable it and say why."""
        self._reason = reason
        self.setEnabled(not reason)
        self.setToolTip(f"{self._tip}\n\nNot now: {reason}" if reason else self._tip)

    @property
    def reason(self) -> str:
        """Why it cannot be pressed; empty if it can."""
        return self._reason

    def set_tip(self, tip: str) -> None:
        """Say otherwise what it does, for example with another shortcut."""
        self._tip = tip
        self.set_reason(self._reason)
