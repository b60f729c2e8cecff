"""Whether what was edited would survive a crash: a few words at the foot of every dock."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

from napari.utils.theme import get_theme
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

from napari_cellseg.widgets.style import set_role

if TYPE_CHECKING:
    from napari_cellseg.session.records import JournalState

_LONGEST = 34


def saved_rules(theme_id: str) -> str:
    """Return the label's part of the stylesheet under a napari theme."""
    theme = get_theme(theme_id)
    dim, warning = theme.icon.as_hex(), theme.warning.as_hex()
    return f"""
    QLabel#cellseg_saved {{ color: {dim}; background: transparent; }}
    QLabel#cellseg_saved[warned="true"] {{ color: {warning}; }}
    """


def saved_text(state: JournalState, now: datetime | None = None) -> str:
    """Return the words: "saved 10:41 · undo 212", in local time; empty before the first step.

    Parameters
    ----------
    state : JournalState
    now : datetime, optional
        The time now, with its zone.
    """
    undo = f"undo {state.steps:,}" if state.steps else ""
    return " · ".join(part for part in (_saved(state, now), undo) if part)


def saved_tip(state: JournalState) -> str:
    """Return the whole of it: what is saved where, or what is in the way."""
    lines = []
    if state.trouble:
        lines.append(state.trouble)
    elif state.folder is not None and state.saved:
        lines.append("Every edit so far is on disk: it would survive a crash of the computer.")
    elif state.folder is not None:
        lines.append("The last edits are on their way to the disk.")
    if state.folder is not None:
        lines.append(f"Folder: {state.folder}")
    if state.steps:
        lines.append("1 step can be undone." if state.steps == 1 else _steps(state.steps))
    return "\n".join(lines)


class SavedLabel(QLabel):
    """Shows a journal's state; takes no room while there is nothing to say."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("cellseg_saved")
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.setAccessibleName("Saved state")
        self.hide()

    def show_journal(self, state: JournalState) -> None:
        """Show a state, which is what the journal has said itself."""
        text = saved_text(state)
        self.setText(text)
        self.setToolTip(saved_tip(state))
        set_role(self, "warned", bool(state.trouble))
        self.setVisible(bool(text))


def _saved(state: JournalState, now: datetime | None) -> str:
    if state.trouble:
        return f"not saved: {_short(state.trouble)}"
    if state.folder is None:
        return ""
    if not state.saved:
        return "saving…"
    if state.when is None:  # since the document was opened nothing had to be
        return "saved"
    here, today = state.when.astimezone(), (now or datetime.now().astimezone())
    return f"saved {here:%H:%M}" if here.date() == today.date() else f"saved {here:%d %b %H:%M}"


def _short(trouble: str) -> str:
    """Return what is wrong without where it is and what to do."""
    because = re.search(r"\bbecause ([^:(;]+)", trouble)
    text = because.group(1).strip() if because else re.split(r"[:(;]", trouble)[0].strip()
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1].rstrip()}…"


def _steps(count: int) -> str:
    return f"{count:,} steps can be undone."
