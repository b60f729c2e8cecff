"""Keys of editing: which they are. They act on the cells layer, while a tool is on."""

from __future__ import annotations

from napari_cellseg.widgets.edit_tools import TOOLS

#: What each key does, as the dock and the preferences list it.
EDIT_ACTIONS = {
    **{name: tool.text for name, tool in TOOLS.items()},
    "apply": "apply the preview",
    "drop": "drop the preview, or leave the tool",
}

_LETTERS = {
    "lasso": "O",
    "delete": "D",
    "lock": "H",
    "merge": "J",
    "split": "S",
    "cut": "K",
    "apply": "Enter",
    "drop": "Escape",
}

#: None of them is a key of napari's on Labels layers, save Enter and Esc, which end its polygon:
#: with that, no tool of ours is on.
EDIT_KEYS = {action: _LETTERS.get(action, "") for action in EDIT_ACTIONS}
