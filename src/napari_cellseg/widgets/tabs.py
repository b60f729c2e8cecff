"""Our docks share one place, as tabs: stacked above each other neither would have room."""

from __future__ import annotations

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

#: Marks a widget as one of our docks.
OURS = "cellseg_dock"


def share_place(dock: QWidget) -> None:
    """Put a dock that was just opened into a tab with those of ours that are open already.

    Parameters
    ----------
    dock : QWidget
        What lies in one of the window's dock widgets; nothing happens where it does not, floats, or
        is alone.
    """
    dock.setProperty(OURS, True)
    holder = _holder(dock)
    window = None if holder is None else holder.parent()
    if holder is None or holder.isFloating() or not isinstance(window, QMainWindow):
        return
    area = window.dockWidgetArea(holder)
    for other in window.findChildren(QDockWidget):
        if other is holder or other.isFloating() or window.dockWidgetArea(other) != area:
            continue
        if other.isVisible() and any(one.property(OURS) for one in other.findChildren(QWidget)):
            window.tabifyDockWidget(other, holder)
            QTimer.singleShot(0, holder.raise_)  # Qt raises the other one once it is laid out
            return


def _holder(dock: QWidget) -> QDockWidget | None:
    parent = dock.parent()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parent()
    return parent
