"""Regions of a label store in the real window: drawn layers come and go, and nothing crashes."""

import numpy as np
import pytest

from napari_cellseg.volume import read_labels, write_labels
from widgets.steps import add_image, click

SHAPE = (6, 300, 320)


@pytest.fixture
def window(make_napari_viewer, qtbot, tmp_path):
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1200, 900)
    _, dock = viewer.window.add_plugin_dock_widget("napari-cellseg", "Segment")
    labels = np.zeros(SHAPE, np.uint32)
    labels[1:5, 100:140, 100:150] = 3
    labels[:, 180:220, 120:200] = 8
    path = tmp_path / "cells.ome.zarr"
    write_labels(path, labels, spacing=(2.0, 0.5, 0.5))
    image = add_image(viewer, (labels > 0).astype(np.float32))
    dock.session.know_label_store(path)
    dock.region_run.store.show(path)
    return viewer, dock, image, path, labels


def test_a_region_is_edited_written_back_and_left(window, qtbot, settle):
    viewer, dock, image, path, labels = window
    shown = dock.region_run.store.layer
    assert shown.multiscale
    dock.regions.planes.setValue(1)
    viewer.dims.set_current_step(0, 2)
    viewer.scene.camera.zoom *= 2
    qtbot.wait(100)
    click(qtbot, dock.regions.edit_button)
    settle(dock)
    cells = dock.layers.cells
    z, y, x = (round(t / s) for t, s in zip(cells.translate, cells.scale, strict=True))
    assert z == 1
    assert 0 < y < 100
    assert 320 <= dock.width() <= 380
    viewer.layers.selection.active = cells
    cells.mode = "pan_zoom"
    cells.fill((1, 120 - y, 120 - x), 0)
    qtbot.waitUntil(lambda: not (cells.data[1] == 3).any())
    click(qtbot, dock.regions.back_button)
    settle(dock)
    assert "written back" in dock.strip.text
    expected = labels.copy()
    box = tuple(slice(a, a + n) for a, n in zip((z, y, x), cells.data.shape, strict=True))
    expected[box] = cells.data
    assert (expected != labels).any()
    np.testing.assert_array_equal(read_labels(path)[0], expected)
    for layer in (cells, dock.layers.image):
        viewer.layers.remove(layer)
        qtbot.wait(30)
    dock.image.choose(image)
    assert shown.visible
    shapes = viewer.add_shapes(
        [np.array([[4, 60, 60], [4, 60, 90], [4, 80, 90], [4, 80, 60]], float)]
    )
    viewer.layers.selection.active = shapes
    qtbot.wait(30)
    assert dock.region_run.region()[1:] == (slice(120, 161), slice(120, 181))
    dock.region_run.store.remove()
    viewer.layers.remove(shapes)
    viewer.dims.ndisplay = 3
    qtbot.wait(60)
    assert viewer.screenshot(canvas_only=True).any()
