"""What becomes of reviewing when the dock, the image or the window goes away."""

import gc
import weakref

import pytest
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QApplication

from napari_cellseg.session import Session
from napari_cellseg.widgets import ReviewDock
from widgets.edit_steps import press
from widgets.review_steps import review_window, shown
from widgets.steps import add_image, click

PLUGIN = "napari-cellseg"


@pytest.fixture
def window(make_napari_viewer, qtbot):
    viewer, dock = review_window(make_napari_viewer)
    shown(qtbot, dock)
    return viewer, dock


def holder_of(viewer):
    holder, _ = viewer.window.add_plugin_dock_widget(PLUGIN, "Review")  # open already
    return holder


def listeners(session, review):
    """Signals that more is listening to than the session's own parts."""
    alone = Session()
    own = alone.review
    names = ("document_changed", "stepped", "selection_changed", "labels_changed")
    more = {n: len(getattr(session, n)) - len(getattr(alone, n)) for n in names}
    more |= {n: len(getattr(review, n)) - len(getattr(own, n)) for n in ("changed", "arrived")}
    prompts = ("changed", "prompts_changed")
    more |= {n: len(getattr(session.prompts, n)) - len(getattr(alone.prompts, n)) for n in prompts}
    alone.close()
    return {name: number for name, number in more.items() if number}


def begin(qtbot, dock):
    click(qtbot, dock.head.on)
    qtbot.waitUntil(lambda: dock.review.queue is not None, timeout=20000)
    shown(qtbot, dock)


@pytest.mark.parametrize("by", ["cross", "viewer", "window"])
def test_closing_leaves_no_listeners(window, qtbot, by):
    viewer, dock = window
    begin(qtbot, dock)
    session, review, layer = dock.session, dock.review, dock.layers.cells
    assert listeners(session, review)
    assert "N" in {str(key) for key in layer.keymap}
    if by == "cross":
        holder_of(viewer).destroyOnClose()
    elif by == "window":
        viewer.window._qt_window.hide()
    else:
        viewer.close()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert not listeners(session, review)
    assert not review.active
    assert "N" not in {str(key) for key, call in layer.keymap.items() if call is not None}


def test_closing_while_it_is_ranked(window, qtbot):
    viewer, dock = window
    dock.head.on.click()
    session, review = dock.session, dock.review
    assert review.ranking
    viewer.window._qt_window.hide()
    qtbot.waitUntil(lambda: not session.busy, timeout=20000)
    assert not review.active
    assert session.last_error is None


def test_a_dock_opened_again_goes_on_where_it_was(window, qtbot):
    viewer, dock = window
    begin(qtbot, dock)
    press(qtbot, viewer, Qt.Key.Key_A)
    press(qtbot, viewer, Qt.Key.Key_N)
    shown(qtbot, dock)
    at, accepted = dock.review.item.key, dock.review.progress.accepted
    assert accepted == 1
    holder_of(viewer).destroyOnClose()
    QApplication.processEvents()
    _, again = viewer.window.add_plugin_dock_widget(PLUGIN, "Review")
    assert isinstance(again, ReviewDock)
    assert again is not dock
    begin(qtbot, again)
    assert again.review.item.key == at
    assert again.review.progress.accepted == accepted


def test_removing_the_cells_layer_or_the_image_ends_it(window, qtbot):
    viewer, dock = window
    begin(qtbot, dock)
    viewer.layers.remove(dock.layers.image)
    shown(qtbot, dock)
    assert not dock.run.on
    assert dock.head.on.reason == "Open an image first."
    add_image(viewer, name="other")
    shown(qtbot, dock)
    assert not dock.run.on


def test_a_closed_viewer_and_its_dock_are_freed(make_napari_viewer, qtbot):
    viewer, dock = review_window(make_napari_viewer)
    shown(qtbot, dock)
    begin(qtbot, dock)
    press(qtbot, viewer, Qt.Key.Key_A)
    shown(qtbot, dock)
    gone = [
        weakref.ref(thing)
        for thing in (dock, dock.session, dock.review, dock.run, dock.run.edit, dock.layers)
    ]
    viewer.close()
    del viewer, dock
    QApplication.processEvents()
    qtbot.waitUntil(lambda: gc.collect() >= 0 and not any(ref() for ref in gone), timeout=10000)
