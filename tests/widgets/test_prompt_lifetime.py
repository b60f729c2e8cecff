"""What becomes of prompting when a layer, the image, the dock or the window goes away."""

import gc
import threading
import weakref

import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

from napari_cellseg.session import Session
from napari_cellseg.widgets import PromptDock, SegmentDock
from widgets.steps import add_image, blobs, click, count

PLUGIN = "napari-cellseg"
OURS = ("open objects", "in hand", "boxes", "prompts")


def listeners(prompts):
    """Signals that more is listening to than the session's own parts."""
    alone = Session()
    names = ("changed", "prompts_changed", "preview_replaced", "pictured")
    more = {n: len(getattr(prompts, n)) - len(getattr(alone.prompts, n)) for n in names}
    alone.close()
    return {name: number for name, number in more.items() if number}


def names(viewer):
    return [layer.name for layer in viewer.layers]


def start(qtbot, viewer, dock):
    image = add_image(viewer)
    click(qtbot, dock.tools.prompt)
    qtbot.waitUntil(lambda: dock.session.prompts.ready)
    return image


def find(qtbot, dock, place=(2, 8, 8)):
    prompts = dock.session.prompts
    one = prompts.click(place)
    qtbot.waitUntil(lambda: one.pending is None)
    return one


@pytest.mark.parametrize("which", OURS)
def test_deleting_one_of_the_layers_ends_prompting(prompt_window, qtbot, which):
    viewer, dock = prompt_window
    start(qtbot, viewer, dock)
    find(qtbot, dock)
    viewer.layers.remove(f"embryo {which}")
    qtbot.waitUntil(lambda: names(viewer) == ["embryo"])
    prompts = dock.session.prompts
    assert not prompts.active
    assert not prompts.objects
    click(qtbot, dock.tools.prompt)
    qtbot.waitUntil(lambda: len(viewer.layers) == 5)
    find(qtbot, dock)


def test_removing_the_image_while_it_is_encoded(prompt_window, qtbot, tiny):
    viewer, dock = prompt_window
    tiny.before = threading.Event()
    image = add_image(viewer)
    click(qtbot, dock.tools.prompt)
    prompts = dock.session.prompts
    qtbot.waitUntil(lambda: prompts.encoding.running is not None)
    prompts.click((2, 8, 8))
    viewer.layers.remove(image)
    qtbot.waitUntil(lambda: not viewer.layers)
    tiny.before.set()
    qtbot.waitUntil(lambda: prompts.encoding.running is None)
    assert not prompts.objects
    assert not prompts.active
    assert dock.session.last_error is None
    assert not dock.tools.prompt.isEnabled()


def test_switching_the_image_turns_to_the_other(prompt_window, qtbot):
    viewer, dock = prompt_window
    start(qtbot, viewer, dock)
    find(qtbot, dock)
    other = add_image(viewer, name="next")
    dock.image.choose(other)
    qtbot.waitUntil(lambda: set(names(viewer)) == {"embryo", "next", *(f"next {x}" for x in OURS)})
    prompts = dock.session.prompts
    assert not prompts.objects
    qtbot.waitUntil(lambda: prompts.ready)
    assert find(qtbot, dock).voxels == 64


def test_an_image_of_other_axes_is_chosen_with_an_object_in_hand(prompt_window, qtbot):
    viewer, dock = prompt_window
    image = start(qtbot, viewer, dock)
    find(qtbot, dock)
    flat = add_image(viewer, blobs((32, 40)), name="flat")
    dock.image.choose(flat)
    qtbot.waitUntil(lambda: f"flat {OURS[0]}" in names(viewer))
    one = dock.session.prompts.click((8, 8))
    qtbot.waitUntil(lambda: one.pending is None)
    viewer.layers.remove(flat)
    qtbot.waitUntil(lambda: dock.layers.image is image)
    qtbot.waitUntil(lambda: "flat prompts" not in names(viewer))
    assert dock.session.volume.is_3d


