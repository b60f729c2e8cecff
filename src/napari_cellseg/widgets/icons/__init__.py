"""Our icons: lines on 24 × 24, drawn in the colour of the theme."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from napari.utils.theme import get_theme
from qtpy.QtCore import QByteArray, QRectF, Qt
from qtpy.QtGui import QIcon, QPainter, QPixmap
from qtpy.QtSvg import QSvgRenderer

_FOLDER = Path(__file__).parent
_PIXELS = 48
"""Twice the size of the largest icon, for screens of two pixels per point."""


def icon(name: str, theme_id: str) -> QIcon:
    """Return an icon under a napari theme, dimmed where what it stands on is disabled.

    Parameters
    ----------
    name : str
        Of its file, without ``.svg``.
    theme_id : str
        "dark", "light", ...
    """
    theme = get_theme(theme_id)
    drawn = QIcon()
    drawn.addPixmap(_drawn(name, theme.text.as_hex()), QIcon.Mode.Normal)
    drawn.addPixmap(_drawn(name, theme.highlight.as_hex()), QIcon.Mode.Disabled)
    return drawn


@cache
def _source(name: str) -> str:
    return (_FOLDER / f"{name}.svg").read_text("utf-8")


def _drawn(name: str, colour: str) -> QPixmap:
    renderer = QSvgRenderer(QByteArray(_source(name).replace("currentColor", colour).encode()))
    picture = QPixmap(_PIXELS, _PIXELS)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    renderer.render(painter, QRectF(0, 0, _PIXELS, _PIXELS))
    painter.end()
    return picture
