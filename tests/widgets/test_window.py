"""A user's day in the real window: open, try, run, slide, apply, paint, save."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_cellseg.volume import read_labels
from napari_cellseg.widgets.measure import LAYER_NAME
from widgets.steps import add_image, click, count

PLUGIN = ("napari-cellseg", "Segment")


@pytest.fixture
def window(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1200, 800)
    _, dock = viewer.window.add_plugin_dock_widget(*PLUGIN)
    return viewer, dock


def canvas_of(viewer):
    return viewer.window._qt_viewer.canvas.native


def drag(qtbot, widget, start, stop):
    """Press, move with the button held, release; slowly enough for vispy."""
    from qtpy.QtCore import QEvent, QPointF
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtWidgets import QApplication

    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    steps = [
        (QEvent.Type.MouseButtonPress, start, left, left),
        *[
            (QEvent.Type.MouseMove, start + (stop - start) * step / 5, none, left)
            for step in range(1, 6)
        ],
        (QEvent.Type.MouseButtonRelease, stop, left, none),
    ]
    for kind, at, button, held in steps:
        place = QPointF(at)
        event = QMouseEvent(
            kind,
            place,
            QPointF(widget.mapToGlobal(QPoint(round(place.x()), round(place.y())))),
            button,
            held,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(widget, event)
        qtbot.wait(15)


def test_open_try_segment_slide_apply_paint_save(
    window, engine, qtbot, settle, tmp_path, monkeypatch
):
    viewer, dock = window
    add_image(viewer)
    viewer.dims.set_current_step(0, 2)
    viewer.scene.camera.zoom *= 2  # so that only a part is in view
    qtbot.wait(100)

    click(qtbot, dock.model.try_button)
    settle(dock)
    plane, rows, cols = engine.calls[-1]["region"]
    assert (plane.start, plane.stop) == (2, 3)
    assert 0 < rows.start < rows.stop < 32 or 0 < cols.start < cols.stop < 40
    assert viewer.layers["embryo proposal"].data.shape == (
        1,
        rows.stop - rows.start,
        cols.stop - cols.start,
    )

    click(qtbot, dock.model.segment_button)
    settle(dock)
    assert "embryo proposal" not in viewer.layers
    cells = viewer.layers["embryo cells"]

    dock.result.probability.slider.setValue(400)
    settle(dock)
    click(qtbot, dock.result.apply_button)
    settle(dock)
    assert count(cells.data) == 3

    viewer.reset_view()
    qtbot.wait(100)
    viewer.layers.selection.active = cells
    cells.selected_label = 50
    cells.brush_size = 2
    cells.mode = "paint"
    canvas = canvas_of(viewer)
    middle = QPoint(canvas.width() // 2, canvas.height() // 2)
    qtbot.mouseMove(canvas, middle)
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=middle)
    qtbot.waitUntil(lambda: bool((cells.data == 50).any()))
    assert dock.session.edited
    assert dock.session.dirty

    path = tmp_path / "cells.ome.zarr"
    monkeypatch.setattr("napari_cellseg.widgets.dialogs.ask_save_path", lambda *_: path)
    click(qtbot, dock.result.save_button)
    settle(dock)
    labels, _ = read_labels(path)
    np.testing.assert_array_equal(labels, cells.data)
    assert (labels == 50).any()

    shown = viewer.screenshot(canvas_only=False)
    assert len(np.unique(shown.reshape(-1, 4), axis=0)) > 50  # something was drawn


def test_measuring_with_the_mouse(window, engine, qtbot):
    viewer, dock = window
    image = add_image(viewer)
    qtbot.wait(100)
    click(qtbot, dock.model.measure)
    canvas = canvas_of(viewer)
    from qtpy.QtCore import QPointF

    middle = QPointF(canvas.width() / 2, canvas.height() / 2)
    drag(qtbot, canvas, middle, middle + QPointF(60, 0))
    qtbot.waitUntil(lambda: LAYER_NAME not in viewer.layers)
    expected = 60 / viewer.scene.camera.zoom
    assert dock.session.parameters.diameter == pytest.approx(expected, rel=0.05)
    assert viewer.layers.selection.active is image


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_dock_is_narrow_and_follows_the_theme(window, qtbot, theme):
    viewer, dock = window
    viewer.theme = theme
    qtbot.wait(50)
    assert 320 <= dock.width() <= 380
    assert dock.styleSheet()


def test_every_control_has_a_tooltip(window):
    from qtpy.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QSlider

    _, dock = window
    silent = [
        child
        for kind in (QAbstractButton, QComboBox, QLineEdit, QSlider)
        for child in dock.findChildren(kind)
        if not child.toolTip() and child.objectName() != "qt_toolbar_ext_button"
    ]
    assert not silent
