"""What the Edit dock shows and does, pressed in the real window."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt

from napari_cellseg.labels.formats import read_label_file, write_label_file
from widgets.edit_steps import (
    SHIFT,
    click_voxel,
    drag_voxels,
    edit_window,
    ids_of,
    press,
    some_cells,
)
from widgets.prompt_steps import canvas_of, drag_over
from widgets.steps import add_image, click, type_into


@pytest.fixture
def window(make_napari_viewer):
    return edit_window(make_napari_viewer)


def shown(qtbot, dock):
    """Let the dock show what is so."""
    qtbot.waitUntil(lambda: not dock._soon.isActive())


def test_without_cells_everything_says_why_and_empty_cells_begin(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-cellseg", "Edit")
    shown(qtbot, dock)
    assert "image" in dock.files.empty.toolTip()
    add_image(viewer, np.zeros((4, 32, 40), np.float32))
    shown(qtbot, dock)
    assert "There are no cells yet" in dock.panel.tools["merge"].toolTip()
    click(qtbot, dock.files.empty)
    shown(qtbot, dock)
    assert dock.layers.cells in viewer.layers
    viewer.dims.set_current_step(0, 1)
    qtbot.wait(60)
    click(qtbot, dock.panel.tools["new"])
    dock._settings.planes = 1
    drag_voxels(qtbot, viewer, dock, [(1, 5, 5), (1, 5, 20), (1, 20, 20), (1, 20, 5)])
    assert ids_of(dock) == [1]
    assert dock.session.labels[0, 10, 10] == dock.session.labels[2, 10, 10] == 1
    assert dock.session.labels[3].sum() == 0


def test_the_card_shows_a_cell_and_classifies_it(window, qtbot):
    viewer, dock = window
    click_voxel(qtbot, viewer, dock, 2, 15, 15)
    shown(qtbot, dock)
    assert "1,024 voxels" in dock.card.size.text()
    assert "8 × 8 × 8 µm" in dock.card.size.text()
    assert "there from the start" in dock.card.origin.text()
    type_into(qtbot, dock.card.kind.lineEdit(), "mitotic")
    assert dock.session.document.objects.mark(3, "class") == "mitotic"
    shown(qtbot, dock)
    assert len(dock.session.document.history) == 1
    click_voxel(qtbot, viewer, dock, 2, 15, 30)
    shown(qtbot, dock)
    assert dock.card.kind.currentText() == ""
    assert dock.card.kind.findText("mitotic") > 0
    press(qtbot, viewer, Qt.Key.Key_D)  # no tool is on, so the keys are napari's
    assert ids_of(dock) == [3, 7, 9]


def test_cells_are_chosen_by_size_and_deleted_as_one_step(window, qtbot):
    _, dock = window
    type_into(qtbot, dock.filter.value, "1025")
    click(qtbot, dock.filter.button)
    assert dock.session.selected == ((0, 3), (0, 7)), "3 has 1,024 voxels and 7 has 896"
    shown(qtbot, dock)
    click(qtbot, dock.panel.tools["delete"])
    assert ids_of(dock) == [9]
    assert len(dock.session.document.history) == 1
    type_into(qtbot, dock.filter.value, "many")
    click(qtbot, dock.filter.button)
    assert "is no number" in dock.strip.text


def test_grow_is_shown_first_and_can_be_limited_to_the_plane(window, qtbot):
    viewer, dock = window
    click_voxel(qtbot, viewer, dock, 2, 45, 60)
    shown(qtbot, dock)
    before = dock.session.labels.copy()
    type_into(qtbot, dock.panel.amount, "0.5")
    click(qtbot, dock.panel.only)
    click(qtbot, dock.panel.tools["grow"])
    assert (dock.session.labels == before).all()
    shown(qtbot, dock)
    assert "more (yellow)" in dock.panel.state.text()
    press(qtbot, viewer, Qt.Key.Key_Escape)
    assert dock.run.verbs.pending is None
    assert dock.run.tool == "select", "so that the keys act"
    shown(qtbot, dock)
    click(qtbot, dock.panel.at_once)
    click(qtbot, dock.panel.tools["grow"])
    changed = dock.session.labels != before
    assert changed[2].any()
    assert not changed[[0, 1, 3, 4, 5]].any()


def test_a_slice_is_drawn_anew_erased_and_filled_between(window, qtbot):
    viewer, dock = window
    click_voxel(qtbot, viewer, dock, 2, 45, 60)
    for plane, wide in ((1, 8), (4, 4)):
        viewer.dims.set_current_step(0, plane)
        dock.run.start("replace")
        low, high = 48 - wide, 48 + wide
        corners = [(low, 52), (low, 68), (high, 68), (high, 52)]
        drag_voxels(qtbot, viewer, dock, [(plane, *corner) for corner in corners])
    labels = dock.session.labels
    rows = [int((labels[plane] == 9).any(axis=1).sum()) for plane in range(6)]
    assert rows[1] > 13 > rows[4] > 6
    dock._settings.at_once = True
    dock.run.start("interpolate")
    rows = [int((labels[plane] == 9).any(axis=1).sum()) for plane in range(6)]
    assert rows[1] >= rows[2] >= rows[3] >= rows[4]
    assert rows[2] < 16
    count = int((labels == 9).sum())
    viewer.dims.set_current_step(0, 4)
    dock.run.start("erase")
    drag_voxels(qtbot, viewer, dock, [(4, 40, 50), (4, 40, 72), (4, 60, 72), (4, 60, 50)])
    assert not (labels[4] == 9).any()
    assert 0 < (labels == 9).sum() < count


def test_a_walk_through_history_can_be_stopped(window, qtbot):
    _, dock = window
    for _ in range(40):
        dock.session.change("lock", 3)
        dock.session.change("unlock", 3)
    shown(qtbot, dock)
    steps = len(dock.session.document.history)
    dock.history.walk(steps)
    qtbot.waitUntil(lambda: len(dock.session.document.history) < steps - 3)
    dock.strip.cancel.click()
    left = len(dock.session.document.history)
    qtbot.wait(50)
    assert 0 < left == len(dock.session.document.history)
    dock.history.walk(0)
    qtbot.waitUntil(lambda: len(dock.session.document.history) == steps)


def test_split_and_cut_in_a_3d_view(window, qtbot):
    viewer, dock = window
    viewer.dims.ndisplay = 3
    dock.run.start("split", (0, 9))
    shown(qtbot, dock)
    assert not dock.panel.tools["new"].isEnabled()
    assert "2D view" in dock.panel.tools["new"].toolTip()
    viewer.scene.camera.angles = (0, 0, 90)
    viewer.scene.camera.center = tuple(dock.run.ground().world([(2.5, 47.5, 59.5)])[0])
    qtbot.wait(60)
    assert dock.run.trace.drawn["selected"].shape == (24, 3)
    canvas, step = canvas_of(viewer), 2.5 * viewer.scene.camera.zoom
    middle = QPointF(canvas.width() / 2, canvas.height() / 2)
    for side in (-step, step):
        at = QPoint(round(middle.x() + side), round(middle.y()))
        qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=at)
        qtbot.wait(30)
    assert len(dock.run.clicks.seeds) == 2
    assert "2 parts" in dock.run.verbs.pending.text
    dock.run.press("drop")
    dock.run.start("cut")
    drag_over(qtbot, viewer, [middle - QPointF(0, 3 * step), middle + QPointF(0, 3 * step)])
    dock.run.press("apply")
    halves = [id for _, id in dock.session.selected]
    counts = [int((dock.session.labels == id).sum()) for id in halves]
    assert len(halves) == 2
    assert sum(counts) == 4 * 16 * 20
    assert min(counts) > 300


def test_a_label_file_is_adopted_and_written(window, qtbot, tmp_path):
    _, dock = window
    other = np.zeros_like(some_cells())
    other[2, 3:9, 3:9] = 4
    path = write_label_file(tmp_path / "other.h5", other)
    dock.files.open(path)
    qtbot.waitUntil(lambda: ids_of(dock) == [4])
    dock.files.write(tmp_path / "out_seg.npy")
    qtbot.waitUntil((tmp_path / "out_seg.npy").exists)
    assert (read_label_file(tmp_path / "out_seg.npy").labels == other).all()
    wrong = write_label_file(tmp_path / "wrong.h5", other[:3])
    dock.files.open(wrong)
    qtbot.waitUntil(lambda: "shape" in dock.strip.text)
    assert ids_of(dock) == [4]


def test_rois_are_opened_and_marks_come_back_from_a_file(window, qtbot, tmp_path):
    _, dock = window
    rois = write_label_file(tmp_path / "cells.zip", some_cells())
    dock.session.change("set_class", [9], "dividing")
    dock.files.write(tmp_path / "cells.ome.tif")
    qtbot.waitUntil(lambda: not dock.session.dirty)
    dock.session.change("delete", [3, 7, 9])
    dock.files.open(rois)
    qtbot.waitUntil(lambda: ids_of(dock) == [3, 7, 9])
    assert (dock.session.labels == some_cells()).all()
    dock.files.open(tmp_path / "cells.ome.tif")
    qtbot.waitUntil(lambda: dock.session.document.objects.mark(9, "class") == "dividing")


def test_undoing_to_other_labels_makes_nothing_again(window, qtbot):
    _, dock = window
    former = dock.session.document
    dock.session.change("delete", [3])
    dock.session.undo()
    dock.files.start_empty()
    click(qtbot, dock.history.undo)
    qtbot.wait(100)
    assert dock.session.document is former
    assert not former.history
    assert len(former.undone) == 1


def test_flat_cells_can_be_edited_and_slices_say_that_there_are_none(make_napari_viewer, qtbot):
    viewer, dock = edit_window(make_napari_viewer, some_cells()[2])
    click_voxel(qtbot, viewer, dock, 15, 15)
    assert dock.session.selected == ((0, 3),)
    shown(qtbot, dock)
    assert "one plane only" in dock.panel.tools["interpolate"].toolTip()
    assert "pixels" in dock.card.size.text()
    dock.run.start("merge")
    click_voxel(qtbot, viewer, dock, 15, 30)
    assert ids_of(dock) == [3, 9]


def test_the_cells_of_another_layer_are_added(window, qtbot):
    viewer, dock = window
    other = np.zeros_like(some_cells())
    other[2, 3:8, 60:70] = 9
    other[2, 45, 60] = 2  # lies in a cell that is there, so it finds no room
    layer = viewer.add_labels(other, name="others", scale=(2.0, 0.5, 0.5))
    dock.files._fill()
    texts = [action.text() for action in dock.files.menu.actions()]
    assert "others" in texts
    dock.files.menu.actions()[texts.index("Add the cells of others")].trigger()
    qtbot.waitUntil(lambda: len(ids_of(dock)) == 4)
    assert dock.session.labels[2, 5, 65] not in (0, 9)
    assert dock.session.labels[2, 45, 60] == 9
    small = viewer.add_labels(other[:3], name="small")
    dock.files.take_over(small)
    assert "same grid" in dock.strip.text
    dock.files.adopt_layer(layer)
    assert ids_of(dock) == [2, 9]


def test_shift_and_drag_merges_all_in_a_lasso(window, qtbot):
    viewer, dock = window
    dock.run.start("merge")
    corners = [(2, 5, 5), (2, 5, 45), (2, 30, 45), (2, 30, 5)]
    drag_voxels(qtbot, viewer, dock, corners, SHIFT)
    assert ids_of(dock) == [3, 9]
    assert dock.session.selected == ((0, 3),)


def test_a_split_can_follow_the_flow_field(window, qtbot, monkeypatch):
    from types import SimpleNamespace

    viewer, dock = window
    assert "segment first" in dock.panel.by_flow.toolTip()
    flow = np.zeros((3, *dock.session.label_shape), np.float32)
    flow[2, ..., :55], flow[2, ..., 55:] = -1, 1  # apart at x = 55, far from the middle
    field = SimpleNamespace(flow=flow, spatial_shape=dock.session.label_shape)
    monkeypatch.setattr(
        type(dock.session), "segmentation", SimpleNamespace(field=field), raising=True
    )
    dock.refresh()
    assert dock.panel.by_flow.isEnabled()
    click(qtbot, dock.panel.by_flow)
    dock.run.start("split")
    click_voxel(qtbot, viewer, dock, 2, 48, 51)
    click_voxel(qtbot, viewer, dock, 2, 48, 67)
    dock.run.press("apply")
    row = dock.session.labels[2, 48, 50:70]
    assert (row[:4] == row[0]).all()
    assert (row[7:] == row[-1]).all()
    assert row[0] != row[-1]
