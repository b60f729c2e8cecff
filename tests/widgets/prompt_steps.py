"""What a user does with the mouse on the canvas while prompting."""

from itertools import pairwise

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

NONE = Qt.KeyboardModifier.NoModifier


def canvas_of(viewer):
    return viewer.window._qt_viewer.canvas.native


def on_canvas(viewer, dock, row, col):
    """The point of the canvas where a pixel of the plane in view is drawn."""
    layer, plane = dock.run.layers.points, dock.run.looking.plane
    at = dock.run.layers.frame().to_layer(plane.position(row, col, dock.session.label_axes))
    world = np.asarray(layer.data_to_world(at))
    camera, canvas = viewer.scene.camera, canvas_of(viewer)
    shown = world[list(viewer.dims.displayed)] - np.asarray(camera.center[-2:])
    y, x = shown * camera.zoom
    return QPointF(canvas.width() / 2 + x, canvas.height() / 2 + y)


def click_at(qtbot, viewer, dock, row, col, button=Qt.MouseButton.LeftButton, modifier=NONE):
    place = on_canvas(viewer, dock, row, col)
    canvas = canvas_of(viewer)
    at = QPoint(round(place.x()), round(place.y()))
    qtbot.mouseMove(canvas, at)
    qtbot.mouseClick(canvas, button, modifier, at)


def drag_along(qtbot, viewer, dock, pixels, button=Qt.MouseButton.LeftButton):
    """Press at the first pixel, move over the others with the button held, release."""
    drag_over(qtbot, viewer, [on_canvas(viewer, dock, *pixel) for pixel in pixels], button)


def drag_over(qtbot, viewer, places, button=Qt.MouseButton.LeftButton, modifier=NONE):
    none = Qt.MouseButton.NoButton
    canvas = canvas_of(viewer)
    between = [
        start + (stop - start) * step / 4
        for start, stop in pairwise(places)
        for step in range(1, 5)
    ]
    steps = [
        (QEvent.Type.MouseMove, places[0], none, none),
        (QEvent.Type.MouseButtonPress, places[0], button, button),
        *[(QEvent.Type.MouseMove, place, none, button) for place in between],
        (QEvent.Type.MouseButtonRelease, places[-1], button, none),
    ]
    for kind, at, pressed, held in steps:
        globally = QPointF(canvas.mapToGlobal(QPoint(round(at.x()), round(at.y()))))
        QApplication.sendEvent(canvas, QMouseEvent(kind, at, globally, pressed, held, modifier))
        qtbot.wait(12)
