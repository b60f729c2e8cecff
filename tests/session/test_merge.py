"""Applying a proposal: hand edits stay, ids stay, the rest is new."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_cellseg.session.merge import SENTINEL, has_edits, merge_labels

SHAPE = (6, 8)
LABELS = arrays(np.uint32, SHAPE, elements=st.integers(0, 5))


def boxes(*spans: tuple[int, int, int], length: int = 20) -> np.ndarray:
    """Columns ``start`` to ``stop`` of a strip, by id."""
    strip = np.zeros((2, length), np.uint32)
    for label, start, stop in spans:
        strip[:, start:stop] = label
    return strip


def test_first_labels_are_taken_as_they_are() -> None:
    proposed = boxes((3, 0, 5), (9, 8, 12))
    merged = merge_labels(None, None, proposed, None, proposed.shape)
    np.testing.assert_array_equal(merged.labels, proposed)
    assert merged.labels is not merged.baseline
    assert not has_edits(merged.labels, merged.baseline)


def test_first_labels_of_a_region_lie_where_they_belong() -> None:
    proposed = np.ones((1, 4), np.uint32)
    merged = merge_labels(None, None, proposed, (slice(1, 2), slice(3, 7)), (2, 20))
    assert merged.labels.sum() == 4
    assert merged.labels[1, 3:7].all()


def test_edited_instance_stays_and_its_proposal_is_left_out() -> None:
    ours = boxes((1, 0, 5), (2, 8, 12))
    current = ours.copy()
    current[:, 5:7] = 1  # painted on
    proposed = boxes((1, 0, 4), (2, 8, 13), (3, 15, 18))
    merged = merge_labels(current, ours, proposed, None, ours.shape)
    np.testing.assert_array_equal(merged.labels, boxes((1, 0, 7), (2, 8, 13), (3, 15, 18)))
    assert merged.kept == 1
    assert has_edits(merged.labels, merged.baseline)


def test_edits_survive_a_second_apply() -> None:
    ours = boxes((1, 0, 5))
    current = boxes((1, 0, 7))
    proposed = boxes((1, 0, 3), (2, 10, 14))
    once = merge_labels(current, ours, proposed, None, ours.shape)
    twice = merge_labels(once.labels, once.baseline, boxes((7, 11, 14)), None, ours.shape)
    np.testing.assert_array_equal(twice.labels, boxes((1, 0, 7), (2, 11, 14)))


def test_deleted_instance_stays_deleted() -> None:
    ours = boxes((1, 0, 5), (2, 8, 12))
    current = boxes((2, 8, 12))
    merged = merge_labels(current, ours, ours, None, ours.shape)
    np.testing.assert_array_equal(merged.labels, current)


def test_partly_erased_instance_stays_as_it_is() -> None:
    ours = boxes((1, 0, 8))
    current = boxes((1, 0, 3))
    merged = merge_labels(current, ours, ours, None, ours.shape)
    np.testing.assert_array_equal(merged.labels, current)


def test_neighbour_gives_way_to_an_edited_instance() -> None:
    ours = boxes((1, 0, 5), (2, 6, 12))
    current = boxes((1, 0, 8), (2, 8, 12))
    proposed = boxes((4, 6, 20))
    merged = merge_labels(current, ours, proposed, None, ours.shape)
    assert (merged.labels[:, :8] == 1).all()
    assert (merged.labels[:, 8:12] == 2).all()  # paint was taken from it: edited, too
    assert len(np.unique(merged.labels[:, 12:])) == 1


def test_ids_go_on_by_overlap_and_new_ones_are_new() -> None:
    ours = boxes((11, 0, 5), (7, 8, 12))
    proposed = boxes((1, 8, 13), (2, 0, 4), (3, 15, 18))
    merged = merge_labels(ours.copy(), ours, proposed, None, ours.shape)
    np.testing.assert_array_equal(merged.labels, boxes((7, 8, 13), (11, 0, 4), (12, 15, 18)))


def test_ids_near_the_top_of_the_range() -> None:
    top = int(SENTINEL) - 1
    ours = boxes((top, 0, 5), (1, 6, 8))
    proposed = boxes((1, 0, 5), (2, 6, 8), (3, 15, 18))
    merged = merge_labels(ours.copy(), ours, proposed, None, ours.shape)
    np.testing.assert_array_equal(merged.labels, boxes((top, 0, 5), (1, 6, 8), (2, 15, 18)))


def test_outside_the_region_nothing_changes() -> None:
    ours = boxes((1, 0, 5), (2, 8, 12))
    proposed = np.zeros((2, 10), np.uint32)
    merged = merge_labels(ours.copy(), ours, proposed, (slice(0, 2), slice(0, 10)), ours.shape)
    np.testing.assert_array_equal(merged.labels, boxes((2, 10, 12)))


def test_new_ids_are_new_beyond_the_region_too() -> None:
    ours = boxes((1, 0, 3), (2, 15, 18))
    region = (slice(0, 2), slice(0, 10))
    proposed = boxes((1, 0, 3), (2, 5, 8), length=10)
    merged = merge_labels(ours.copy(), ours, proposed, region, ours.shape)
    np.testing.assert_array_equal(merged.labels, boxes((1, 0, 3), (3, 5, 8), (2, 15, 18)))


@settings(max_examples=200, deadline=None)
@given(ours=LABELS, current=LABELS, proposed=LABELS)
def test_no_edited_voxel_is_ever_lost(
    ours: np.ndarray, current: np.ndarray, proposed: np.ndarray
) -> None:
    before = current.copy()
    merged = merge_labels(current, ours, proposed, None, SHAPE)
    np.testing.assert_array_equal(current, before)
    changed = current != ours
    np.testing.assert_array_equal(merged.labels[changed], current[changed])
    for label in np.unique(current[changed & (current != 0)]):
        np.testing.assert_array_equal(merged.labels == label, current == label)


@settings(max_examples=100, deadline=None)
@given(current=LABELS, proposed=LABELS)
def test_adopted_instances_are_all_kept(current: np.ndarray, proposed: np.ndarray) -> None:
    merged = merge_labels(current, None, proposed, None, SHAPE)
    mine = current != 0
    np.testing.assert_array_equal(merged.labels[mine], current[mine])
    added = (merged.labels != 0) & ~mine
    assert not (added & (proposed == 0)).any()


@settings(max_examples=100, deadline=None)
@given(ours=LABELS, proposed=LABELS)
def test_without_edits_the_partition_is_the_proposed_one(
    ours: np.ndarray, proposed: np.ndarray
) -> None:
    merged = merge_labels(ours.copy(), ours, proposed, None, SHAPE)
    pairs = set(zip(proposed.ravel().tolist(), merged.labels.ravel().tolist(), strict=True))
    assert len(pairs) == len(np.unique(proposed)) == len(np.unique(merged.labels))
    assert merged.kept == 0
    assert not has_edits(merged.labels, merged.baseline)
