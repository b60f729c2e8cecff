"""What runs when a layer, the dock or the window goes away, and what is left behind."""

import gc
import threading
import weakref

import pytest
from qtpy.QtWidgets import QApplication
from widgets.steps import add_image, click, count

from napari_cellseg.widgets import SegmentDock

PLUGIN = ("napari-cellseg", "Segment")


@pytest.fixture
def held(engine, qtbot):
    """An engine that stops in the middle of a run until it is let go."""
    engine.gate = threading.Event()
    yield engine
    engine.gate.set()


def wait_running(qtbot, engine):
    qtbot.waitUntil(engine.running.is_set)


def test_removing_the_image_while_it_runs_cancels(dock, viewer, qtbot, settle, held):
    image = add_image(viewer)
    click(qtbot, dock.model.segment_button)
    wait_running(qtbot, held)
    assert dock.strip.busy
    viewer.layers.remove(image)
    held.gate.set()
    settle(dock)
    assert not viewer.layers
    assert dock.session.labels is None
    assert not dock.strip.busy
    assert not dock.model.segment_button.isEnabled()
    assert dock.source.image.currentText() == "no image open"
    assert dock.session.last_error is None


def test_removing_the_cells_while_it_runs_cancels(dock, viewer, qtbot, settle, held):
    add_image(viewer)
    held.gate.set()
    click(qtbot, dock.model.segment_button)
    settle(dock)
    held.gate.clear()
    held.running.clear()
    click(qtbot, dock.model.segment_button)
    wait_running(qtbot, held)
    viewer.layers.remove("embryo cells")
    held.gate.set()
    settle(dock)
    assert [layer.name for layer in viewer.layers] == ["embryo"]


def test_cancel_button(dock, viewer, qtbot, settle, held):
    add_image(viewer)
    click(qtbot, dock.model.segment_button)
    wait_running(qtbot, held)
    click(qtbot, dock.strip.cancel)
    held.gate.set()
    settle(dock)
    assert len(viewer.layers) == 1
    assert dock.strip.text == "cancelled"
    assert dock.model.segment_button.isEnabled()


def test_an_image_removed_and_another_added_starts_afresh(dock, viewer, qtbot, settle):
    image = add_image(viewer)
    click(qtbot, dock.model.segment_button)
    settle(dock)
    viewer.layers.remove(image)
    add_image(viewer, name="next")
    assert dock.session.labels is None
    assert dock.source.image.currentText() == "next"
    assert dock.session.volume.name == "next"


def open_window(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    holder, dock = viewer.window.add_plugin_dock_widget(*PLUGIN)
    assert isinstance(dock, SegmentDock)
    return viewer, holder, dock


def test_the_docks_cross_cancels_and_leaves_nothing_listening(
    make_napari_viewer, qtbot, held, settle
):
    viewer, holder, dock = open_window(make_napari_viewer)
    session, before = dock.session, len(viewer.layers.events.inserted.callbacks)
    add_image(viewer)
    click(qtbot, dock.model.segment_button)
    wait_running(qtbot, held)
    holder.destroyOnClose()  # what the ✕ does
    assert len(viewer.layers.events.inserted.callbacks) < before
    for signal in ("labels_changed", "status_changed", "failed", "volume_changed"):
        assert len(getattr(session, signal)) == 0, signal
    held.gate.set()
    qtbot.waitUntil(lambda: not session.busy)
    assert [layer.name for layer in viewer.layers] == ["embryo"]
    gone = weakref.ref(dock)
    del dock, holder
    qtbot.waitUntil(lambda: gc.collect() >= 0 and gone() is None)


def test_a_dock_opened_again_finds_its_work(make_napari_viewer, qtbot, engine, settle):
    viewer, holder, dock = open_window(make_napari_viewer)
    add_image(viewer)
    click(qtbot, dock.model.segment_button)
    settle(dock)
    cells = viewer.layers["embryo cells"]
    cells.paint((2, 28, 35), 77)
    session = dock.session
    holder.destroyOnClose()
    QApplication.processEvents()
    _, again = viewer.window.add_plugin_dock_widget(*PLUGIN)
    assert again is not dock
    assert again.session is session
    assert again.layers.cells is cells
    assert session.labels is cells.data
    assert session.edited
    cells.paint((2, 2, 2), 78)
    again.result.probability.slider.setValue(400)
    settle(again)
    assert count(viewer.layers["embryo proposal"].data) == 3


def test_a_dock_that_is_only_hidden_goes_on(make_napari_viewer, qtbot, held, settle):
    viewer, holder, dock = open_window(make_napari_viewer)
    add_image(viewer)
    click(qtbot, dock.model.segment_button)
    wait_running(qtbot, held)
    holder.setVisible(False)
    held.gate.set()
    settle(dock)
    assert "embryo cells" in viewer.layers
    holder.setVisible(True)
    assert dock.strip.text == "2 cells"


def test_closing_the_viewer_while_it_runs_cancels(make_napari_viewer, qtbot, held):
    viewer, _, dock = open_window(make_napari_viewer)
    session = dock.session
    add_image(viewer)
    click(qtbot, dock.model.segment_button)
    wait_running(qtbot, held)
    viewer.close()
    held.gate.set()
    qtbot.waitUntil(lambda: not session.busy)
    assert session.labels is None
    for signal in ("labels_changed", "status_changed", "failed", "volume_changed"):
        assert len(getattr(session, signal)) == 0, signal


def test_a_closed_viewer_and_its_session_are_freed(make_napari_viewer, qtbot, engine, settle):
    viewer, holder, dock = open_window(make_napari_viewer)
    add_image(viewer)
    click(qtbot, dock.model.segment_button)
    settle(dock)
    gone = [weakref.ref(thing) for thing in (dock, dock.session, dock.layers)]
    viewer.close()
    del viewer, holder, dock
    QApplication.processEvents()
    qtbot.waitUntil(lambda: gc.collect() >= 0 and not any(ref() for ref in gone))
