"""Regions of an image and of its label store, as images and documents of their own."""

import numpy as np
import pytest

from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.session.crops import crop_of
from napari_cellseg.volume import read_labels, write_labels
from napari_cellseg.volume.patch_zarr import write_region

WAIT = 20
BOX = (slice(1, 5), slice(0, 18), slice(2, 20))


@pytest.fixture
def store(session, tmp_path):
    labels = np.zeros((6, 20, 30), np.uint32)
    labels[1:4, 2:8, 2:8] = 3
    labels[2:5, 10:16, 4:26] = 5  # continues outside of the box
    path = tmp_path / "cells.ome.zarr"
    write_labels(path, labels, spacing=(2.0, 0.5, 0.5))
    return path, labels


def draw(session, start, size):
    region = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
    return session.change("new_object", region, np.ones(size, bool), over_others=True)


def test_edit_a_region_and_write_it_back(session, store):
    path, labels = store
    whole = session.volume
    written = []
    session.store_written.connect(lambda *told: written.append(told))
    session.open_region(path, BOX).wait(WAIT)
    assert crop_of(session.volume).parent is whole
    assert session.label_shape == (4, 18, 18)
    assert session.parameters.spacing == (2.0, 0.5, 0.5)
    np.testing.assert_array_equal(session.labels, labels[BOX])
    assert session.label_store == path
    assert not session.dirty
    new = draw(session, (0, 0, 10), (1, 2, 2))
    session.change("delete", 3)
    assert session.dirty
    session.write_back().wait(WAIT)
    assert not session.dirty
    assert session.saved_path == path
    expected = labels.copy()
    expected[BOX] = session.labels
    expected[expected == new] = 6
    np.testing.assert_array_equal(read_labels(path)[0], expected)
    assert written == [(path, BOX)]
    assert "1 cell that you added has the id 6" in session.notices[-1]
    session.use_volume(whole)
    assert crop_of(session.volume) is None
    assert session.label_store == path


def test_what_changed_meanwhile_is_said_and_nothing_written(session, store):
    path, _ = store
    session.open_region(path, BOX).wait(WAIT)
    session.change("delete", 3)
    write_region(path, (slice(4, 5), slice(17, 18), slice(3, 4)), np.full((1, 1, 1), 9))
    before = read_labels(path)[0]
    with pytest.raises(StorageError, match="changed by somebody else"):
        session.write_back().wait(WAIT)
    np.testing.assert_array_equal(read_labels(path)[0], before)
    assert session.dirty
    assert session.can("write_back")


def test_a_region_is_segmented_with_the_limits_of_the_whole_image(session, engine):
    whole = session.volume
    session.segment_region(BOX).wait(WAIT)
    assert engine.calls[-1]["region"] == BOX
    assert crop_of(session.volume).parent is whole
    assert session.labels.shape == (4, 18, 18)
    assert set(np.unique(session.labels)) == {0, 1, 2}
    assert not session.edited
    session.parameters.probability = 0.85
    session.relabel().wait(WAIT)
    assert session.proposal.labels.shape == (4, 18, 18)
    session.apply().wait(WAIT)
    assert set(np.unique(session.labels)) == {0, 1}


def test_a_region_of_a_region_is_refused(session, store):
    path, _ = store
    session.open_region(path, BOX).wait(WAIT)
    for verb in ("open_region", "segment_region"):
        assert "already" in session.can(verb).reason
    with pytest.raises(InputError, match="already"):
        session.open_region(path, BOX)


def test_labels_of_another_image_are_refused(session, tmp_path):
    path = tmp_path / "other.ome.zarr"
    write_labels(path, np.ones((3, 20, 30), np.uint32))
    with pytest.raises(InputError, match="have shape"):
        session.open_region(path, BOX).wait(WAIT)
    assert crop_of(session.volume) is None


def test_the_cells_of_a_region_are_not_saved_over_those_of_the_whole(session, store):
    path, labels = store
    session.open_region(path, BOX).wait(WAIT)
    with pytest.raises(InputError, match="of a region"):
        session.save(path, overwrite=True)
    np.testing.assert_array_equal(read_labels(path)[0], labels)


def test_without_a_region_there_is_nothing_to_write_back(session):
    session.segment().wait(WAIT)
    with pytest.raises(InputError, match="no region"):
        session.write_back()
    assert session.label_store is None


def test_a_region_is_recovered_where_it_was(session, store, tmp_path):
    path, _ = store
    session.documents = tmp_path / "documents"
    whole = session.volume
    session.open_region(path, BOX).wait(WAIT)
    session.change("delete", 3)
    folder = session.document.folder
    document = session.document
    session.use_volume(whole)
    document.close()
    session.recover(folder).wait(WAIT)
    assert crop_of(session.volume).box == BOX
    assert not (session.labels == 3).any()
    session.write_back().wait(WAIT)
    assert not (read_labels(path)[0] == 3).any()


def test_cells_that_are_found_anew_take_no_id_that_another_cell_had(session, store):
    path, labels = store
    session.open_region(path, BOX).wait(WAIT)
    session.change("delete", 5)  # the largest id, of a cell that goes on outside
    session.parameters.probability = 0.2
    session.segment().wait(WAIT)
    session.apply().wait(WAIT)
    new = set(np.unique(session.labels).tolist()) - {0, 3}
    assert new
    assert min(new) > 5
    session.write_back().wait(WAIT)
    found = read_labels(path)[0]
    assert (found == 5).sum() == (labels == 5).sum() - (labels[BOX] == 5).sum()
