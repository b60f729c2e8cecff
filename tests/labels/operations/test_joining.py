"""Merging, deleting, renumbering, adding and taking over, against plain array code."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from label_worlds import Watched, World, counter, worlds, written
from napari_cellseg.errors import InputError
from napari_cellseg.labels.operations import delete, merge, new_object, relabel, transfer


@settings(deadline=None)
@given(worlds(), st.data())
def test_merge(world: World, data: st.DataObject):
    if len(world.ids) < 2:
        return
    ids = data.draw(st.lists(st.sampled_from(world.ids), min_size=2, unique=True))
    watched = Watched(world.labels)
    edits = merge(watched, ids, [world.box(one) for one in ids])
    expected = world.labels.copy()
    expected[np.isin(expected, ids)] = ids[0]
    assert np.array_equal(written(world.labels, edits), expected)
    assert sum(int(edit.mask.sum()) for edit in edits) == (expected != world.labels).sum()
    assert all(key in [world.box(one) for one in ids] for key in watched.read)


@pytest.mark.parametrize("ids", [[], [3], [3, 3]])
def test_merge_needs_two(ids: list[int]):
    labels = np.full((3, 3), 3, np.uint32)
    with pytest.raises(InputError, match="two or more"):
        merge(labels, ids, [(slice(0, 3),) * 2] * len(ids))


@settings(deadline=None)
@given(worlds(), st.data())
def test_delete(world: World, data: st.DataObject):
    ids = data.draw(st.lists(st.sampled_from(world.ids), min_size=1, unique=True))
    edits = delete(Watched(world.labels), ids, [world.box(one) for one in ids])
    expected = np.where(np.isin(world.labels, ids), 0, world.labels)
    assert np.array_equal(written(world.labels, edits), expected)


@settings(deadline=None)
@given(worlds(most=7), st.integers(1, 30), st.data())
def test_relabel(world: World, start: int, data: st.DataObject):
    keep = data.draw(st.sets(st.sampled_from(world.ids)))
    boxes = [world.box(one) for one in world.ids]
    edits, mapping = relabel(Watched(world.labels), world.ids, boxes, start, keep)
    out = world.labels.copy()
    for edit in edits:  # at no time do two objects share an id
        assert not (out == edit.values).any()
        out = written(out, [edit])
    assert mapping.keys() == set(world.ids)
    for old, new in mapping.items():
        assert np.array_equal(world.labels == old, out == new)
        assert new == old or old not in keep
    moved = [mapping[one] for one in world.ids if one not in keep]
    free = [one for one in range(start, start + len(world.ids) + len(keep)) if one not in keep]
    assert moved == free[: len(moved)]


def test_relabel_from_zero():
    with pytest.raises(InputError, match="begin at 1"):
        relabel(np.ones((2, 2), np.uint32), [1], [(slice(0, 2),) * 2], 0)


@settings(deadline=None)
@given(worlds(), st.integers(0, 2**31), st.booleans())
def test_new_object(world: World, seed: int, over: bool):
    mask = np.random.default_rng(seed).random(world.labels.shape) < 0.3
    region = tuple(slice(0, size) for size in mask.shape)
    chosen = mask if over else mask & (world.labels == 0)
    if not chosen.any():
        with pytest.raises(InputError):
            new_object(world.labels, region, mask, 99, over)
        return
    edits = new_object(world.labels, region, mask, 99, over)
    expected = np.where(chosen, 99, world.labels)
    assert np.array_equal(written(world.labels, edits), expected)


@settings(deadline=None)
@given(worlds(ndim=2), worlds(ndim=2), st.booleans())
def test_transfer(one: World, other: World, over: bool):
    shape = tuple(min(pair) for pair in zip(one.labels.shape, other.labels.shape, strict=True))
    cut = tuple(slice(0, size) for size in shape)
    source, target = World(one.labels[cut].copy(), one.spacing), other.labels[cut].copy()
    taken = [int(k) for k in np.unique(target) if k]
    boxes = [source.box(k) for k in source.ids]
    edits, mapping = transfer(
        source.labels, target, source.ids, boxes, taken, counter(target), over
    )
    out = written(target, edits)
    for k in source.ids:
        there = source.labels == k
        free = there if over else there & (target == 0)
        if k not in mapping:
            assert not free.any()
            continue
        assert (mapping[k] == k) == (k not in taken)
        assert np.array_equal(out == mapping[k], free)
    assert len(set(mapping.values())) == len(mapping)
    brought = np.isin(source.labels, list(mapping)) & (over | (target == 0))
    assert np.array_equal(out[~brought], target[~brought])


def test_transfer_between_shapes():
    labels = np.ones((3, 3), np.uint32)
    with pytest.raises(InputError, match="same grid"):
        transfer(labels, np.zeros((3, 4), np.uint32), [1], [(slice(0, 3),) * 2], [], list)


def test_transfer_gives_no_new_id_that_another_object_brings():
    source = np.array([[1, 2, 3]], np.uint32)
    target = np.zeros((1, 3), np.uint32)
    boxes = [(slice(0, 1), slice(k, k + 1)) for k in range(3)]
    _, mapping = transfer(source, target, [1, 2, 3], boxes, [1], lambda n: list(range(2, 2 + n)))
    assert mapping == {1: 4, 2: 2, 3: 3}
