from importlib.metadata import version

import numpy as np
from napari.components import Dims
from napari.layers import Labels

from napari_cellseg.widgets.labels_shim import (
    VERIFIED,
    can_reset_history,
    forget_history,
    history_size,
    redraw,
    replace_data,
)


def test_the_installed_napari_is_one_that_the_shim_was_verified_on():
    assert ".".join(version("napari").split(".")[:2]) in VERIFIED
    assert can_reset_history()


def _painted():
    layer = Labels(np.zeros((8, 8), np.uint32))
    layer.brush_size = 3
    layer.selected_label = 5
    layer.paint((4, 4), 5)
    return layer


def test_without_the_shim_undo_corrupts_the_new_array():
    """What the shim is for; when napari repairs it, this test says that the shim can go."""
    layer = _painted()
    layer.data = np.full((8, 8), 9, np.uint32)
    layer.undo()
    assert (layer.data != 9).any()


def test_after_replacing_undo_does_nothing():
    layer = _painted()
    assert history_size(layer) == (1, 0)
    new = np.full((8, 8), 9, np.uint32)
    replace_data(layer, new)
    assert history_size(layer) == (0, 0)
    layer.undo()
    layer.redo()
    assert layer.data is new
    assert (new == 9).all()


def test_painting_after_replacing_can_be_undone():
    layer = _painted()
    new = np.zeros((8, 8), np.uint32)
    replace_data(layer, new)
    layer.paint((2, 2), 7)
    assert (new == 7).any()
    layer.undo()
    assert not new.any()
    assert history_size(layer) == (0, 1)


def test_a_layer_that_cannot_be_edited_stays_so():
    layer = _painted()
    layer.editable = False
    replace_data(layer, np.zeros((8, 8), np.uint32))
    assert not layer.editable


def _sent(layer):
    """What a layer sends to the screen, as (offset, shape)."""
    sent = []

    def keep(event):
        sent.append((tuple(event.offset), event.data.shape))

    layer.events.labels_update.connect(keep)
    return sent


def test_only_the_box_that_was_written_is_sent_to_the_screen():
    layer = Labels(np.zeros((6, 20, 30), np.uint32))
    layer._slice_dims(Dims(ndim=3, ndisplay=2, range=((0, 5, 1), (0, 19, 1), (0, 29, 1))))
    sent = _sent(layer)
    layer.data[0, 4:8, 10:16] = 3
    redraw(layer, (slice(0, 2), slice(4, 8), slice(10, 16)))
    assert sent == [((4, 10), (4, 6))]
    fresh = layer._raw_to_displayed(layer._slice.image.raw)
    np.testing.assert_array_equal(layer._slice.image.view, fresh)
    redraw(layer, (slice(3, 4), slice(4, 8), slice(10, 16)))  # of a plane that is not shown
    assert len(sent) == 1


def test_planes_of_other_orientations_and_outlines_are_sent_with_their_margin():
    layer = Labels(np.zeros((6, 20, 30), np.uint32))
    ranges = ((0, 5, 1), (0, 19, 1), (0, 29, 1))
    layer._slice_dims(Dims(ndim=3, ndisplay=2, range=ranges, order=(1, 0, 2)))
    layer.contour = 2
    sent = _sent(layer)
    redraw(layer, (slice(1, 3), slice(0, 8), slice(10, 16)))
    assert sent == [((0, 8), (5, 10))]


def test_a_hidden_layer_is_shown_as_it_is_by_then():
    layer = Labels(np.zeros((8, 8), np.uint32), visible=False)
    layer.data[2:4, 2:4] = 5
    redraw(layer, (slice(2, 4), slice(2, 4)))
    layer.visible = True
    assert layer._slice.image.raw[3, 3] == 5


def test_history_is_forgotten_on_demand():
    layer = _painted()
    forget_history(layer)
    assert history_size(layer) == (0, 0)
    layer.undo()
    assert (layer.data == 5).any()
