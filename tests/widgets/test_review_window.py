"""Reviewing in the real window, with real keys and clicks."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from widgets.edit_steps import SHIFT, click_voxel, press
from widgets.review_steps import MERGED, OTHER, SPLIT, ids, review_window, shown
from widgets.steps import click

CONTROL = Qt.KeyboardModifier.ControlModifier
KEY = Qt.Key


@pytest.fixture
def window(make_napari_viewer, qtbot):
    viewer, dock = review_window(make_napari_viewer)
    shown(qtbot, dock)
    click(qtbot, dock.head.on)
    qtbot.waitUntil(lambda: dock.review.queue is not None)
    shown(qtbot, dock)
    return viewer, dock


def go(qtbot, dock, id):
    dock.run.go(next(item for item in dock.review.items if item.id == id))
    shown(qtbot, dock)


def test_what_is_wrong_is_in_hand_and_in_view(window, qtbot):
    viewer, dock = window
    assert {MERGED, SPLIT, OTHER} == set(ids(dock)[:3])
    item = dock.review.item
    assert item is dock.review.items[0]
    assert dock.session.selected == ((0, item.id),)
    assert dock.list.items.rowCount() == len(dock.review.items)
    assert dock.list.selectionModel().selectedRows()[0].row() == 0
    assert dock.head.counts.text() == f"accepted 0 / {len(dock.review.items)}"
    middle = [(part.start + part.stop - 1) / 2 for part in item.box]
    assert viewer.dims.current_step[0] in range(item.box[0].start, item.box[0].stop)
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], np.multiply(middle[1:], 0.5))
    canvas = viewer.window._qt_viewer.canvas.native
    widest = max(part.stop - part.start for part in item.box[1:]) * 0.5
    share = widest * viewer.scene.camera.zoom / min(canvas.width(), canvas.height())
    assert share == pytest.approx(1 / 3)
    assert len(dock.run.edit.trace.drawn["selected"])


def test_a_third_of_the_canvas_in_3d_too(window, qtbot):
    viewer, dock = window
    viewer.dims.ndisplay = 3
    press(qtbot, viewer, KEY.Key_N)
    shown(qtbot, dock)
    item = dock.review.item
    middle = [(part.start + part.stop - 1) / 2 for part in item.box]
    np.testing.assert_allclose(viewer.scene.camera.center, np.multiply(middle, (1, 0.5, 0.5)))


def test_next_and_previous_are_keys(window, qtbot):
    viewer, dock = window
    first, second = dock.review.items[:2]
    press(qtbot, viewer, KEY.Key_N)
    assert dock.review.item is second
    press(qtbot, viewer, KEY.Key_N, SHIFT)
    assert dock.review.item is first


def test_accepting_locks_goes_on_and_is_undone(window, qtbot):
    viewer, dock = window
    go(qtbot, dock, 7)
    press(qtbot, viewer, KEY.Key_A)
    shown(qtbot, dock)
    document = dock.session.document
    assert document.is_locked(7)
    assert 7 not in ids(dock)
    assert dock.review.item.id != 7
    assert dock.head.counts.text().startswith("accepted 1 /")
    press(qtbot, viewer, KEY.Key_Z, CONTROL)
    shown(qtbot, dock)
    assert not document.is_locked(7)
    assert dock.review.item.id == 7
    assert dock.head.counts.text().startswith("accepted 0 /")
    rows = [dock.list.items.item(row).id for row in range(dock.list.items.rowCount())]
    assert 7 in rows


def test_deleting_goes_on_and_is_undone(window, qtbot):
    viewer, dock = window
    go(qtbot, dock, 9)
    press(qtbot, viewer, KEY.Key_D)
    shown(qtbot, dock)
    assert not (dock.session.labels == 9).any()
    assert dock.review.item.id != 9
    press(qtbot, viewer, KEY.Key_Z, CONTROL)
    shown(qtbot, dock)
    assert (dock.session.labels == 9).any()
    assert dock.review.item.id == 9


def test_a_split_cell_is_one_again_with_one_key(window, qtbot):
    viewer, dock = window
    go(qtbot, dock, OTHER)
    assert f"+{SPLIT}" in dock.buttons.buttons["merge"].text()
    qtbot.waitUntil(lambda: len(dock.run.near.drawn["selected"]) > 10)
    press(qtbot, viewer, KEY.Key_J)
    shown(qtbot, dock)
    labels = dock.session.labels
    assert len(np.unique(labels[:, 48, 42:54])) == 2
    assert not {SPLIT, OTHER} & set(ids(dock))
    go(qtbot, dock, 7)
    qtbot.waitUntil(lambda: not len(dock.run.near.drawn["selected"]))
    assert dock.buttons.buttons["merge"].reason == "It touches no other cell."
    press(qtbot, viewer, KEY.Key_J)
    assert "touches no other" in dock.strip.text


def test_a_merged_cell_is_split_by_two_clicks_and_the_list_goes_on(window, qtbot):
    viewer, dock = window
    go(qtbot, dock, MERGED)
    press(qtbot, viewer, KEY.Key_S)
    assert dock.run.lent == "edit"
    assert dock.run.edit.tool == "split"
    z = viewer.dims.current_step[0]
    for col in (48, 76):
        click_voxel(qtbot, viewer, Docked(dock), z, 20, col)
    press(qtbot, viewer, KEY.Key_Return)
    shown(qtbot, dock)
    labels = dock.session.labels
    assert labels[z, 20, 48] != labels[z, 20, 76]
    assert dock.run.lent == ""
    assert dock.run.edit.tool == ""
    assert MERGED not in ids(dock)
    assert dock.session.selected == ((0, dock.review.item.id),)
    former = dock.review.item
    press(qtbot, viewer, KEY.Key_N)
    assert dock.review.item is not former, "the keys are those of reviewing again"


class Docked:
    """What the steps of editing need of a dock."""

    def __init__(self, dock):
        self.run = dock.run.edit
        self.session = dock.session


def test_escape_gives_up_splitting(window, qtbot):
    viewer, dock = window
    go(qtbot, dock, MERGED)
    press(qtbot, viewer, KEY.Key_S)
    press(qtbot, viewer, KEY.Key_Escape)
    shown(qtbot, dock)
    assert dock.run.edit.tool == ""
    assert dock.run.on
    assert dock.review.item.id == MERGED
    press(qtbot, viewer, KEY.Key_A)
    assert dock.session.document.is_locked(MERGED)


def test_another_tool_ends_it(window, qtbot):
    viewer, dock = window
    dock.run.edit.start("merge")
    shown(qtbot, dock)
    assert not dock.run.on
    assert not dock.review.active
    assert not dock.head.on.isChecked()
    assert dock.buttons.buttons["next"].reason
    item = dock.review.item
    press(qtbot, viewer, KEY.Key_N)
    assert dock.review.item is item
    dock.run.start()
    shown(qtbot, dock)
    assert dock.run.edit.tool == ""
    press(qtbot, viewer, KEY.Key_N)
    assert dock.review.item is not item


def test_another_tool_ends_it_while_it_splits(window, qtbot):
    viewer, dock = window
    go(qtbot, dock, MERGED)
    press(qtbot, viewer, KEY.Key_S)
    dock.run.edit.start("lasso")
    shown(qtbot, dock)
    dock.run.edit.stop()
    shown(qtbot, dock)
    assert not dock.run.lent


def test_turned_off_the_keys_are_naparis(window, qtbot):
    viewer, dock = window
    click(qtbot, dock.head.on)
    shown(qtbot, dock)
    steps = len(dock.session.document.history)
    for key in (KEY.Key_A, KEY.Key_D, KEY.Key_J):
        press(qtbot, viewer, key)
    assert len(dock.session.document.history) == steps
    assert dock.check.check.reason == "Turn reviewing on first."


def test_the_list_is_clicked_and_filtered(window, qtbot):
    _, dock = window
    row = 3
    item = dock.list.items.item(row)
    place = dock.list.visualRect(dock.list.items.index(row, 1)).center()
    qtbot.mouseClick(dock.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    shown(qtbot, dock)
    assert dock.review.item is item
    total = dock.list.items.rowCount()
    dock.filters.least.setValue(dock.review.items[2].score - 0.005)
    shown(qtbot, dock)
    assert 0 < dock.list.items.rowCount() < total
    assert dock.review.filters.least > 0


def test_the_audit_by_keys(window, qtbot):
    viewer, dock = window
    click(qtbot, dock.check.check)
    shown(qtbot, dock)
    drawn = dock.review.item
    assert dock.check.verdict.text().startswith("Check ")
    press(qtbot, viewer, KEY.Key_N)
    assert dock.review.item is drawn
    assert "right or wrong" in dock.strip.text
    press(qtbot, viewer, KEY.Key_Y)
    press(qtbot, viewer, KEY.Key_W)
    shown(qtbot, dock)
    assert "2 checked" in dock.check.verdict.text()
    assert dock.check.right.isVisible()
    click(qtbot, dock.check.check)
    shown(qtbot, dock)
    assert not dock.review.auditing
    assert dock.review.item in dock.review.items
    click(qtbot, dock.check.anew)
    shown(qtbot, dock)
    assert not dock.check.verdict.isVisible()


def test_labels_that_go_end_it(window, qtbot):
    _, dock = window
    dock.session.remove_labels()
    shown(qtbot, dock)
    assert not dock.run.on
    assert not dock.list.isVisible()
    assert "no cells" in dock.head.on.reason
