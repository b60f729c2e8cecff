"""From the list to prompts and back: a cell is reopened, a missing one is added."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from widgets.edit_steps import press
from widgets.review_steps import review_window, shown, wrong_cells
from widgets.steps import click

MISSED = 8


@pytest.fixture
def window(make_napari_viewer, qtbot, tiny):
    truth = wrong_cells()
    labels = truth.copy()
    labels[labels == MISSED] = 0
    viewer, dock = review_window(make_napari_viewer, labels, truth)
    shown(qtbot, dock)
    click(qtbot, dock.head.on)
    qtbot.waitUntil(lambda: dock.review.queue is not None, timeout=20000)
    shown(qtbot, dock)
    return viewer, dock


def answered(qtbot, prompts):
    def quiet():
        return prompts.active and not prompts.waiting and bool(prompts.objects)

    qtbot.waitUntil(quiet, timeout=10000)
    qtbot.wait(80)


def test_a_cell_is_reopened_and_the_list_goes_on(window, qtbot):
    viewer, dock = window
    prompts = dock.session.prompts
    dock.run.go(next(item for item in dock.review.items if item.id == 7))
    shown(qtbot, dock)
    press(qtbot, viewer, Qt.Key.Key_R)
    answered(qtbot, prompts)
    assert prompts.current.label == 7
    assert dock.run.lent == "prompt"
    assert dock.run.on
    steps = len(dock.session.document.history)
    press(qtbot, viewer, Qt.Key.Key_A)
    assert len(dock.session.document.history) == steps, "keys are those of prompting now"
    press(qtbot, viewer, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not prompts.active)
    shown(qtbot, dock)
    assert dock.run.lent == ""
    assert viewer.layers.selection.active is dock.layers.cells
    item = dock.review.item
    press(qtbot, viewer, Qt.Key.Key_N)
    assert dock.review.item is not item


def test_a_missing_cell_is_added_where_it_is(window, qtbot):
    viewer, dock = window
    prompts = dock.session.prompts
    place = next(item for item in dock.review.items if item.kind == "missing")
    z, y, x = (round(at) for at in place.centre)
    assert wrong_cells()[z, y, x] == MISSED
    dock.run.go(place)
    shown(qtbot, dock)
    press(qtbot, viewer, Qt.Key.Key_D)
    assert "no cell here" in dock.strip.text
    press(qtbot, viewer, Qt.Key.Key_U)
    answered(qtbot, prompts)
    press(qtbot, viewer, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not prompts.active)
    shown(qtbot, dock)
    new = int(dock.session.labels[z, y, x])
    assert new not in (0, *np.unique(wrong_cells()))
    assert ("object", 0, new) not in {item.key for item in dock.review.items}
    assert dock.run.on


def test_prompting_by_itself_ends_reviewing(window, qtbot):
    viewer, dock = window
    _, prompt = viewer.window.add_plugin_dock_widget("napari-cellseg", "Prompt")
    prompt.run.start()
    shown(qtbot, dock)
    assert not dock.run.on
    assert dock.session.prompts.active
    dock.run.start()
    shown(qtbot, dock)
    assert not dock.session.prompts.active


def test_another_tool_while_it_prompts_ends_reviewing(window, qtbot):
    viewer, dock = window
    dock.run.go(next(item for item in dock.review.items if item.id == 7))
    shown(qtbot, dock)
    press(qtbot, viewer, Qt.Key.Key_R)
    answered(qtbot, dock.session.prompts)
    dock.run.edit.start("select")
    qtbot.waitUntil(lambda: not dock.run.on)
    assert dock.run.edit.tool == "select"
    assert not dock.session.prompts.active
