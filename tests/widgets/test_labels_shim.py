from importlib.metadata import version

import numpy as np
from napari.layers import Labels

from napari_cellseg.widgets.labels_shim import (
    VERIFIED,
    can_reset_history,
    history_size,
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
