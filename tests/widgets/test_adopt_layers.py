"""Labels layers of every kind that users have become the cells, or are refused in a sentence."""

import dask.array as da
import numpy as np
import pytest
from napari.layers import Labels
from napari.utils.notifications import notification_manager

from widgets.steps import add_image

SHAPE = (6, 32, 40)


def some(dtype=np.uint32, most=7):
    labels = np.zeros(SHAPE, dtype)
    labels[1:4, 2:8, 2:8] = 3
    labels[2:5, 20:30, 10:20] = most
    return labels


def read_only():
    labels = some()
    labels.flags.writeable = False
    return labels


GOOD = {
    "uint8 at 255": (lambda: some(np.uint8, 255), 255),
    "int64": (lambda: some(np.int64), 7),
    "read-only": (read_only, 7),
    "column-major": (lambda: np.asfortranarray(some()), 7),
    "a view": (lambda: np.repeat(some(), 2, axis=2)[:, :, ::2], 7),
    "dask": (lambda: da.from_array(some(), chunks=(2, 16, 20)), 7),
    "bool": (lambda: some().astype(bool), 1),
    "beyond 32 bits": (lambda: some(np.uint64, 2**40), 2),
}


@pytest.mark.parametrize("kind", GOOD)
def test_a_layer_becomes_the_cells_and_can_be_edited(dock, viewer, settle, kind):
    make, largest = GOOD[kind]
    add_image(viewer)
    layer = viewer.add_labels(make(), name="mine", scale=(2.0, 0.5, 0.5))
    dock.run.adopt_layer(layer)
    settle(dock)
    document = dock.session.document
    assert document is not None, dock.session.last_error
    assert dock.session.labels.dtype == np.uint32
    assert dock.session.labels.max() == largest
    assert np.shares_memory(layer.data, dock.session.labels), "what is shown is what is edited"
    fresh = document.free_ids()[0]
    assert fresh == largest + 1
    layer.paint((3, 5, 30), fresh)
    assert (dock.session.labels == fresh).any()
    layer.undo()
    assert not (dock.session.labels == fresh).any()
    assert [step.kind for step in document.undone] == ["paint"]


BAD = {
    "negative": (lambda: -some(np.int32).astype(np.int32), "negative"),
    "another shape": (lambda: some()[:, :20], "shape"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_layer_that_cannot_be_edited_is_refused_in_a_sentence(dock, viewer, qtbot, kind):
    make, word = BAD[kind]
    add_image(viewer)
    layer = viewer.add_labels(make(), name="mine")
    told = []
    dock.run.failed.connect(told.append)
    dock.run.adopt_layer(layer)
    assert word in str(told[0])
    assert dock.session.document is None
    assert not dock.session.last_error or word in str(dock.session.last_error)


def test_a_layer_with_several_resolutions_is_refused(dock, viewer):
    add_image(viewer)
    layer = Labels([some(), some()[:, ::2, ::2]], multiscale=True, name="pyramid")
    viewer.add_layer(layer)
    told = []
    dock.run.failed.connect(told.append)
    dock.run.adopt_layer(layer)
    assert "resolution" in str(told[0])
    assert dock.session.document is None


def test_another_plugin_swaps_the_data(dock, viewer, settle):
    add_image(viewer)
    layer = viewer.add_labels(some(), name="mine", scale=(2.0, 0.5, 0.5))
    dock.run.adopt_layer(layer)
    settle(dock)
    before = dock.session.labels.copy()
    other = before.copy()
    other[0, 0, 0] = 9
    layer.data = other
    assert dock.session.labels[0, 0, 0] == 9
    assert np.shares_memory(layer.data, dock.session.labels)
    layer.undo()
    assert np.array_equal(dock.session.labels, before)
    layer.data = before.astype(np.int16)
    assert dock.session.labels.dtype == np.uint32
    assert np.array_equal(dock.session.labels, before)
    assert np.shares_memory(layer.data, dock.session.labels)


def test_data_of_another_shape_leave_the_cells_alone(dock, viewer, settle):
    add_image(viewer)
    layer = viewer.add_labels(some(), name="mine", scale=(2.0, 0.5, 0.5))
    dock.run.adopt_layer(layer)
    settle(dock)
    before = dock.session.labels.copy()
    layer.data = np.zeros((2, 3, 4), np.uint32)
    assert "left alone" in notification_manager.records[-1].message
    assert np.array_equal(dock.session.labels, before)
