"""What numbers of a file become ids, and which are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_cellseg.errors import InputError
from napari_cellseg.labels.formats import restore_ids
from napari_cellseg.labels.formats.values import to_ids


@pytest.mark.parametrize("kind", ["u1", "i1", ">i4", "<u2", "i8", "u8", ">u8"])
def test_integers_of_any_type_become_native_uint32(kind: str):
    values = np.array([[0, 1], [100, 3]], kind)
    labels, original, notices = to_ids(values.T, "labels", "yx")
    assert labels.dtype == np.uint32
    assert labels.dtype.isnative
    assert labels.flags.c_contiguous
    assert labels.flags.writeable
    assert np.array_equal(labels, values.T)
    assert original is None
    assert notices == ()


def test_the_result_is_a_copy():
    values = np.zeros((2, 2), np.uint32)
    assert not np.shares_memory(to_ids(values, "labels")[0], values)


@settings(deadline=None)
@given(
    hnp.arrays(
        np.uint64,
        hnp.array_shapes(min_dims=2, max_dims=4, max_side=5),
        elements=st.sampled_from([0, 1, 7, 2**32 - 2, 2**32 - 1, 2**32, 2**53 + 1, 2**64 - 1]),
    )
)
def test_ids_of_64_bits_come_back(values: np.ndarray):
    labels, original, notices = to_ids(values, "labels")
    if values.max() <= 2**32 - 2:
        assert original is None
        assert np.array_equal(labels, values)
        return
    assert original is not None
    assert len(notices) == 1
    assert labels.max() < values.size + 1
    assert np.array_equal(labels == 0, values == 0)
    assert np.array_equal(restore_ids(labels, original), values)


def test_objects_made_since_get_ids_above_those_of_the_file():
    labels, original, _ = to_ids(np.array([[0, 2**40], [2**40, 2**33]], np.uint64), "labels")
    assert original is not None
    labels[0, 0] = 5
    restored = restore_ids(labels, original)
    assert restored.tolist() == [[2**40 + 3, 2**40], [2**40, 2**33]]


@pytest.mark.parametrize(
    ("value", "words"),
    [(-3, "negative"), (np.nan, "no number"), (np.inf, "no number"), (1.5, "fraction")],
)
def test_what_is_no_id_is_named_with_its_place(value: float, words: str):
    values = np.zeros((3, 4, 5))
    values[1, 2, 3] = values[2, 2, 2] = value
    with pytest.raises(InputError, match=words) as error:
        to_ids(values, "the labels in 'a.tif'", "zyx")
    text = str(error.value)
    assert text.startswith("the labels in 'a.tif'")
    assert "(z, y, x) = (1, 2, 3) and 1 more" in text


def test_negative_integers_are_named_with_their_place():
    with pytest.raises(InputError, match=r"-1 at \(y, x\) = \(0, 1\)"):
        to_ids(np.array([[0, -1]], np.int16), "labels", "yx")


def test_whole_floats_are_taken_and_told():
    labels, _, notices = to_ids(np.array([[0, 3]], np.float32), "labels")
    assert labels.tolist() == [[0, 3]]
    assert "float32" in notices[0]
    assert "rounded" not in notices[0]
    _, _, notices = to_ids(np.array([[0, 2**24]], np.float32), "labels")
    assert "rounded together" in notices[0]


def test_a_mask_is_one_object():
    labels, _, notices = to_ids(np.array([[True, False]]), "labels")
    assert labels.tolist() == [[1, 0]]
    assert "one object" in notices[0]


@pytest.mark.parametrize(
    "values", [np.zeros((2, 2), complex), np.array([["a"]]), np.full((1, 1), 1e30)]
)
def test_other_types_are_refused(values: np.ndarray):
    with pytest.raises(InputError):
        to_ids(values, "labels")
