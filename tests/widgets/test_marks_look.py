import numpy as np
import pytest
from napari.components import ViewerModel

from napari_cellseg.labels import Mark
from napari_cellseg.session import Session
from napari_cellseg.widgets.label_colors import CYCLE
from napari_cellseg.widgets.marks_look import LockedLook, _fewer


@pytest.fixture
def scene(qtbot):
    """A session with three cells, shown in a viewer."""
    session = Session()
    session.use_volume(np.zeros((4, 20, 20), np.float32), axes="zyx", spacing=(1, 1, 1))
    labels = np.zeros((4, 20, 20), np.uint32)
    labels[:, 2:6, 2:6], labels[:, 2:6, 8:12], labels[:, 10:14, 2:6] = 1, 2, 3
    session.adopt(labels)
    viewer = ViewerModel()
    layer = viewer.add_labels(session.labels)
    look = LockedLook(session)
    look.join()
    look.show_on(layer, "zyx")
    yield session, viewer, layer
    look.leave()
    session.close()


def at(layer, row, col):
    return int(layer._slice.image.view[row, col])


def test_locks_show_and_so_do_undo_and_redo(scene):
    session, _, layer = scene
    session.change("lock", [2])
    assert at(layer, 3, 9) == 2 + CYCLE
    assert at(layer, 3, 3) == 1
    session.undo()
    assert at(layer, 3, 9) == 2
    session.redo()
    assert at(layer, 3, 9) == 2 + CYCLE


def test_marks_by_hand_count_too(scene):
    session, _, layer = scene
    session.change("apply", Mark(0, 3, "locked", True))
    session.change("apply", Mark(0, 3, "locked", False))
    assert at(layer, 11, 3) == 3


def test_transposed_and_3d_views_show_it(scene):
    session, viewer, layer = scene
    viewer.dims.order = (2, 0, 1)
    viewer.dims.set_current_step(2, 3)
    session.change("lock", [1])
    assert at(layer, 0, 3) == 1 + CYCLE
    viewer.dims.order = (0, 1, 2)
    viewer.dims.ndisplay = 3
    session.change("lock", [3])
    assert layer._slice.image.view[1, 11, 3] == 3 + CYCLE
    session.undo()
    assert layer._slice.image.view[1, 11, 3] == 3


def test_another_document_has_its_own_locks(scene):
    session, _, layer = scene
    session.change("lock", [1, 2])
    other = np.zeros((4, 20, 20), np.uint32)
    other[:, 2:6, 2:6] = 1
    session.adopt(other)
    assert layer.colormap._data_to_texture(np.uint32(2)) == 2
    assert layer.colormap._data_to_texture(np.uint32(1)) == 1


def test_locks_made_before_the_layer_was_shown(scene):
    session, viewer, _ = scene
    session.change("lock", [3])
    layer = viewer.add_labels(session.labels)
    look = LockedLook(session)
    look.show_on(layer, "zyx")
    assert at(layer, 11, 3) == 3 + CYCLE


def test_layers_of_few_bits_are_left_to_napari(scene):
    session, viewer, _ = scene
    look = LockedLook(session)
    layer = viewer.add_labels(np.ones((4, 20, 20), np.uint8))
    look.show_on(layer, "zyx")
    assert look.look is None
    session.change("lock", [3])
    assert at(layer, 3, 3) == 1


def test_boxes_are_joined_where_that_is_less_to_draw():
    small = [(slice(0, 2), slice(0, 2)), (slice(8, 9), slice(8, 9))]
    assert _fewer(small) == small
    near = [(slice(0, 4), slice(0, 4)), (slice(1, 5), slice(1, 5))]
    assert _fewer(near) == [(slice(0, 5), slice(0, 5))]


@pytest.mark.parametrize("ndisplay", [2, 3])
def test_a_lock_is_seen_on_the_canvas(make_napari_viewer, qtbot, ndisplay):
    session = Session()
    session.documents = None
    session.use_volume(np.zeros((4, 20, 20), np.float32), axes="zyx", spacing=(1, 1, 1))
    labels = np.zeros((4, 20, 20), np.uint32)
    labels[:, 4:16, 4:16] = 2
    session.adopt(labels)
    viewer = make_napari_viewer(show=True)
    layer = viewer.add_labels(session.labels, opacity=1.0)
    look = LockedLook(session)
    look.join()
    look.show_on(layer, "zyx")
    viewer.dims.ndisplay = ndisplay

    def middle():
        picture = viewer.screenshot(flash=False)
        return picture[picture.shape[0] // 2, picture.shape[1] // 2, :3].astype(int)

    bright = middle()
    session.change("lock", [2])
    dim = middle()
    assert bright.sum() > 100
    assert bright.sum() - dim.sum() > 30
    session.undo()
    np.testing.assert_allclose(middle(), bright, atol=2)
    look.leave()
    session.close()
