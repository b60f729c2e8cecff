"""The middle of the Prompt dock: prompting on or off, and what the mouse draws."""

from __future__ import annotations

from enum import Enum

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QButtonGroup, QCheckBox, QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_cellseg.widgets.form import ActionButton


class Tool(Enum):
    """What the mouse does."""

    POINT = "point"
    NEGATIVE = "negative"
    BOX = "box"
    SCRIBBLE = "scribble"
    LASSO = "lasso"


_TOOLS = {
    Tool.POINT: (
        "+ point",
        "Click in a cell to find it. A right click, or Shift+click, says what does not belong to "
        "it. Alt+click on a finished cell reopens it. Dragging moves the view.",
    ),
    Tool.NEGATIVE: ("− point", "Click on what does not belong to the object in hand."),
    Tool.BOX: ("□ box", "Draw a box around a cell, from corner to corner."),
    Tool.SCRIBBLE: ("✎ scribble", "Draw a line inside a cell."),
    Tool.LASSO: ("◌ lasso", "Draw around a cell; the outline need not be exact."),
}


class PromptTools(QWidget):
    """Reports what the user presses; holds no state of its own."""

    prompting_toggled = Signal(bool)
    tool_chosen = Signal(object)
    several_toggled = Signal(bool)
    in_3d_toggled = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.prompt = ActionButton(
            "Prompt",
            "Turn prompting on: click cells in the image and they are outlined at once.",
            primary=True,
        )
        self.prompt.setCheckable(True)
        self.state = QLabel()
        self.state.setObjectName("cellseg_name")
        self.state.setWordWrap(True)
        self.state.setToolTip("Whether clicks in the image are prompts now.")
        self.tools: dict[Tool, ActionButton] = {}
        self._group = QButtonGroup(self)
        grid = QGridLayout()
        grid.setSpacing(5)
        places = {
            Tool.POINT: (0, 0, 2),
            Tool.NEGATIVE: (0, 2, 2),
            Tool.BOX: (0, 4, 2),
            Tool.SCRIBBLE: (1, 0, 3),
            Tool.LASSO: (1, 3, 3),
        }
        for tool, (text, tip) in _TOOLS.items():
            button = self.tools[tool] = ActionButton(text, tip)
            button.setCheckable(True)
            self._group.addButton(button)
            row, column, width = places[tool]
            grid.addWidget(button, row, column, 1, width)
        self.tools[Tool.POINT].setChecked(True)
        self.several = QCheckBox("each point or box is an object")
        self.several.setToolTip(
            "Every positive point and every box begins another object. Otherwise they refine the "
            "one in hand."
        )
        self.in_3d = QCheckBox("3D click: the whole cell at once")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.prompt)
        layout.addWidget(self.state)
        layout.addLayout(grid)
        layout.addWidget(self.several)
        layout.addWidget(self.in_3d)
        self.prompt.toggled.connect(self.prompting_toggled)
        self._group.buttonClicked.connect(self._on_tool)
        self.several.toggled.connect(self.several_toggled)
        self.in_3d.toggled.connect(self.in_3d_toggled)
        self.show_in_3d(False, "", "")

    @property
    def tool(self) -> Tool:
        """The tool that is chosen."""
        return next(tool for tool, button in self.tools.items() if button.isChecked())

    def show_tool(self, tool: Tool) -> None:
        """Show which tool is chosen, without reporting it."""
        self.tools[tool].setChecked(True)

    def show_prompting(self, on: bool, state: str) -> None:
        """Show whether prompting is on, without reporting it."""
        blocked = self.prompt.blockSignals(True)
        self.prompt.setChecked(on)
        self.prompt.setText("Stop prompting" if on else "Prompt")
        self.prompt.blockSignals(blocked)
        self.state.setText(state)
        self.state.setVisible(bool(state))

    def show_several(self, several: bool) -> None:
        """Show whether each point or box is an object, without reporting it."""
        _check(self.several, several)

    def show_in_3d(self, in_3d: bool, reason: str, rule: str) -> None:
        """Show whether clicks go to the flow field, and why they cannot."""
        _check(self.in_3d, in_3d)
        self.in_3d.setEnabled(not reason)
        tip = "A click finds the whole cell in 3D, from the flows of the last segmentation."
        self.in_3d.setToolTip(
            f"{tip} {rule}".strip() + (f"\n\nNot now: {reason}" if reason else "")
        )

    def _on_tool(self, button: QWidget) -> None:
        self.tool_chosen.emit(next(tool for tool, one in self.tools.items() if one is button))


def _check(box: QCheckBox, on: bool) -> None:
    blocked = box.blockSignals(True)
    box.setChecked(on)
    box.blockSignals(blocked)
    box.setFocusPolicy(Qt.FocusPolicy.TabFocus)
