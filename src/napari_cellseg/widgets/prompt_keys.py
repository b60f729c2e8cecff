"""Keys of prompting: which they are, and when they act."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Labels, Points, Shapes

#: What each key does, as the dock lists it.
ACTIONS = {
    "accept": "accept",
    "discard": "discard",
    "cycle": "next candidate",
    "next": "next object",
    "through": "through z",
    "everything": "everything in plane",
    "tool": "next tool",
    "undo": "undo",
    "redo": "redo",
}

#: None of them is a key of napari's on Points, Shapes or Labels layers, save that Enter and Esc
#: also end a shape that is being drawn: then they do only that.
DEFAULT_KEYS = {
    "accept": "Enter",
    "discard": "Escape",
    "cycle": "C",
    "next": "N",
    "through": "G",
    "everything": "",
    "tool": "Q",
    "undo": "Control-Z",
    "redo": "Control-Shift-Z",
}


def usable_keys(
    wanted: Mapping[str, str],
    actions: Mapping[str, str] = ACTIONS,
    defaults: Mapping[str, str] = DEFAULT_KEYS,
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Check keys that a user has chosen.

    Parameters
    ----------
    wanted : dict of str to str
        Action to key, in napari's writing ("Control-Shift-Z"); empty for none.
    actions, defaults : dict of str to str
        What each action is called, and its key where `wanted` has none; those of prompting.

    Returns
    -------
    keys : dict of str to str
        Those that are keys, each once; an action whose key is unusable has none.
    problems : tuple of str
        One sentence for each that is not.
    """
    keys: dict[str, str] = {}
    used: dict[str, str] = {}
    problems = []
    for action in actions:
        key = wanted.get(action, defaults[action]).strip()
        keys[action] = ""
        if not key:
            continue
        known = _known(key)
        if not known:
            problems.append(
                f"“{key}” is no key, so “{actions[action]}” has none: write it "
                "like Control-Shift-Z."
            )
            continue
        if known in used:
            problems.append(
                f"“{key}” is chosen for “{used[known]}” and “{actions[action]}”: it does the first."
            )
            continue
        used[known] = actions[action]
        keys[action] = key
    return keys, tuple(problems)


def _known(key: str) -> str:
    """Write a key in one way, however the user wrote it; empty if there is no such key."""
    from app_model.types import KeyCode
    from napari.utils.key_bindings import coerce_keybinding

    try:
        binding = coerce_keybinding(key)
    except (ValueError, TypeError, KeyError):
        return ""
    return "" if binding.part0.key == KeyCode.UNKNOWN else str(binding)


class PromptKeys:
    """Binds keys to layers of ours, so that they act only while one of them is selected.

    Parameters
    ----------
    keys : dict of str to str
        Action to key.
    pressed : callable
        Given the action.
    """

    def __init__(self, keys: Mapping[str, str], pressed: Callable[[str], None]) -> None:
        self.keys = dict(keys)
        self._pressed = pressed

    def bind(self, layer: Points | Shapes | Labels) -> None:
        """Let the keys act while this layer is the active one."""
        for action, key in self.keys.items():
            if key:
                layer.bind_key(key, self._press(action), overwrite=True)

    def unbind(self, layer: Points | Shapes | Labels) -> None:
        """Let napari have its keys back."""
        for key in self.keys.values():
            if key:
                layer.bind_key(key, None, overwrite=True)

    def _press(self, action: str) -> Callable[[Any], None]:
        def press(layer: Any) -> None:
            if action in ("accept", "discard") and getattr(layer, "_is_creating", False):
                layer._finish_drawing()  # as napari's own Enter and Esc do
            else:
                self._pressed(action)

        return press
