"""The brush paints the cell that is selected; an id that no object can have paints nothing."""

import numpy as np

from widgets.steps import add_image


def adopted(dock, viewer, settle):
    add_image(viewer)
    labels = np.zeros((6, 32, 40), np.uint32)
    labels[1:4, 4:12, 4:12], labels[2:5, 20:28, 20:28] = 3, 8
    dock.session.adopt(labels)
    settle(dock)
    return viewer.layers["embryo cells"]


def test_the_brush_paints_the_selected_cell(dock, viewer, settle):
    cells = adopted(dock, viewer, settle)
    dock.session.select([(0, 8)])
    assert cells.selected_label == 8
    cells.paint((3, 15, 15), cells.selected_label)
    assert dock.session.labels[3, 15, 15] == 8
    dock.session.select([(0, 8), (0, 3)])
    assert cells.selected_label == 8, "several cells are not one label"


def test_an_impossible_id_is_refused_in_a_sentence(dock, viewer, settle):
    cells = adopted(dock, viewer, settle)
    before = dock.session.labels.copy()
    cells.paint((3, 15, 15), 2**32 - 1)
    assert np.array_equal(dock.session.labels, before)
    assert "id" in str(dock.session.last_error)


def test_strokes_count_when_the_image_layer_is_gone_and_when_it_is_back(dock, viewer, settle):
    cells = adopted(dock, viewer, settle)
    image = viewer.layers["embryo"]
    cells.paint((3, 15, 15), 8)
    viewer.layers.remove(image)
    document = dock.session.document
    cells.paint((3, 25, 5), 3)
    assert [step.kind for step in document.history] == ["paint", "paint"]
    assert document.labels[3, 25, 5] == 3
    add_image(viewer)
    settle(dock)
    assert dock.session.document is document, "its history is still there"
    cells.undo()
    assert document.labels[3, 25, 5] == 0
    assert document.labels[3, 15, 15] == 8
    assert [layer.name for layer in viewer.layers].count("embryo cells") == 1
