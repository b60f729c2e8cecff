"""Commands of editing for napari's menus and its command palette."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import show_warning

if TYPE_CHECKING:
    from napari.viewer import Viewer

PLUGIN, EDIT = "napari-cellseg", "Edit"


def start_editing(viewer: Viewer) -> None:
    """Open the Edit dock and turn editing on, with the tool that selects cells."""
    window = getattr(viewer, "__wrapped__", viewer).window
    holder, dock = window.add_plugin_dock_widget(PLUGIN, EDIT)
    holder.show()
    holder.raise_()
    reason = dock.run.reason("select")
    if reason:
        show_warning(reason)
    else:
        dock.run.start("select")
