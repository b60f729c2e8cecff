"""The lower part of the Prompt dock: the object in hand, its candidates, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_cellseg.widgets.form import ActionButton

_CIRCLED = ("①", "②", "③")
VERBS = {
    "accept": ("Accept", "Write the open objects into the cells; finished cells stay as they are."),
    "discard": ("Discard", "Throw the object in hand away; without one, all open objects."),
    "next": ("Next object", "Put the object in hand aside, open; the next prompt begins another."),
    "through": (
        "Through z",
        "Carry the object in hand to the planes around, as far as it can be followed.",
    ),
    "everything": (
        "Everything in plane",
        "Find every cell of this plane; they become open objects, to accept or discard.",
    ),
    "undo": ("Undo", "Take the last acceptance back."),
    "redo": ("Redo", "Make it again."),
}


class PromptObjects(QWidget):
    """Reports what the user presses; holds no state of its own."""

    asked = Signal(str)
    candidate_chosen = Signal(int)
    overwrite_toggled = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.object = QLabel()
        self.object.setWordWrap(True)
        self.object.setToolTip("The object that further prompts belong to.")
        self.candidates: list[ActionButton] = []
        row = QHBoxLayout()
        row.setSpacing(5)
        for index, circled in enumerate(_CIRCLED):
            button = ActionButton(
                circled,
                "One point can mean several things: take this candidate. The number is how well "
                "the model expects it to fit (predicted IoU).",
            )
            button.setCheckable(True)
            button.setProperty("candidate", index)
            button.clicked.connect(self._on_candidate)
            self.candidates.append(button)
            row.addWidget(button)
        self.buttons = {
            verb: ActionButton(text, tip, primary=verb == "accept")
            for verb, (text, tip) in VERBS.items()
        }
        for verb, button in self.buttons.items():
            button.setProperty("verb", verb)
            button.clicked.connect(self._on_verb)
        self.overwrite = QCheckBox("may overwrite finished cells")
        self.overwrite.setToolTip(
            "Let accepted objects take voxels of finished cells; locked cells always stay."
        )
        self.reopen = QLabel("Alt+click on a finished cell reopens it with its prompts.")
        self.reopen.setObjectName("cellseg_name")
        self.reopen.setWordWrap(True)
        self.keys = QLabel()
        self.keys.setObjectName("cellseg_name")
        self.keys.setWordWrap(True)
        self.keys.setTextFormat(Qt.TextFormat.RichText)
        self.keys.setToolTip(
            "Keys while prompting is on and one of its layers is selected. Change them in File ▸ "
            "Preferences ▸ Plugins."
        )
        grid = QGridLayout()
        grid.setSpacing(5)
        places = {
            "accept": (0, 0, 1, 2),
            "discard": (0, 2, 1, 2),
            "next": (1, 0, 1, 2),
            "through": (1, 2, 1, 2),
            "everything": (2, 0, 1, 2),
            "undo": (2, 2, 1, 1),
            "redo": (2, 3, 1, 1),
        }
        for verb, place in places.items():
            grid.addWidget(self.buttons[verb], *place)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.object)
        layout.addLayout(row)
        layout.addLayout(grid)
        layout.addWidget(self.overwrite)
        layout.addWidget(self.reopen)
        layout.addWidget(self.keys)
        self.overwrite.toggled.connect(self.overwrite_toggled)

    def show_object(self, text: str) -> None:
        """Describe the object in hand."""
        self.object.setText(text)

    def show_candidates(self, scores: Sequence[float], chosen: int) -> None:
        """Show the candidates of the last prompt with their predicted IoU."""
        for index, button in enumerate(self.candidates):
            there = index < len(scores)
            button.setText(f"{_CIRCLED[index]} {scores[index]:.2f}" if there else _CIRCLED[index])
            button.setChecked(there and index == chosen)
            button.setProperty("primary", there and index == chosen)
            style = button.style()
            if style is not None:
                style.unpolish(button)
                style.polish(button)
            alone = "There is only one candidate." if index == 0 else "There are no more."
            none = "A lone point in a cell has several candidates: there is none now."
            button.set_reason("" if there and len(scores) > 1 else alone if scores else none)

    def show_reasons(self, reasons: Mapping[str, str]) -> None:
        """Enable each button, or say why it cannot be pressed."""
        for verb, reason in reasons.items():
            self.buttons[verb].set_reason(reason)

    def show_overwrite(self, overwrite: bool) -> None:
        """Show whether finished cells may be overwritten, without reporting it."""
        blocked = self.overwrite.blockSignals(True)
        self.overwrite.setChecked(overwrite)
        self.overwrite.blockSignals(blocked)

    def show_keys(self, keys: Mapping[str, str], names: Mapping[str, str]) -> None:
        """List the keys, and name them in the tooltips of their buttons."""
        listed = [f"<b>{_shown(key)}</b> {names[action]}" for action, key in keys.items() if key]
        self.keys.setText(" · ".join(listed))
        for verb, button in self.buttons.items():
            key = keys.get(verb, "")
            button.set_tip(VERBS[verb][1] + (f" Key: {_shown(key)}." if key else ""))
        cycle = keys.get("cycle", "")
        for button in self.candidates:
            button.set_tip(
                "One point can mean several things: take this candidate. The number is how well "
                "the model expects it to fit (predicted IoU)."
                + (f" Key: {_shown(cycle)} for the next." if cycle else "")
            )

    def _on_verb(self) -> None:
        sender = self.sender()
        if sender is not None:
            self.asked.emit(sender.property("verb"))

    def _on_candidate(self) -> None:
        sender = self.sender()
        if sender is not None:
            self.candidate_chosen.emit(sender.property("candidate"))


def _shown(key: str) -> str:
    return key.replace("Control", "Ctrl").replace("Escape", "Esc").replace("-", "+")
