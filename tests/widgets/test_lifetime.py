"""What runs when a layer, the dock or the window goes away, and what is left behind."""

import gc
import threading
import weakref

import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

from napari_cellseg.session import Session
from napari_cellseg.widgets import SegmentDock
from widgets.steps import add_image, click, count

PLUGIN = ("napari-cellseg", "Segment")


@pytest.fixture
def held(engine, qtbot):
    """An engine that stops in the middle of a run until it is let go."""
    engine.gate = threading.Event()
    yield engine
    engine.gate.set()


def listeners(session):
    """Signals that more is listening to than the session's own parts."""
    names = ("labels_changed", "proposal_changed", "status_changed", "failed", "volume_changed")
    alone = Session()
    more = {name: len(getattr(session, name)) - len(getattr(alone, name)) for name in names}
    alone.close()
    return {name: count for name, count in more.items() if count}


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
    assert not listeners(session)
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


def test_a_dock_opened_again_finds_its_image_and_its_proposal(
    make_napari_viewer, qtbot, engine, settle
):
    viewer, holder, dock = open_window(make_napari_viewer)
    add_image(viewer)
    add_image(viewer, name="another")
    click(qtbot, dock.model.segment_button)
    settle(dock)
    dock.result.probability.slider.setValue(400)
    settle(dock)
    names = [layer.name for layer in viewer.layers]
    assert "embryo proposal" in names
    holder.destroyOnClose()
    QApplication.processEvents()
    _, again = viewer.window.add_plugin_dock_widget(*PLUGIN)
    assert again.source.image.currentText() == "embryo"
    assert [layer.name for layer in viewer.layers] == names
    assert again.layers.proposal is viewer.layers["embryo proposal"]
    click(qtbot, again.result.apply_button)
    settle(again)
    assert "embryo proposal" not in viewer.layers
    assert viewer.layers["embryo cells"].visible
    assert count(viewer.layers["embryo cells"].data) == 3


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


@pytest.mark.parametrize("drawn", [True, False])
@pytest.mark.parametrize("by", ["viewer", "window"])
def test_closing_the_viewer_while_it_runs_cancels(make_napari_viewer, qtbot, held, by, drawn):
    viewer, _, dock = open_window(make_napari_viewer)
    session = dock.session
    if drawn:
        qtbot.waitUntil(dock.isVisible)
    add_image(viewer)
    click(qtbot, dock.model.segment_button)
    held.running.wait(10)
    if by == "window" and drawn:  # napari's own cross closes the window without the viewer
        viewer.window._qt_window.hide()
        assert not listeners(session)
    else:
        viewer.close()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    held.gate.set()
    qtbot.waitUntil(lambda: not session.busy)
    assert session.labels is None
    assert not listeners(session)


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
