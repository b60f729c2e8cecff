"""Editing in the real window, with real clicks, drags and keys."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_cellseg.widgets.edit_preview import ADDED, REMOVED
from widgets.edit_steps import (
    SHIFT,
    click_voxel,
    drag_voxels,
    edit_window,
    ids_of,
    press,
)
from widgets.steps import click

CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def window(make_napari_viewer):
    return edit_window(make_napari_viewer)


def shown(qtbot, dock):
    """Let the dock show what is so."""
    qtbot.waitUntil(lambda: not dock._soon.isActive())


def test_click_selects_and_merge_takes_two_clicks(window, qtbot):
    viewer, dock = window
    click_voxel(qtbot, viewer, dock, 2, 15, 15)
    assert dock.session.selected == ((0, 3),)
    shown(qtbot, dock)
    assert "cell 3" in dock.card.name.text()
    click_voxel(qtbot, viewer, dock, 2, 15, 30, modifier=SHIFT)
    shown(qtbot, dock)
    assert "2 cells" in dock.card.name.text()
    click_voxel(qtbot, viewer, dock, 2, 5, 60)
    assert dock.session.selected == ()
    click(qtbot, dock.panel.tools["merge"])
    click_voxel(qtbot, viewer, dock, 2, 15, 30)
    click_voxel(qtbot, viewer, dock, 2, 15, 15)
    assert ids_of(dock) == [7, 9]
    press(qtbot, viewer, Qt.Key.Key_Z, CONTROL)
    assert ids_of(dock) == [3, 7, 9]
    press(qtbot, viewer, Qt.Key.Key_Z, CONTROL | SHIFT)
    assert ids_of(dock) == [7, 9]


def test_split_is_shown_before_enter_makes_it(window, qtbot):
    viewer, dock = window
    dock.run.start("select")
    press(qtbot, viewer, Qt.Key.Key_S)
    assert dock.run.tool == "split"
    click_voxel(qtbot, viewer, dock, 2, 45, 53)
    assert dock.run.verbs.pending is None
    click_voxel(qtbot, viewer, dock, 2, 45, 66)
    assert ids_of(dock) == [3, 7, 9]
    assert dock.run.preview.shown
    colours = dock.run.preview.layer.colormap.map(np.array([0, 1, 2, ADDED, REMOVED]))
    assert colours[0, 3] == 0
    assert np.allclose(colours[1, :3], (0.337, 0.706, 0.914), atol=0.01), "sky blue"
    assert np.allclose(colours[3, :3], (0.941, 0.894, 0.259), atol=0.01), "yellow"
    assert np.allclose(colours[4, :3], (0.835, 0.369, 0.0), atol=0.01), "red"
    assert viewer.layers.selection.active is dock.layers.cells
    shown(qtbot, dock)
    assert "2 parts" in dock.panel.state.text()
    press(qtbot, viewer, Qt.Key.Key_Return)
    assert len(ids_of(dock)) == 4
    assert not dock.run.preview.shown
    labels = dock.session.labels
    assert labels[2, 45, 53] != labels[2, 45, 66]
    click_voxel(qtbot, viewer, dock, 2, 15, 12)
    click_voxel(qtbot, viewer, dock, 2, 15, 22)
    assert dock.run.verbs.pending is not None
    press(qtbot, viewer, Qt.Key.Key_Escape)
    assert dock.run.verbs.pending is None
    assert not dock.run.clicks.seeds
    assert len(ids_of(dock)) == 4


def test_cut_along_a_drawn_line(window, qtbot):
    viewer, dock = window
    click(qtbot, dock.panel.tools["cut"])
    center = tuple(viewer.scene.camera.center)
    drag_voxels(qtbot, viewer, dock, [(2, 36, 60), (2, 60, 60)])
    assert tuple(viewer.scene.camera.center) == center
    assert dock.run.verbs.pending is not None
    shown(qtbot, dock)
    click(qtbot, dock.panel.apply)
    labels = dock.session.labels
    assert labels[2, 45, 53] != labels[2, 45, 66]
    assert labels[4, 45, 53] == labels[2, 45, 53]
    assert labels[2, 45, 66] == labels[4, 45, 66] != 0


def test_delete_by_lasso(window, qtbot):
    viewer, dock = window
    dock.run.start("lasso")
    outline = [(2, 5, 5), (2, 5, 45), (2, 30, 45), (2, 30, 5)]
    drag_voxels(qtbot, viewer, dock, outline)
    assert set(dock.session.selected) == {(0, 3), (0, 7)}
    press(qtbot, viewer, Qt.Key.Key_D)
    assert ids_of(dock) == [9]
    assert len(dock.session.document.history) == 1
    press(qtbot, viewer, Qt.Key.Key_Z, CONTROL)
    assert ids_of(dock) == [3, 7, 9]


def test_a_locked_cell_is_not_changed_and_that_is_said(window, qtbot):
    viewer, dock = window
    click_voxel(qtbot, viewer, dock, 2, 15, 15)
    shown(qtbot, dock)
    click(qtbot, dock.card.lock)
    assert dock.session.document.is_locked(3)
    dock.run.start("select")
    press(qtbot, viewer, Qt.Key.Key_D)
    assert ids_of(dock) == [3, 7, 9]
    assert "locked" in dock.strip.text
    press(qtbot, viewer, Qt.Key.Key_H)
    assert not dock.session.document.is_locked(3)
    press(qtbot, viewer, Qt.Key.Key_D)
    assert ids_of(dock) == [7, 9]


def test_history_goes_back_and_forth_by_a_click(window, qtbot):
    _, dock = window
    for id in (3, 7, 9):
        dock.session.change("delete", id)
    shown(qtbot, dock)
    model = dock.history.model
    assert model.rowCount() == 4
    row = dock.history.view.visualRect(model.index(3)).center()
    qtbot.mouseClick(dock.history.view.viewport(), Qt.MouseButton.LeftButton, NONE, row)
    qtbot.waitUntil(lambda: ids_of(dock) == [3, 7, 9])
    shown(qtbot, dock)
    dock.history.walk(1)
    qtbot.waitUntil(lambda: ids_of(dock) == [9])


NONE = Qt.KeyboardModifier.NoModifier


def test_a_tool_ends_when_another_layer_or_naparis_brush_is_taken(window, qtbot):
    viewer, dock = window
    dock.run.start("split")
    viewer.layers.selection.active = viewer.layers["embryo"]
    assert dock.run.tool == ""
    dock.run.start("split")
    dock.layers.cells.mode = "paint"
    assert dock.run.tool == ""
    assert not dock.layers.cells.keymap


def test_prompting_and_editing_end_each_other(make_napari_viewer, tiny, qtbot):
    viewer, dock = edit_window(make_napari_viewer)
    _, prompt = viewer.window.add_plugin_dock_widget("napari-cellseg", "Prompt")
    dock.run.start("split")
    prompt.run.start()
    assert prompt.session.prompts.active
    assert dock.run.tool == ""
    dock.run.start("merge")
    assert dock.run.tool == "merge"
    assert not prompt.session.prompts.active


def test_the_command_opens_the_dock_and_turns_editing_on(make_napari_viewer, monkeypatch):
    from napari_cellseg.widgets import edit_commands

    said = []
    monkeypatch.setattr(edit_commands, "show_warning", said.append)
    viewer = make_napari_viewer(show=True)
    edit_commands.start_editing(viewer)
    assert len(said) == 1
    viewer, dock = edit_window(make_napari_viewer)
    edit_commands.start_editing(viewer)
    assert dock.run.tool == "select"
    assert len(said) == 1


def test_enter_and_escape_are_naparis_while_its_polygon_is_drawn(window, qtbot):
    viewer, dock = window
    dock.run.start("select")
    press(qtbot, viewer, Qt.Key.Key_3)
    cells = dock.layers.cells
    assert cells.mode != "pan_zoom"
    assert dock.run.tool == ""
    cells.mode = "polygon"
    for corner in ((60, 2), (60, 12), (62, 12)):
        click_voxel(qtbot, viewer, dock, 2, *corner)
        qtbot.wait(60)
    press(qtbot, viewer, Qt.Key.Key_Escape)
    assert ids_of(dock) == [3, 7, 9]
    assert cells.mode == "polygon"


def test_the_lines_drawn_on_the_canvas_follow_the_view(window, qtbot):
    viewer, dock = window
    click_voxel(qtbot, viewer, dock, 2, 15, 15)
    assert len(dock.run.trace.drawn["selected"]) == 2 * 4 * 16
    viewer.dims.set_current_step(0, 5)
    assert len(dock.run.trace.drawn["selected"]) == 0
    viewer.dims.ndisplay = 3
    assert dock.run.trace.drawn["selected"].shape == (24, 3)
    qtbot.wait(60)
    viewer.dims.ndisplay = 2
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_current_step(1, 15)
    qtbot.wait(60)
    assert len(dock.run.trace.drawn["selected"]) == 2 * (2 * 4 + 2 * 16)
