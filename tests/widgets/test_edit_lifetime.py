"""What becomes of editing when a layer, the image, the dock or the window goes away."""

import gc
import weakref

import numpy as np
import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

from napari_cellseg.session import Session
from napari_cellseg.widgets import EditDock
from napari_cellseg.widgets.canvas_modes import modes_for
from napari_cellseg.widgets.edit_run import edit_for
from widgets.edit_steps import (
    click_voxel,
    drag_voxels,
    edit_window,
    ids_of,
    some_cells,
)
from widgets.steps import add_image

PLUGIN = "napari-cellseg"


def listeners(session):
    """Signals of a session that more is listening to than its own parts."""
    alone = Session()
    names = ("document_changed", "labels_changed", "selection_changed", "stepped", "failed")
    more = {name: len(getattr(session, name)) - len(getattr(alone, name)) for name in names}
    alone.close()
    return {name: number for name, number in more.items() if number}


def split_shown(qtbot, viewer, dock):
    """Have a split shown, but not applied."""
    dock.run.start("split")
    click_voxel(qtbot, viewer, dock, 2, 45, 53)
    click_voxel(qtbot, viewer, dock, 2, 45, 66)
    assert dock.run.verbs.pending is not None


@pytest.mark.parametrize("which", ["cells", "preview of the edit"])
def test_a_layer_is_deleted_in_the_middle_of_a_preview(make_napari_viewer, qtbot, which):
    viewer, dock = edit_window(make_napari_viewer)
    split_shown(qtbot, viewer, dock)
    viewer.layers.remove(f"embryo {which}")
    qtbot.wait(60)
    if which == "cells":
        assert dock.run.tool == ""
        assert dock.run.verbs.pending is None
        dock.session.adopt(some_cells())
    qtbot.wait(60)
    dock.run.press("drop")
    split_shown(qtbot, viewer, dock)
    dock.run.press("apply")
    assert len(ids_of(dock)) == 4
    qtbot.wait(60)


def test_turning_to_another_image_and_back(make_napari_viewer, qtbot):
    viewer, dock = edit_window(make_napari_viewer)
    first = viewer.layers["embryo"]
    split_shown(qtbot, viewer, dock)
    other = add_image(viewer, np.zeros((64, 80), np.float32), name="flat")
    dock.image.choose(other)
    qtbot.wait(60)
    assert dock.run.tool == ""
    assert dock.run.verbs.pending is None
    dock.files.start_empty()
    dock.run.start("new")
    drag_voxels(qtbot, viewer, dock, [(5, 5), (5, 30), (30, 30), (30, 5)])
    assert ids_of(dock) == [1]
    dock.image.choose(first)
    qtbot.wait(60)
    dock.files.adopt_layer(viewer.layers["embryo cells"])
    split_shown(qtbot, viewer, dock)
    qtbot.wait(60)


@pytest.mark.parametrize("by", ["cross", "viewer", "window"])
def test_closing_in_the_middle_of_a_preview(make_napari_viewer, qtbot, by):
    viewer, dock = edit_window(make_napari_viewer)
    holder = (
        viewer.window.dock_widgets and viewer.window._wrapped_dock_widgets["Edit (napari-cellseg)"]
    )
    session, run = dock.session, dock.run
    split_shown(qtbot, viewer, dock)
    if by == "cross":
        holder.destroyOnClose()
        assert [layer.name for layer in viewer.layers] == ["embryo", "embryo cells"]
    elif by == "window":
        viewer.window._qt_window.hide()
    else:
        viewer.close()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert not listeners(session)
    assert run.tool == ""
    assert session.last_error is None


def test_a_closed_viewer_and_its_dock_are_freed(make_napari_viewer, qtbot):
    viewer, dock = edit_window(make_napari_viewer)
    split_shown(qtbot, viewer, dock)
    gone = [weakref.ref(thing) for thing in (dock, dock.session, dock.layers, dock.run)]
    viewer.close()
    del viewer, dock
    QApplication.processEvents()
    qtbot.waitUntil(lambda: gc.collect() >= 0 and not any(ref() for ref in gone))


def test_a_dock_that_was_closed_is_opened_again(make_napari_viewer, qtbot):
    viewer, dock = edit_window(make_napari_viewer)
    split_shown(qtbot, viewer, dock)
    viewer.window._wrapped_dock_widgets["Edit (napari-cellseg)"].destroyOnClose()
    QApplication.processEvents()
    _, again = viewer.window.add_plugin_dock_widget(PLUGIN, "Edit")
    assert isinstance(again, EditDock)
    qtbot.wait(60)  # the window is laid out anew
    split_shown(qtbot, viewer, again)
    again.run.press("apply")
    assert len(ids_of(again)) == 4


class Reviewing:
    """A mode that lends the canvas for one change."""

    def __init__(self, viewer, dock):
        self.run = edit_for(viewer, dock.session, dock.layers)
        self.modes = modes_for(viewer)
        self.back, self.left = 0, 0
        self.modes.take(self, self.leave)

    def leave(self):
        self.left += 1

    def again(self):
        self.back += 1


def test_a_tool_is_lent_the_canvas_for_one_change(make_napari_viewer, qtbot):
    viewer, dock = edit_window(make_napari_viewer)
    review = Reviewing(viewer, dock)
    assert review.run is dock.run
    assert review.run.start("split", (0, 9), review.again)
    assert dock.session.selected == ((0, 9),)
    click_voxel(qtbot, viewer, dock, 2, 45, 53)
    click_voxel(qtbot, viewer, dock, 2, 45, 66)
    dock.run.press("apply")
    assert len(ids_of(dock)) == 4
    assert (dock.run.tool, review.back, review.left) == ("", 1, 0)
    assert review.modes.owner is review
    assert review.run.start("split", (0, 9), review.again)
    dock.run.press("drop")
    assert (dock.run.tool, review.back, review.left) == ("", 2, 0)
    dock.run.start("merge")
    assert review.left == 1


def test_cells_of_a_time_point_in_a_turned_view(make_napari_viewer, qtbot):
    labels = np.stack([some_cells((6, 64, 80)), some_cells((6, 64, 80))])
    labels[1][labels[1] == 7] = 3
    viewer, dock = edit_window(make_napari_viewer, labels)
    viewer.dims.set_current_step(0, 1)
    viewer.dims.set_current_step(1, 2)
    viewer.dims.order = (0, 1, 3, 2)
    viewer.fit_to_view()
    qtbot.wait(60)
    click_voxel(qtbot, viewer, dock, 1, 2, 15, 30)
    assert dock.session.selected == ((1, 3),)
    dock.run.start("split")
    click_voxel(qtbot, viewer, dock, 1, 2, 18, 14)
    click_voxel(qtbot, viewer, dock, 1, 2, 18, 35)
    dock.run.press("apply")
    assert labels.shape == dock.session.labels.shape
    assert (dock.session.labels[0] == labels[0]).all()
    assert len(np.unique(dock.session.labels[1])) == 4
    dock.run.start("merge")
    dock.session.select([])
    click_voxel(qtbot, viewer, dock, 1, 2, 18, 14)
    click_voxel(qtbot, viewer, dock, 1, 2, 18, 35)
    assert len(np.unique(dock.session.labels[1])) == 3
    drag_lasso = [(1, 2, 35, 45), (1, 2, 35, 75), (1, 2, 60, 75), (1, 2, 60, 45)]
    dock.run.start("lasso")
    drag_voxels(qtbot, viewer, dock, drag_lasso)
    dock.run.start("delete")
    assert 9 in dock.session.labels[0]
    assert 9 not in dock.session.labels[1]