@pytest.mark.parametrize("by", ["cross", "viewer", "window"])
def test_closing_in_the_middle_of_an_encoding(make_napari_viewer, qtbot, tiny, by):
    viewer = make_napari_viewer(show=True)
    holder, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Prompt")
    tiny.before = threading.Event()
    add_image(viewer)
    click(qtbot, dock.tools.prompt)
    session, prompts = dock.session, dock.session.prompts
    qtbot.waitUntil(dock.isVisible)
    qtbot.waitUntil(lambda: prompts.encoding.running is not None)
    prompts.click((2, 8, 8))
    if by == "cross":
        holder.destroyOnClose()
        assert names(viewer) == ["embryo"]
    elif by == "window":
        viewer.window._qt_window.hide()
    else:
        viewer.close()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert not listeners(prompts)
    assert not prompts.active
    tiny.before.set()
    qtbot.waitUntil(lambda: prompts.encoding.running is None and not session.busy)
    assert session.last_error is None


def test_open_objects_are_there_again_in_a_dock_opened_again(make_napari_viewer, qtbot, tiny):
    viewer = make_napari_viewer(show=True)
    holder, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Prompt")
    start(qtbot, viewer, dock)
    find(qtbot, dock)
    holder.destroyOnClose()
    QApplication.processEvents()
    _, again = viewer.window.add_plugin_dock_widget(PLUGIN, "Prompt")
    assert isinstance(again, PromptDock)
    qtbot.waitUntil(lambda: "embryo prompts" in viewer.layers)
    assert len(viewer.layers["embryo prompts"].data) == 1
    click(qtbot, again.objects.buttons["accept"])
    assert count(viewer.layers["embryo cells"].data) == 1


def test_a_closed_viewer_and_its_dock_are_freed(make_napari_viewer, qtbot, tiny):
    viewer = make_napari_viewer(show=True)
    holder, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Prompt")
    start(qtbot, viewer, dock)
    find(qtbot, dock)
    click(qtbot, dock.objects.buttons["accept"])
    gone = [
        weakref.ref(thing)
        for thing in (dock, dock.session, dock.layers, dock.image, dock.run, dock.run.layers)
    ]
    viewer.close()
    del viewer, holder, dock
    QApplication.processEvents()
    qtbot.waitUntil(lambda: gc.collect() >= 0 and not any(ref() for ref in gone))


def test_together_with_the_segment_dock(make_napari_viewer, qtbot, tiny, engine, settle):
    viewer = make_napari_viewer(show=True)
    _, segment = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    holder, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Prompt")
    assert isinstance(segment, SegmentDock)
    assert (segment.session, segment.layers, segment.image) == (
        dock.session,
        dock.layers,
        dock.image,
    )
    start(qtbot, viewer, dock)
    find(qtbot, dock)
    click(qtbot, dock.objects.buttons["accept"])
    assert names(viewer).count("embryo cells") == 1
    cells = viewer.layers["embryo cells"]
    click(qtbot, segment.model.segment_button)
    settle(segment)
    assert names(viewer).count("embryo proposal") == 1  # what was prompted is not replaced
    click(qtbot, segment.result.apply_button)
    settle(segment)
    assert viewer.layers["embryo cells"] is cells
    assert count(cells.data) >= 2
    holder.destroyOnClose()
    cells.paint((2, 28, 35), 77)
    assert segment.session.labels[2, 28, 35] == 77
    assert segment.source.image.currentText() == "embryo"


def test_two_viewers_are_independent(make_napari_viewer, qtbot, tiny):
    docks = []
    for _ in range(2):
        viewer = make_napari_viewer(show=True)
        _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Prompt")
        start(qtbot, viewer, dock)
        docks.append((viewer, dock))
    (one, first), (other, second) = docks
    find(qtbot, first)
    assert not second.session.prompts.objects
    assert len(one.layers["embryo prompts"].data) == 1
    assert not len(other.layers["embryo prompts"].data)
    click(qtbot, first.tools.prompt)
    assert second.session.prompts.active


def test_prompting_is_turned_on_and_off_again_and_again(prompt_window, qtbot):
    """Shapes layers that come and go end the process on some drivers; see `canvas_shim`."""
    viewer, dock = prompt_window
    start(qtbot, viewer, dock)
    for _ in range(3):
        click(qtbot, dock.tools.prompt)
        qtbot.waitUntil(lambda: names(viewer) == ["embryo"])
        qtbot.wait(50)
        click(qtbot, dock.tools.prompt)
        qtbot.waitUntil(lambda: len(viewer.layers) == 5)
        qtbot.wait(50)
    assert find(qtbot, dock).voxels == 64
