"""Labels from anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cellseg.errors import InputError
from napari_cellseg.labels import LabelDocument
from napari_cellseg.labels.accept import accept_labels, axes_of
from napari_cellseg.labels.edit import MOST, Edit


def test_a_new_object_beside_id_255_of_uint8() -> None:
    labels = np.zeros((4, 6), np.uint8)
    labels[0] = 255
    document = LabelDocument(labels)
    new = document.new_object((slice(2, 4), slice(0, 3)), np.ones((2, 3), bool))
    assert new == 256
    assert document.labels.dtype == np.uint32
    assert document.objects.voxels(256) == 6
    assert document.objects.voxels(255) == 6
    document.undo()
    np.testing.assert_array_equal(document.labels, labels)
    assert labels.dtype == np.uint8


@pytest.mark.parametrize(
    "kind",
    ["?", "u1", "i1", "u2", ">u2", "i4", ">i4", "<u4", ">u4", "i8", "u8", ">i8", "f4", ">f8"],
)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("frozen", [False, True])
def test_every_type_that_holds_whole_numbers(kind: str, order: Any, frozen: bool) -> None:
    given = np.array([[[0, 1], [1, 0]], [[0, 0], [1, 1]]]).astype(kind, order=order)
    expected = given.astype(np.uint32)
    given.flags.writeable = not frozen
    for copy in (True, False):
        labels, original = accept_labels(given, copy=copy)
        assert original is None
        assert labels.dtype == np.dtype(np.uint32)
        assert labels.dtype.isnative
        assert labels.flags.c_contiguous
        assert labels.flags.writeable
        np.testing.assert_array_equal(labels, expected)
        if copy:
            labels[...] = 5
            np.testing.assert_array_equal(given.astype(np.uint32), expected)


def test_only_an_array_that_is_editable_is_taken_itself() -> None:
    given = np.zeros((3, 4), np.uint32)
    assert accept_labels(given, copy=False)[0] is given
    assert not np.shares_memory(accept_labels(given)[0], given)
    for other in (given.T, given[::2], given.view(">u4")):
        assert not np.shares_memory(accept_labels(other, copy=False)[0], other)


def test_ids_of_64_bits_are_renumbered_and_known() -> None:
    huge = 2**63 + 11
    given = np.array([[0, huge, 5], [MOST, MOST + 1, 5]], np.uint64)
    document = LabelDocument(given)
    assert document.original_ids is not None
    np.testing.assert_array_equal(document.original_ids[document.labels], given)
    np.testing.assert_array_equal(document.original_labels(), given)
    assert document.labels.max() == 4
    full = np.array([[huge, huge + 1]], np.uint64)  # no background
    labels, original = accept_labels(full)
    assert original is not None
    assert labels.tolist() == [[1, 2]]
    np.testing.assert_array_equal(original[labels], full)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.array([[-1, 2]]), "negative"),
        (np.array([[-1, 2]], np.int8), "negative"),
        (np.array([[-(2**40), 2]]), "negative"),
        (np.array([[0.5, 2]]), "fractions"),
        (np.array([[np.nan, 2]]), "NaN"),
        (np.array([[np.inf, 2]]), "NaN"),
        (np.array([[-1.0, 2]]), "renumber"),
        (np.array([[1e20, 2]]), "renumber"),
        (np.array([[MOST + 1, 2]], np.uint32), "renumber"),
        (np.array([[float(MOST + 1), 2]]), "renumber"),
        (np.array([["a"]]), "whole numbers"),
        (np.array([[1j]]), "whole numbers"),
        (np.array([[None]]), "whole numbers"),
        (np.array([["2020"]], "M8[Y]"), "whole numbers"),
        (np.array(3), "axes"),
        (np.zeros(5, int), "axes"),
        (np.zeros((1, 1, 1, 1, 1), int), "axes"),
        ([np.zeros((4, 4), int), np.zeros((2, 2), int)], "resolutions"),
    ],
)
def test_what_is_refused(labels: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        LabelDocument(labels)


def test_empty_labels_are_a_document() -> None:
    for shape in ((0, 4), (3, 0, 4), (0, 2, 4, 4)):
        document = LabelDocument(np.zeros(shape, np.uint16))
        assert len(document.objects) == 0
        assert document.table.empty
        nothing = Edit((0,) * 2 * len(shape), np.zeros((0,) * len(shape), bool), 1)
        assert document.apply(nothing) is None
        assert document.absorb() is None


def test_lazy_arrays_are_computed(tmp_path: Path) -> None:
    import dask.array
    import zarr

    given = np.arange(12, dtype=">i4").reshape(3, 4)
    lazy = dask.array.from_array(given, chunks=2)
    document = LabelDocument(lazy)
    np.testing.assert_array_equal(document.labels, given)
    stored = zarr.create_array(tmp_path / "labels.zarr", shape=(3, 4), dtype="i4")
    stored[...] = given
    document = LabelDocument(stored, copy=False)
    np.testing.assert_array_equal(document.labels, given)
    document.delete(5)
    assert stored[1, 1] == 5


def test_several_resolutions_of_a_viewer() -> None:
    layers = pytest.importorskip("napari.layers")
    levels = [np.zeros((8, 8), np.uint8), np.zeros((4, 4), np.uint8)]
    layer = layers.Labels(levels, multiscale=True)
    with pytest.raises(InputError, match="resolutions"):
        LabelDocument(layer.data)


def test_axes_by_their_number_or_by_name() -> None:
    assert [axes_of(n, None) for n in (2, 3, 4)] == ["yx", "zyx", "tzyx"]
    assert axes_of(3, "tyx") == "tyx"
    for ndim, axes in ((3, "yx"), (3, "xyz"), (2, "zy"), (3, "cyx"), (2, "")):
        with pytest.raises(InputError, match="axes"):
            axes_of(ndim, axes)
