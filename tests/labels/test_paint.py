"""Painting an object changes nothing but what was asked for, and can be taken back."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels.core import LabelCore
from napari_cellseg.labels.paint import painted

AXES = {2: (9, 12), 3: (5, 7, 8), 4: (2, 4, 5, 6)}


@st.composite
def writes(draw: st.DrawFn) -> dict[str, Any]:
    """Labels of a few objects, and an object to write into them."""
    shape = AXES[draw(st.integers(2, 4))]
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    labels = rng.integers(0, 5, shape).astype(np.uint32)
    labels[rng.random(shape) < draw(st.floats(0, 1))] = 0

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


def applied(given: dict[str, Any]) -> LabelCore:
    labels = given["labels"]
    axes = {2: "yx", 3: "zyx", 4: "tzyx"}[labels.ndim]
    document = LabelCore(labels, axes, (1.0, 1.0, 1.0))
    before = labels.copy()
    edits = painted(**given)
    np.testing.assert_array_equal(labels, before, "they are only read")
    document.apply(*edits)
    return document


@given(writes())
@settings(deadline=None, max_examples=250)
def test_painting_does_what_it_says_and_no_more(given: dict[str, Any]) -> None:
    labels, mask, label = given["labels"], given["mask"], given["label"]
    start = labels.copy()
    document = applied(given)
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
    if document.can_undo:
        document.undo()
        np.testing.assert_array_equal(labels, start)
    else:
        np.testing.assert_array_equal(expected, start)


def test_a_reopened_object_gives_up_what_it_has_no_more() -> None:
    labels = np.zeros((4, 10, 10), np.uint32)
    old = (slice(1, 3), slice(2, 6), slice(2, 6))
    labels[old] = 5
    labels[0, 0, 0] = 5  # beyond what is replaced
    new = (slice(1, 3), slice(4, 9), slice(4, 9))
    mask = np.ones((2, 5, 5), bool)
    applied({"labels": labels, "region": new, "mask": mask, "label": 5, "replace": old})
    assert (labels == 5).sum() == 2 * 25 + 1
    assert labels[1, 2, 2] == 0


def bad() -> dict[str, dict[str, Any]]:
    box = (slice(1, 3), slice(1, 3))
    return {
        "'all'": {"protected": "al"},
        "one bool per id": {"protected": lambda ids: ids},
        "7 is locked": {"protected": {7}},
        "between 1 and": {"label": 0},
        "whole number": {"label": 1.5},
        "1 and 4294967294": {"label": 2**32 - 1},
        "each of the 2 axes": {"region": (*box, slice(0, 1))},
        "lies outside": {"region": (slice(-1, 1), slice(0, 2))},
        "region to be replaced": {"replace": (slice(0, 7), slice(0, 2))},
        "must be bool": {"mask": np.ones((2, 2), np.uint8)},
        "shape (2, 2)": {"mask": np.ones((3, 2), bool)},
    }


@pytest.mark.parametrize("words", bad())
def test_what_cannot_be_painted_is_refused(words: str) -> None:
    arguments = {
        "labels": np.full((6, 6), 3, np.uint32),
        "region": (slice(1, 3), slice(1, 3)),
        "mask": np.ones((2, 2), bool),
        "label": 7,
    } | bad()[words]
    with pytest.raises(InputError) as caught:
        painted(**arguments)
    assert words in str(caught.value)
