"""Keys of reviewing: which they are. They act on the cells layer, while reviewing is on."""

from __future__ import annotations

#: What each key does, as the dock and the preferences list it.
REVIEW_ACTIONS = {
    "next": "next",
    "previous": "previous",
    "accept": "accept",
    "delete": "delete",
    "split": "split",
    "merge": "merge with its neighbour",
    "reopen": "reopen with prompts",
    "new": "add a missing cell",
    "skip": "put off",
    "right": "right (audit)",
    "wrong": "wrong (audit)",
    "leave": "stop reviewing",
}

#: None of them is a key of napari's on Labels layers, save Esc, which there drops a polygon; and
#: letters mean what they mean in the Edit dock.
REVIEW_KEYS = {
    "next": "N",
    "previous": "Shift-N",
    "accept": "A",
    "delete": "D",
    "split": "S",
    "merge": "J",
    "reopen": "R",
    "new": "U",
    "skip": "I",
    "right": "Y",
    "wrong": "W",
    "leave": "",
}


def shown_key(key: str) -> str:
    """Write a key as on a button: ⇧N for Shift-N."""
    return key.replace("Shift-", "⇧").replace("Control-", "Ctrl+").replace("Escape", "Esc")
