"""The banner that offers unfinished work, at the top of every dock."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari.utils.theme import get_theme
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QMessageBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cellseg.widgets.form import ActionButton
from napari_cellseg.widgets.recovery import described

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cellseg.labels import Shelved
    from napari_cellseg.widgets.recovery import Recovery


def banner_rules(theme_id: str) -> str:
    """Return the banner's part of the stylesheet under a napari theme."""
    theme = get_theme(theme_id)
    return f"""
    QFrame#cellseg_recovery {{
        background: {theme.foreground.as_hex()}; border-radius: 2px;
        border-left: 3px solid {theme.warning.as_hex()};
    }}
    QFrame#cellseg_recovery QToolButton {{ padding: 2px 4px; }}
    QFrame#cellseg_recovery QToolButton::menu-indicator {{ image: none; }}
    QFrame#cellseg_recovery QLabel {{ background: transparent; color: {theme.text.as_hex()}; }}
    """


def agrees_to_delete(parent: QWidget, one: Shelved) -> bool:
    """Ask whether unfinished work may be deleted for good."""
    answer = QMessageBox.question(
        parent,
        "Delete unfinished work",
        f"Delete the unfinished work on {described(one)} for good?\n\n{one.folder}",
    )
    return answer == QMessageBox.StandardButton.Yes


class RecoveryBanner(QFrame):
    """Offers to take up unfinished work; takes no room where there is none.

    Parameters
    ----------
    recovery : Recovery
        Does what is pressed here.
    """

    def __init__(self, recovery: Recovery, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("cellseg_recovery")
        self._recovery = recovery
        self._folder: Path | None = None
        self.text = QLabel()
        self.hint = QLabel()
        for label in (self.text, self.hint):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.recover = ActionButton(
            "Recover",
            "Open the image and the cells as they were, with every edit and its undo.",
            self._on_recover,
            primary=True,
        )
        self.later = ActionButton(
            "Later", "Ask again when the next window opens.", self._recovery.later
        )
        self.delete = ActionButton(
            "Delete…", "Delete this work from disk for good.", self._on_delete
        )
        self.more = QToolButton()
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more.setAutoRaise(True)
        self.more.setToolTip("Other work that was left unfinished: choose one.")
        self._menu = QMenu(self.more)
        self.more.setMenu(self._menu)
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        for button in (self.recover, self.later, self.delete):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(9, 6, 6, 6)
        layout.setSpacing(5)
        layout.addWidget(self.text)
        layout.addWidget(self.more, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(self.hint)
        layout.addLayout(buttons)
        self.hide()

    def follow(self) -> None:
        """Show what the recovery has found, from now on."""
        self._recovery.changed.connect(self.refresh)
        self.refresh()

    def unfollow(self) -> None:
        """Follow it no more."""
        self._recovery.changed.disconnect(self.refresh)

    @property
    def chosen(self) -> Shelved | None:
        """The document that the buttons are about: the newest, or the one chosen in the menu."""
        found = self._recovery.found
        named = (one for one in found if one.folder == self._folder)
        return next(named, found[0] if found else None)

    def refresh(self) -> None:
        """Show what is so now."""
        one, found = self.chosen, self._recovery.found
        self.setVisible(one is not None)
        if one is None:
            return
        self.text.setText(f"Unfinished work on {described(one)}")
        self.text.setToolTip(str(one.folder))
        self.hint.setText(self._recovery.hint)
        self.hint.setVisible(bool(self._recovery.hint))
        others = [other for other in found if other is not one]
        self.more.setText(f"and {len(others):,} more ▾")
        self.more.setVisible(bool(others))
        self._menu.clear()
        for other in others[:50]:
            action = self._menu.addAction(described(other))
            if action is not None:
                action.triggered.connect(partial(self._choose, other.folder))
        reason = "it is being opened." if self._recovery.busy else ""
        self.recover.set_reason(reason)
        self.delete.set_reason(reason)

    def _choose(self, folder: Path, *_: object) -> None:
        self._folder = folder
        self._recovery.hint = ""
        self.refresh()

    def _on_recover(self) -> None:
        one = self.chosen
        if one is not None:
            self._recovery.recover(one)

    def _on_delete(self) -> None:
        one = self.chosen
        if one is not None and agrees_to_delete(self, one):
            self._recovery.delete(one)
