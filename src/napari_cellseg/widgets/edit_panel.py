"""The middle of the Edit dock: the tools, how they work, and the preview."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from napari.utils.theme import get_theme
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cellseg.widgets.edit_tools import ORDER, TOOLS
from napari_cellseg.widgets.form import ActionButton, Form
from napari_cellseg.widgets.icons import icon
from napari_cellseg.widgets.numbers import NumberEdit


class ToolButton(QToolButton):
    """A tool: an icon above a word; its tooltip says the key, and why it cannot be used."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        tool = TOOLS[name]
        self.setText(tool.text)
        self.setAccessibleName(tool.text)
        self.setCheckable(bool(tool.gesture))
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        self.setIconSize(QSize(20, 20))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(66)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.reason = ""

    def show_reason(self, reason: str, key: str, acts: bool) -> None:
        """Enable it, or disable it and say why; show its key."""
        self.reason = reason
        tip = TOOLS[self.name].tip + (f"\n\nKey: {key}, while a tool is on." if key else "")
        self.setText(f"{TOOLS[self.name].text} {key}" if key and acts else TOOLS[self.name].text)
        self.setEnabled(not reason)
        self.setToolTip(f"{tip}\n\nNot now: {reason}" if reason else tip)


class EditPanel(QWidget):
    """Reports what the user presses; holds no state of its own."""

    tool_pressed = Signal(str)
    plane_only_toggled = Signal(bool)
    amount_typed = Signal(float)
    planes_chosen = Signal(int)
    at_once_toggled = Signal(bool)
    by_flow_toggled = Signal(bool)
    apply_pressed = Signal()
    drop_pressed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tools: dict[str, ToolButton] = {}
        grid = QGridLayout()
        grid.setSpacing(3)
        for row, names in enumerate(ORDER):
            for column, name in enumerate(names):
                button = self.tools[name] = ToolButton(name)
                button.clicked.connect(partial(self.tool_pressed.emit, name))
                grid.addWidget(button, row, column)
        for column in range(len(ORDER[0])):
            grid.setColumnStretch(column, 1)
        self.state = QLabel()
        self.state.setObjectName("cellseg_name")
        self.state.setWordWrap(True)
        self.apply = ActionButton("Apply", "Make the change that is shown.", primary=True)
        self.drop = ActionButton("Drop", "Show it no more; nothing is changed.")
        self.apply.clicked.connect(self.apply_pressed)
        self.drop.clicked.connect(self.drop_pressed)
        self.offer = QWidget()
        beside = QHBoxLayout(self.offer)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.setSpacing(5)
        beside.addWidget(self.apply)
        beside.addWidget(self.drop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(self._scope())
        layout.addLayout(grid)
        layout.addWidget(self.state)
        layout.addWidget(self.offer)
        layout.addLayout(self._numbers())
        layout.addWidget(self.at_once)
        layout.addWidget(self.by_flow)
        self.offer.hide()

    def _scope(self) -> QHBoxLayout:
        self.whole = ActionButton("whole cell", "The tools work on whole cells.")
        self.only = ActionButton(
            "this plane", "The tools work only on what of the cells lies in the plane in view."
        )
        row = QHBoxLayout()
        row.setSpacing(3)
        for button in (self.whole, self.only):
            button.setCheckable(True)
            button.setAutoExclusive(True)
            row.addWidget(button)
        self.whole.setChecked(True)
        self.only.toggled.connect(self.plane_only_toggled)
        return row

    def _numbers(self) -> Form:
        self.amount = NumberEdit("The amount")
        self.amount.setToolTip("How far to grow and shrink, and how much to smooth.")
        self.amount.set_value(1.0)
        self.unit = QLabel("µm")
        self.planes = QSpinBox()
        self.planes.setRange(0, 999)
        self.planes.setToolTip(
            "So many planes on either side of the one in view are drawn in, too."
        )
        self.at_once = QCheckBox("apply at once, without preview")
        self.at_once.setToolTip("Undo takes back what was applied.")
        self.by_flow = QCheckBox("split along the flow field")
        form = Form()
        form.add_row("amount", self.amount, self.unit)
        self.planes_unit = QLabel("planes")
        form.add_row("through ±", self.planes, self.planes_unit)
        self._form = form
        self.amount.changed.connect(self._on_amount)
        self.planes.valueChanged.connect(self.planes_chosen)
        self.at_once.toggled.connect(self.at_once_toggled)
        self.by_flow.toggled.connect(self.by_flow_toggled)
        return form

    def show_icons(self, theme_id: str) -> None:
        """Draw the icons, and what is on, in a theme's colours."""
        current = get_theme(theme_id).current.as_hex()
        self.setStyleSheet(f"QToolButton:checked {{ background: {current}; border-radius: 3px; }}")
        for name, button in self.tools.items():
            button.setIcon(icon(name, theme_id))

    def show_tools(self, on: str, reasons: Mapping[str, str], keys: Mapping[str, str]) -> None:
        """Show which tool is on ("" for none), and which cannot be used and why."""
        for name, button in self.tools.items():
            button.show_reason(reasons[name], keys.get(name, ""), bool(on))
            button.setChecked(name == on)

    def show_state(self, sentence: str, offer: str, keys: Mapping[str, str]) -> None:
        """Show what the user does now, and the preview if there is one (its words)."""
        self.state.setText(f"Preview: {offer}." if offer else sentence)
        self.state.setVisible(bool(offer or sentence))
        self.offer.setVisible(bool(offer))
        for button, text, action in ((self.apply, "Apply", "apply"), (self.drop, "Drop", "drop")):
            key = {"Escape": "Esc"}.get(keys.get(action, ""), keys.get(action, ""))
            button.setText(f"{text} ({key})" if key else text)

    def show_scope(self, plane_only: bool, reason: str) -> None:
        """Show how much the tools work on, without reporting it."""
        blocked = self.only.blockSignals(True)
        (self.only if plane_only else self.whole).setChecked(True)
        self.only.blockSignals(blocked)
        self.only.set_reason(reason)

    def show_numbers(self, amount: float, unit: str, planes: int, drawing: bool) -> None:
        """Show the amount, and while something is drawn in planes, their number."""
        self.amount.set_value(amount)
        self.unit.setText(unit)
        blocked = self.planes.blockSignals(True)
        self.planes.setValue(planes)
        self.planes.blockSignals(blocked)
        self._form.set_row_visible(self.planes, drawing)
        self.planes_unit.setVisible(drawing)

    def show_flow(self, by_flow: bool, reason: str) -> None:
        """Show whether splits follow the flow field, without reporting it."""
        blocked = self.by_flow.blockSignals(True)
        self.by_flow.setChecked(by_flow and not reason)
        self.by_flow.blockSignals(blocked)
        self.by_flow.setEnabled(not reason)
        tip = "Split where the flows of the last segmentation part, not by the cell's shape."
        self.by_flow.setToolTip(f"{tip}\n\nNot now: {reason}" if reason else tip)

    def _on_amount(self) -> None:
        if self.amount.value is not None:
            self.amount_typed.emit(self.amount.value)
