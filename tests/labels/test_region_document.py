"""A region of a label store is edited as a document and put back as a whole."""

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.labels import LabelDocument
from napari_cellseg.labels.region_document import open_region, region_of, write_back
from napari_cellseg.volume import read_labels, write_labels
from napari_cellseg.volume.patch_zarr import write_region

BOX = (slice(2, 6), slice(4, 30), slice(10, 40))
QUICK = settings(
    deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def add(document, start, size):
    """A new object, a box."""
    region = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
    document.new_object(region, np.ones(size, bool), over_others=True)


@pytest.fixture
def store(tmp_path):
    labels = np.zeros((8, 40, 48), np.uint32)
    labels[1:5, 2:10, 12:20] = 4  # continues above the region and beside it
    labels[3:5, 12:20, 14:22] = 9
    labels[0:2, 30:38, 0:8] = 50  # outside of it
    path = tmp_path / "cells.ome.zarr"
    write_labels(path, labels, spacing=(2.0, 0.5, 0.5))
    return path, labels


def test_a_region_opens_with_the_ids_and_the_spacing_of_the_store(store):
    path, labels = store
    document = open_region(path, BOX)
    np.testing.assert_array_equal(document.labels, labels[BOX])
    assert (document.axes, document.spacing) == ("zyx", (2.0, 0.5, 0.5))
    origin = region_of(document)
    assert origin is not None
    assert (origin.store, origin.box) == (path, BOX)
    assert region_of(LabelDocument(labels)) is None


def test_new_ids_lie_above_those_of_the_store_and_others_stay(store):
    path, labels = store
    document = open_region(path, BOX)
    document.delete([9])
    add(document, (1, 20, 20), (1, 3, 3))
    add(document, (3, 20, 20), (1, 3, 3))
    new = sorted(set(np.unique(document.labels).tolist()) - {0, 4})
    assert new == [10, 11]
    written = write_back(document)
    assert written.renamed == {10: 51, 11: 52}
    expected = labels.copy()
    expected[BOX] = document.labels
    expected[expected == 10] = 51
    expected[expected == 11] = 52
    np.testing.assert_array_equal(read_labels(path)[0], expected)
    document.delete([11])
    add(document, (0, 10, 20), (1, 3, 3))
    assert write_back(document).renamed == {12: 53}, "the store's own ids are known by now"
    found = read_labels(path)[0]
    assert set(np.unique(found).tolist()) == {0, 4, 50, 51, 53}


def test_what_somebody_else_changed_is_not_overwritten(store):
    path, _ = store
    document = open_region(path, BOX)
    document.delete([9])
    write_region(path, (slice(4, 5), slice(25, 26), slice(35, 36)), np.full((1, 1, 1), 7))
    before = read_labels(path)[0]
    with pytest.raises(StorageError, match="changed by somebody else"):
        write_back(document)
    np.testing.assert_array_equal(read_labels(path)[0], before)


def test_changes_elsewhere_in_the_store_do_not_matter(store):
    path, _ = store
    document = open_region(path, BOX)
    document.delete([9])
    write_region(path, (slice(7, 8), slice(39, 40), slice(47, 48)), np.full((1, 1, 1), 70))
    add(document, (0, 20, 20), (1, 2, 2))
    assert list(write_back(document).renamed.values()) == [71]


def test_a_document_that_is_opened_again_still_knows_its_region(store, tmp_path):
    path, _ = store
    document = open_region(path, BOX)
    document.attach(tmp_path / "journal")
    add(document, (0, 20, 20), (1, 2, 2))
    write_back(document)
    document.delete([4])
    document.close()
    again = LabelDocument.open(tmp_path / "journal")
    try:
        assert write_back(again).renamed == {}
    finally:
        again.close()
    found = read_labels(path)[0]
    assert not (found[BOX] == 4).any()
    assert (found == 4).any(), "outside of the region the cell stays"
    assert (found == 51).sum() == 4


def test_a_crash_right_after_the_write_is_caught_up_with(store):
    path, _ = store
    document = open_region(path, BOX)
    add(document, (0, 20, 20), (1, 2, 2))
    told = []
    set_meta = document.set_meta
    document.set_meta = lambda key, value: (told.append(value), set_meta(key, value))
    write_back(document)
    document.set_meta = set_meta
    document.meta["region"] = told[0]  # the journal had heard no more than this
    document.delete([9])
    assert write_back(document).renamed == {}
    assert set(np.unique(read_labels(path)[0]).tolist()) == {0, 4, 50, 51}


def test_ids_beyond_32_bits_come_back_as_they_were(tmp_path):
    path = tmp_path / "wide.zarr"
    values = np.zeros((2, 6, 8), np.uint64)
    values[:, 1:3, 1:3], values[:, 4:, 4:] = 2**40, 2**40 + 5
    array = zarr.create_array(path, shape=values.shape, dtype="u8", chunks=(1, 4, 4))
    array[...] = values
    document = open_region(path, (slice(0, 2), slice(0, 6), slice(0, 6)))
    assert set(np.unique(document.labels).tolist()) == {0, 1, 2}
    document.delete([1])
    add(document, (0, 0, 0), (1, 1, 1))
    assert list(write_back(document).renamed.values()) == [2**40 + 6]
    values[:, 1:3, 1:3], values[0, 0, 0] = 0, 2**40 + 6
    np.testing.assert_array_equal(zarr.open_array(path, mode="r")[...], values)


def test_undo_after_a_write_brings_the_same_id_back(store):
    path, labels = store
    document = open_region(path, BOX)
    document.delete([4])
    write_back(document)
    assert not (read_labels(path)[0][BOX] == 4).any()
    document.undo()
    assert write_back(document).renamed == {}
    np.testing.assert_array_equal(read_labels(path)[0], labels)


def test_numbering_anew_is_refused_until_it_is_undone(store):
    path, labels = store
    document = open_region(path, BOX)
    document.relabel()
    with pytest.raises(InputError, match="numbered anew"):
        write_back(document)
    np.testing.assert_array_equal(read_labels(path)[0], labels)
    document.undo()
    document.delete([9])
    write_back(document)
    assert not (read_labels(path)[0] == 9).any()


def test_labels_of_no_store_are_told_so(store):
    with pytest.raises(InputError, match="no region of a store"):
        write_back(LabelDocument(store[1]))


@given(st.integers(0, 2**32 - 1))
@QUICK
def test_edits_of_many_regions_add_up(tmp_path_factory, seed):
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(6, 20, 3).tolist())
    labels = random.integers(0, 5, shape).astype(np.uint32) * 3
    path = tmp_path_factory.mktemp("many") / "cells.zarr"
    array = zarr.create_array(path, shape=shape, dtype="u4", chunks=(3, 5, 4))
    array[...] = labels
    for _ in range(3):
        low = [int(random.integers(0, n - 2)) for n in shape]
        box = tuple(
            slice(a, int(random.integers(a + 2, n + 1))) for a, n in zip(low, shape, strict=True)
        )
        document = open_region(path, box)
        known = set(np.unique(labels[box]).tolist()) - {0}
        add(document, (0, 1, 0), (1, 1, 2))
        if (document.labels == min(known, default=-1)).any():
            document.delete([min(known)])
        renamed = write_back(document).renamed
        part = document.labels.copy()
        for old, new in sorted(renamed.items(), reverse=True):
            assert new > labels.max()
            part[document.labels == old] = new
        labels[box] = part
        np.testing.assert_array_equal(zarr.open_array(path, mode="r")[...], labels)
