"""Unfinished work is offered, and taken up, in a window of its own."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from napari_cellseg.labels import Edit, LabelDocument, Shelved
from napari_cellseg.widgets import recovery_banner
from napari_cellseg.widgets.recovery import described
from widgets.edit_until_killed import after, start
from widgets.steps import add_image, blobs, click

SHAPE = (6, 32, 40)
EDIT = Edit((slice(0, 2), slice(0, 2), slice(0, 2)), np.ones((2, 2, 2), np.bool_), 9)


@pytest.fixture(autouse=True)
def documents(tmp_path, monkeypatch):
    folder = tmp_path / "documents"
    monkeypatch.setenv("NAPARI_CELLSEG_DOCUMENTS", str(folder))
    return folder


@pytest.fixture
def image(tmp_path):
    import tifffile

    path = tmp_path / "embryo.ome.tif"
    sizes = {f"PhysicalSize{axis}": size for axis, size in zip("ZYX", (2.0, 0.5, 0.5), strict=True)}
    units = {f"PhysicalSize{axis}Unit": "µm" for axis in "ZYX"}
    tifffile.imwrite(path, blobs(SHAPE), metadata={"axes": "ZYX", **sizes, **units})
    return path


def left_behind(folder, name, steps=2, shape=SHAPE, path=None):
    """A document with steps, closed."""
    meta = {"image": name, "path": None if path is None else str(path)}
    document = LabelDocument.create(folder / name, start(shape), (2.0, 0.5, 0.5), "zyx", meta=meta)
    for number in range(steps):
        document.apply(Edit(EDIT.region, EDIT.mask, 9 + number))
    document.close()
    return folder / name


@pytest.fixture
def window(make_napari_viewer, engine):
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1200, 800)

    def opened():
        _, dock = viewer.window.add_plugin_dock_widget("napari-cellseg", "Segment")
        return viewer, dock

    return opened


def test_what_is_offered_is_said_in_few_words():
    when = datetime(2026, 5, 4, 10, 41, tzinfo=UTC).astimezone()
    one = Shelved(Path("x"), "embryo", None, when, 12, 0, False)
    assert described(one, when) == f"embryo, 12 changes, {when:%H:%M}"
    later = when.replace(month=6)
    assert described(one, later) == f"embryo, 12 changes, 04 May {when:%H:%M}"
    assert described(Shelved(Path("x"), "a", None, None, 1, 0, False)) == "a, 1 change"


@pytest.mark.parametrize("where", ["window", "headless"])
def test_a_killed_process_is_recovered_in_a_new_window(window, image, tmp_path, qtbot, where):
    program = Path(__file__).with_name("edit_until_killed.py")
    run = subprocess.Popen(
        [sys.executable, str(program), str(image), "12", where],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "NAPARI_CONFIG": str(tmp_path / "settings.yaml")},
    )
    with run:
        assert run.stdout.readline().split() == ["saved", "12"]
        os.kill(run.pid, signal.SIGKILL)
    viewer, dock = window()
    qtbot.waitUntil(dock.banner.isVisible)
    assert dock.banner.text.text().startswith("Unfinished work on embryo")
    click(qtbot, dock.banner.recover)
    session = dock.session
    qtbot.waitUntil(lambda: session.document is not None and not session.busy, timeout=10_000)
    steps = len(session.document.history)
    assert steps >= 12
    np.testing.assert_array_equal(session.labels, after(steps, SHAPE))
    assert not dock.banner.isVisible()
    assert viewer.layers["embryo cells"].data is session.labels
    qtbot.waitUntil(lambda: dock.strip.saved.text().startswith("saved"))
    assert dock.strip.saved.text().endswith(f"undo {steps:,}")
    wanted = os.environ.get("CELLSEG_SCREENSHOT")
    if wanted:
        qtbot.wait(300)
        viewer.screenshot(wanted, canvas_only=False)
    for _ in range(5):
        session.undo()
    np.testing.assert_array_equal(session.labels, after(steps - 5, SHAPE))
    for _ in range(5):
        session.redo()
    np.testing.assert_array_equal(session.labels, after(steps, SHAPE))


def test_nothing_unfinished_shows_nothing(window, documents, qtbot):
    folder = left_behind(documents, "exported")
    document = LabelDocument.open(folder)
    document.note_exported(folder / "cells.tif", document.number)
    document.close()
    _, dock = window()
    with qtbot.waitSignal(dock.recovery.changed):
        dock.recovery.look()
    assert dock.recovery.found == ()
    assert not dock.banner.isVisible()


def test_without_a_file_the_image_is_asked_for_first(window, documents, qtbot):
    left_behind(documents, "embryo", steps=3)
    viewer, dock = window()
    qtbot.waitUntil(dock.banner.isVisible)
    click(qtbot, dock.banner.recover)
    assert "Open the image “embryo” first" in dock.banner.hint.text()
    add_image(viewer)
    click(qtbot, dock.banner.recover)
    qtbot.waitUntil(lambda: dock.session.document is not None)
    assert len(dock.session.document.history) == 3
    assert not dock.banner.isVisible()


def test_an_image_of_another_shape_is_refused(window, documents, qtbot):
    left_behind(documents, "embryo")
    viewer, dock = window()
    add_image(viewer, blobs((4, 20, 30)), name="other")
    qtbot.waitUntil(dock.banner.isVisible)
    click(qtbot, dock.banner.recover)
    qtbot.waitUntil(lambda: "open their image first" in dock.strip.text)
    assert dock.session.document is None
    assert dock.banner.isVisible()
    assert dock.banner.recover.isEnabled()


def test_a_file_that_is_gone_is_named(window, documents, qtbot, tmp_path):
    left_behind(documents, "embryo", path=tmp_path / "gone.tif")
    _, dock = window()
    qtbot.waitUntil(dock.banner.isVisible)
    click(qtbot, dock.banner.recover)
    assert "gone.tif is not there any more" in dock.banner.hint.text()


def test_several_are_offered_newest_first_and_can_be_deleted_or_put_off(
    window, documents, qtbot, monkeypatch
):
    folders = [left_behind(documents, name) for name in ("first", "second", "third")]
    _, dock = window()
    _, other = dock._viewer().window.add_plugin_dock_widget("napari-cellseg", "Prompt")
    banner = dock.banner
    qtbot.waitUntil(lambda: not banner.isHidden())
    assert "third" in banner.text.text()
    assert banner.more.text() == "and 2 more ▾"
    banner.more.menu().actions()[1].trigger()
    assert "first" in banner.text.text()
    asked = []

    def agree(parent, one):
        asked.append(one.folder)
        return True

    monkeypatch.setattr(recovery_banner, "agrees_to_delete", agree)
    click(qtbot, banner.delete)
    assert asked == [folders[0]]
    qtbot.waitUntil(lambda: not folders[0].exists())
    assert banner.more.text() == other.banner.more.text() == "and 1 more ▾"
    click(qtbot, banner.later)
    assert banner.isHidden()
    assert other.banner.isHidden()
    assert folders[1].exists()


def test_looking_does_not_hold_the_window_up(window, documents, qtbot, monkeypatch):
    import threading

    from napari_cellseg.session import Session

    asked, where = threading.Event(), []

    def slow(session):
        where.append(threading.current_thread())
        asked.wait(5)
        return []

    monkeypatch.setattr(Session, "unfinished", slow)
    _, dock = window()
    qtbot.waitUntil(lambda: bool(where))
    assert where[0] is not threading.main_thread()
    assert not dock.session.busy
    asked.set()


def test_cancelling_leaves_the_offer(window, image, documents, qtbot, monkeypatch):
    import threading

    from napari_cellseg import volume

    left_behind(documents, "embryo", path=image)
    let_go = threading.Event()
    read = volume.read_volume

    def slow(*arguments, **options):
        let_go.wait(5)
        return read(*arguments, **options)

    _, dock = window()
    qtbot.waitUntil(dock.banner.isVisible)
    monkeypatch.setattr(volume, "read_volume", slow)
    click(qtbot, dock.banner.recover)
    assert not dock.banner.recover.isEnabled()
    dock.session.cancel()
    let_go.set()
    qtbot.waitUntil(lambda: not dock.session.busy)
    assert dock.banner.isVisible()
    assert dock.banner.recover.isEnabled()
    click(qtbot, dock.banner.recover)
    qtbot.waitUntil(lambda: dock.session.document is not None)
    assert not dock.banner.isVisible()


@pytest.mark.parametrize("open_first", [False, True])
def test_a_region_is_taken_up_once_and_can_be_edited(window, image, documents, qtbot, open_first):
    from napari_cellseg.session import Session
    from napari_cellseg.volume import write_labels

    store = image.with_name("cells.ome.zarr")
    write_labels(store, start(SHAPE), spacing=(2.0, 0.5, 0.5))
    session = Session()
    session.documents = documents
    session.open(image).wait(20)
    session.open_region(store, (slice(0, 4), slice(0, 20), slice(0, 30))).wait(20)
    cell = int(session.labels.max())
    session.change("delete", cell)
    document = session.document
    document.saved.wait(20)
    session.close()
    document.close()

    _, dock = window()
    if open_first:
        dock.session.open(image)
        qtbot.waitUntil(lambda: dock.session.volume is not None, timeout=20_000)
    banner = dock.findChild(recovery_banner.RecoveryBanner)
    qtbot.waitUntil(lambda: not banner.isHidden(), timeout=20_000)
    click(qtbot, banner.recover)
    qtbot.waitUntil(lambda: dock.session.document is not None, timeout=20_000)
    qtbot.wait(200)
    qtbot.waitUntil(lambda: not dock.session.busy, timeout=20_000)
    assert not dock.session.document.read_only
    assert dock.session.labels.shape == (4, 20, 30)
    assert not (dock.session.labels == cell).any()
    dock.session.undo()
    assert (dock.session.labels == cell).any()
