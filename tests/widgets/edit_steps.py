"""What a user does with the mouse and the keys on the cells layer while editing."""

import numpy as np
from qtpy.QtCore import QPoint, QPointF, Qt

from widgets.prompt_steps import canvas_of, drag_over
from widgets.steps import add_image

NONE = Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


def some_cells(shape=(6, 64, 80)):
    """Two cells beside each other that touch (3, 7), one apart (9), through all planes."""
    labels = np.zeros(shape, np.uint32)
    labels[1:5, 10:26, 10:26] = 3
    labels[1:5, 10:26, 26:40] = 7
    labels[1:5, 40:56, 50:70] = 9
    return labels


def edit_window(make_napari_viewer, labels=None):
    """A window with an image, cells, and the Edit dock."""
    import torch  # noqa: F401 - SciPy stumbles over one that another thread is just importing

    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1200, 900)
    _, dock = viewer.window.add_plugin_dock_widget("napari-cellseg", "Edit")
    labels = some_cells() if labels is None else labels
    add_image(viewer, np.zeros(labels.shape, np.float32), spacing=(2.0, 0.5, 0.5))
    dock.session.adopt(labels)
    if labels.ndim > 2:
        viewer.dims.set_current_step(labels.ndim - 3, 2)
    qtbot_wait(viewer)
    viewer.fit_to_view()
    qtbot_wait(viewer)
    return viewer, dock


def on_canvas(viewer, dock, *voxel):
    """The point of the canvas where a voxel is drawn, in a 2D view."""
    ground = dock.run.ground()
    world = ground.world([voxel])[0]
    offset = viewer.dims.ndim - len(world)
    shown = world[[axis - offset for axis in viewer.dims.displayed]]
    camera, canvas = viewer.scene.camera, canvas_of(viewer)
    y, x = (shown - np.asarray(camera.center[-2:])) * camera.zoom
    return QPointF(canvas.width() / 2 + x, canvas.height() / 2 + y)


def click_voxel(qtbot, viewer, dock, *voxel, modifier=NONE):
    place = on_canvas(viewer, dock, *voxel)
    at = QPoint(round(place.x()), round(place.y()))
    canvas = canvas_of(viewer)
    qtbot.mouseMove(canvas, at)
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, modifier, at)


def drag_voxels(qtbot, viewer, dock, voxels, modifier=NONE):
    places = [on_canvas(viewer, dock, *voxel) for voxel in voxels]
    drag_over(qtbot, viewer, places, modifier=modifier)


def press(qtbot, viewer, key, modifier=NONE):
    """Press a key on the canvas."""
    canvas = canvas_of(viewer)
    canvas.setFocus()
    qtbot.keyClick(canvas, key, modifier)


def ids_of(dock):
    return sorted(int(one) for one in np.unique(dock.session.labels) if one)


def qtbot_wait(viewer):
    """Let the window be laid out and drawn."""
    from qtpy.QtTest import QTest

    QTest.qWait(60)
