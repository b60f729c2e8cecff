"""The docks' look: napari's own theme with a few roles of ours."""

from __future__ import annotations

from napari.utils.theme import get_theme
from qtpy.QtWidgets import QWidget

WIDTH = (320, 380)


def set_role(widget: QWidget, role: str, on: bool) -> None:
    """Set one of the stylesheet's roles ("asked", "wrong", "error") and repaint with it."""
    if bool(widget.property(role)) == on:
        return
    widget.setProperty(role, on)
    style = widget.style()
    if style is not None:  # Qt looks a property up only when a widget is polished anew
        style.unpolish(widget)
        style.polish(widget)


def stylesheet(theme_id: str) -> str:
    """Return the Qt stylesheet of a dock under a napari theme."""
    theme = get_theme(theme_id)
    text, dim = theme.text.as_hex(), theme.icon.as_hex()
    current, warning, error = theme.current.as_hex(), theme.warning.as_hex(), theme.error.as_hex()
    foreground, quiet = theme.foreground.as_hex(), theme.highlight.as_hex()
    background = theme.background.as_hex()
    return f"""
    QLabel#cellseg_name {{ color: {dim}; }}
    QLabel#cellseg_notice {{
        color: {text}; background: {foreground};
        border-left: 3px solid {warning}; padding: 5px 6px; border-radius: 2px;
    }}
    QFrame#cellseg_status {{ background: {foreground}; border-radius: 3px; }}
    QFrame#cellseg_status[error="true"] {{ border-left: 3px solid {error}; }}
    QFrame#cellseg_status QProgressBar {{
        background: {background}; border: none; border-radius: 2px;
        min-height: 5px; max-height: 5px;
    }}
    QFrame#cellseg_status QProgressBar::chunk {{ background: {current}; border-radius: 2px; }}
    QFrame#cellseg_bar {{ background: {foreground}; border: none; border-radius: 2px; }}
    QFrame#cellseg_bar_filled {{ background: {current}; border: none; border-radius: 2px; }}
    QFrame#cellseg_line {{ background: {foreground}; max-height: 1px; min-height: 1px; }}
    QLineEdit, QComboBox {{ min-height: 18px; }}
    QLineEdit[asked="true"] {{ border: 1px solid {warning}; }}
    QComboBox[asked="true"] {{ border: 1px solid {warning}; }}
    QLineEdit[wrong="true"] {{ border: 1px solid {error}; }}
    QPushButton {{ padding: 5px 8px; border-radius: 3px; }}
    QPushButton[primary="true"] {{ background: {current}; color: white; }}
    QPushButton[primary="true"]:disabled {{ background: {foreground}; color: {quiet}; }}
    QPushButton:disabled {{ color: {quiet}; }}
    QScrollArea {{ background: transparent; border: none; }}
    """
