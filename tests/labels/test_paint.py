"""Writing an object changes nothing but what was asked for, and can be taken back."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels import Change, free_id, write_object

AXES = {2: (9, 12), 3: (5, 7, 8), 4: (2, 4, 5, 6)}


@st.composite
def writes(draw: st.DrawFn) -> dict[str, Any]:
    """Labels of a few objects, and an object to write into them."""
    shape = AXES[draw(st.integers(2, 4))]
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    dtype = draw(st.sampled_from([np.uint32, np.uint16, np.int64]))
    labels = rng.integers(0, 5, shape).astype(dtype)
    labels[rng.random(shape) < draw(st.floats(0, 1))] = 0
    if draw(st.booleans()):
        labels = np.asfortranarray(labels)

    def region() -> tuple[slice, ...]:
        starts = [draw(st.integers(0, size - 1)) for size in shape]
        return tuple(
            slice(start, draw(st.integers(start, size)))
            for start, size in zip(starts, shape, strict=True)
        )

    place = region()
    mask = rng.random(labels[place].shape) < draw(st.floats(0, 1))
    protected: Any = draw(st.sets(st.integers(1, 4), max_size=3))
    label = draw(st.sampled_from([one for one in range(1, 7) if one not in protected]))
    if draw(st.booleans()):
        protected = "all"
    elif draw(st.booleans()):
        ids = frozenset(protected)

        def asked(values: NDArray[Any]) -> NDArray[np.bool_]:
            return np.isin(values, list(ids))

        protected = asked
    return {
        "labels": labels,
        "region": place,
        "mask": mask,
        "label": label,
        "protected": protected,
        "replace": draw(st.sampled_from([None, region()])),
    }


def locked(protected: Any, label: int) -> list[int]:
    if protected == "all":
        return [one for one in range(1, 5) if one != label]
    if callable(protected):
        return [one for one in range(1, 5) if protected(np.array([one]))[0]]
    return sorted(protected)


@given(writes())
@settings(deadline=None, max_examples=250)
def test_writing_does_what_it_says_and_no_more(given: dict[str, Any]) -> None:
    labels, mask, label = given["labels"], given["mask"], given["label"]
    start = labels.copy()
    change = write_object(**given)
    for one in locked(given["protected"], label):
        np.testing.assert_array_equal(labels == one, start == one)
    # the plain statement of the rule, voxel by voxel over the whole array
    wanted = np.zeros(labels.shape, bool)
    wanted[given["region"]] = mask
    old = np.zeros(labels.shape, bool)
    if given["replace"] is not None:
        old[given["replace"]] = True
    expected = start.copy()
    expected[old & (start == label) & ~wanted] = 0
    expected[wanted & ~np.isin(start, locked(given["protected"], label))] = label
    np.testing.assert_array_equal(labels, expected)
    # and what the change says about itself
    different = start != labels
    assert change.count == different.sum()
    both = np.concatenate([start[different], labels[different]])
    assert change.ids == tuple(int(one) for one in np.unique(both) if one)
    box = np.zeros(labels.shape, bool)
    box[change.region] = True
    assert (different <= box).all()
    if different.any():
        corners = np.argwhere(different)
        assert [part.start for part in change.region] == corners.min(0).tolist()
        assert [part.stop for part in change.region] == (corners.max(0) + 1).tolist()
    else:
        assert change.nbytes == 0


@given(writes())
@settings(deadline=None, max_examples=150)
def test_undo_and_redo_are_exact(given: dict[str, Any]) -> None:
    labels = given["labels"]
    start = labels.copy()
    change = write_object(**given)
    after = labels.copy()
    for _ in range(2):
        change.undo(labels)
        assert labels.tobytes() == start.tobytes()
        change.redo(labels)
        assert labels.tobytes() == after.tobytes()


@given(writes(), st.integers(0, 2**31))
@settings(deadline=None, max_examples=100)
def test_undo_leaves_later_edits_alone(given: dict[str, Any], seed: int) -> None:
    labels = given["labels"]
    start = labels.copy()
    change = write_object(**given)
    later = np.random.default_rng(seed).random(labels.shape) < 0.3
    labels[later] = 9
    change.undo(labels)
    assert (labels[later] == 9).all()
    np.testing.assert_array_equal(labels[~later], start[~later])


def test_two_writes_are_undone_in_turn() -> None:
    labels = np.zeros((6, 6), np.uint32)
    whole = (slice(0, 6), slice(0, 6))
    mask = np.zeros((6, 6), bool)
    mask[:4, :4] = True
    states = [labels.copy()]
    changes: list[Change] = []
    for label, part in ((1, mask), (2, mask[::-1, ::-1]), (1, mask.T[::-1])):
        changes.append(write_object(labels, whole, part, label))
        states.append(labels.copy())
    for change, state in zip(changes[::-1], states[-2::-1], strict=True):
        change.undo(labels)
        np.testing.assert_array_equal(labels, state)


def test_a_reopened_object_gives_up_what_it_has_no_more() -> None:
    labels = np.zeros((4, 10, 10), np.uint32)
    old = (slice(1, 3), slice(2, 6), slice(2, 6))
    labels[old] = 5
    labels[0, 0, 0] = 5  # beyond what is replaced
    new = (slice(1, 3), slice(4, 9), slice(4, 9))
    change = write_object(labels, new, np.ones((2, 5, 5), bool), 5, replace=old)
    assert (labels == 5).sum() == 2 * 25 + 1
    assert labels[1, 2, 2] == 0
    assert change.region == (slice(1, 3), slice(2, 9), slice(2, 9))
    assert change.ids == (5,)


def test_a_view_is_written_through() -> None:
    whole = np.zeros((8, 8, 8), np.uint32)
    view = whole[1:-1, ::2, 1:].transpose(2, 0, 1)
    write_object(view, (slice(0, 2), slice(1, 3), slice(0, 4)), np.ones((2, 2, 4), bool), 3)
    assert (whole == 3).sum() == 16
    assert whole[2, 0, 1] == 3


def test_ids_are_found_without_the_labels() -> None:
    assert free_id([]) == 1
    assert free_id([3, 900, 7]) == 901
    assert free_id({1, 2, 4, 2**32 - 2}) == 3
    assert free_id(np.array([2**32 - 2], np.uint32)) == 1


def bad() -> dict[str, dict[str, Any]]:
    frozen = np.zeros((6, 6), np.uint32)
    frozen.flags.writeable = False
    box = (slice(1, 3), slice(1, 3))
    return {
        "read-only": {"labels": frozen},
        "memory": {"labels": [[0]]},
        "uint32": {"labels": np.zeros((6, 6), np.float32)},
        ">i4": {"labels": np.zeros((6, 6), ">i4")},
        "'all'": {"protected": "al"},
        "one bool per id": {"protected": lambda ids: ids},
        "7 is locked": {"protected": {7}},
        "between 1 and": {"label": 0},
        "whole number": {"label": 1.5},
        "1 and 255": {"label": 256, "labels": np.zeros((6, 6), np.uint8)},
        "1 and 4294967294": {"label": 2**32 - 1},
        "each of the 2 axes": {"region": (*box, slice(0, 1))},
        "lies outside": {"region": (slice(-1, 1), slice(0, 2))},
        "region to be replaced": {"replace": (slice(0, 7), slice(0, 2))},
        "must be bool": {"mask": np.ones((2, 2), np.uint8)},
        "shape (2, 2)": {"mask": np.ones((3, 2), bool)},
    }


@pytest.mark.parametrize("words", bad())
def test_what_cannot_be_written_is_refused(words: str) -> None:
    arguments = {
        "labels": np.zeros((6, 6), np.uint32),
        "region": (slice(1, 3), slice(1, 3)),
        "mask": np.ones((2, 2), bool),
        "label": 7,
    } | bad()[words]
    before = np.array(arguments["labels"])
    with pytest.raises(InputError) as caught:
        write_object(**arguments)
    assert words in str(caught.value)
    np.testing.assert_array_equal(np.array(arguments["labels"]), before)


def test_a_change_is_undone_in_its_own_labels_only() -> None:
    labels = np.zeros((6, 6), np.uint32)
    change = write_object(labels, (slice(3, 6), slice(3, 6)), np.ones((3, 3), bool), 1)
    with pytest.raises(InputError, match="lies outside the labels"):
        change.undo(np.zeros((4, 4), np.uint32))
    with pytest.raises(InputError, match="these are int64"):
        change.undo(np.zeros((6, 6), np.int64))
