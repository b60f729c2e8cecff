import numpy as np
import pytest

from napari_cellseg.widgets.measure import LAYER_NAME, line_length
from widgets.steps import add_image, click


@pytest.mark.parametrize(
    ("line", "spacing", "length"),
    [
        ([[0, 0], [3, 4]], (1.0, 1.0), 5.0),
        ([[2, 0, 0], [2, 6, 8]], (2.0, 0.5, 0.5), 5.0),
        ([[0, 2, 0, 0], [4, 3, 0, 0]], (0.0, 2.0, 1.0, 1.0), 2.0),
    ],
)
def test_length_is_physical(line, spacing, length):
    assert line_length(np.array(line), spacing) == pytest.approx(length)


def draw(viewer, start, stop):
    """What napari does when a line is finished with the mouse: one ADDED event."""
    viewer.layers[LAYER_NAME].add_lines(np.array([start, stop], float))


def test_a_line_across_a_cell_becomes_the_diameter(dock, viewer, qtbot):
    image = add_image(viewer)
    viewer.layers.selection.active = image
    click(qtbot, dock.model.measure)
    shapes = viewer.layers[LAYER_NAME]
    assert shapes.mode == "add_line"
    assert viewer.layers.selection.active is shapes
    assert tuple(shapes.scale) == tuple(image.scale)
    draw(viewer, (2, 4, 4), (2, 4, 26))
    qtbot.waitUntil(lambda: LAYER_NAME not in viewer.layers)
    assert dock.session.parameters.diameter == 11.0
    assert dock.model.diameter.text() == "11"
    assert not dock.model.measure.isChecked()
    assert viewer.layers.selection.active is image


def test_without_spacing_it_is_in_pixels(dock, viewer, qtbot):
    viewer.add_image(np.random.default_rng(0).random((6, 32, 40)))
    click(qtbot, dock.model.measure)
    draw(viewer, (2, 4, 4), (2, 7, 8))
    qtbot.waitUntil(lambda: LAYER_NAME not in viewer.layers)
    assert dock.session.parameters.diameter == 5.0


def test_a_click_without_a_line_measures_nothing(dock, viewer, qtbot):
    add_image(viewer)
    click(qtbot, dock.model.measure)
    draw(viewer, (2, 4, 4), (2, 4, 4))
    qtbot.waitUntil(lambda: LAYER_NAME not in viewer.layers)
    assert dock.session.parameters.diameter is None


def test_pressing_again_or_removing_the_layer_stops(dock, viewer, qtbot):
    add_image(viewer)
    click(qtbot, dock.model.measure)
    click(qtbot, dock.model.measure)
    assert LAYER_NAME not in viewer.layers
    click(qtbot, dock.model.measure)
    viewer.layers.remove(LAYER_NAME)
    assert not dock.model.measure.isChecked()
    assert not dock.run.measure.active


def test_escape_stops(dock, viewer, qtbot):
    add_image(viewer)
    click(qtbot, dock.model.measure)
    shapes = viewer.layers[LAYER_NAME]
    shapes.keymap[next(key for key in shapes.keymap if str(key) == "Escape")](shapes)
    qtbot.waitUntil(lambda: LAYER_NAME not in viewer.layers)
    assert not dock.model.measure.isChecked()


def test_removing_the_image_stops(dock, viewer, qtbot):
    image = add_image(viewer)
    click(qtbot, dock.model.measure)
    viewer.layers.remove(image)
    assert LAYER_NAME not in viewer.layers
