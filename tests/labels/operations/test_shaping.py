"""Filling, growing, shrinking and smoothing, against the same done on the whole volume."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from label_worlds import Watched, World, worlds, written
from napari_cellseg.errors import InputError
from napari_cellseg.labels.operations import fill_holes, grow, shrink, smooth

LENGTHS = st.sampled_from([0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0])


def chosen(world: World, data: st.DataObject) -> tuple[int, np.ndarray]:
    id = data.draw(st.sampled_from(world.ids))
    return id, world.labels == id


def dropped(mask: np.ndarray, box: Any) -> Any:
    """Sampling that makes axes along which an object is flat count as one plane."""
    lengths = [cut.stop - cut.start for cut in box]
    return [k for k, n in enumerate(lengths) if n == 1] if max(lengths) > 1 else []


@settings(deadline=None)
@given(worlds(), st.data())
def test_fill_holes(world: World, data: st.DataObject):
    id, mask = chosen(world, data)
    if dropped(mask, world.box(id)):
        return
    watched = Watched(world.labels)
    edits = fill_holes(watched, id, world.box(id))
    assert watched.read_within(world.box(id))
    filled = ndimage.binary_fill_holes(mask) & (world.labels == 0)
    expected = np.where(filled, id, world.labels)
    assert np.array_equal(written(world.labels, edits), expected)


@settings(deadline=None)
@given(worlds(ndim=3), st.integers(0, 2), st.data())
def test_fill_holes_plane_by_plane(world: World, axis: int, data: st.DataObject):
    id, mask = chosen(world, data)
    if dropped(mask, world.box(id)):
        return
    edits = fill_holes(world.labels, id, world.box(id), axis)
    planes = [ndimage.binary_fill_holes(np.take(mask, k, axis)) for k in range(mask.shape[axis])]
    filled = np.stack(planes, axis) & (world.labels == 0)
    assert np.array_equal(written(world.labels, edits), np.where(filled, id, world.labels))


def test_what_is_enclosed_stays():
    labels = np.full((7, 7), 2, np.uint32)
    labels[2:5, 2:5] = 0
    labels[3, 3] = 5
    out = written(labels, fill_holes(labels, 2, (slice(0, 7),) * 2))
    assert out[3, 3] == 5
    assert (np.delete(out.ravel(), 24) == 2).all()


@settings(deadline=None)
@given(worlds(), LENGTHS, st.data())
def test_grow(world: World, distance: float, data: st.DataObject):
    id, mask = chosen(world, data)
    watched = Watched(world.labels)
    edits = grow(watched, id, world.box(id), distance, world.spacing, flat=())
    margins = [distance / step + 1 for step in world.steps]
    assert watched.read_within(world.box(id), margins)
    near = ndimage.distance_transform_edt(~mask, sampling=world.steps) <= distance * (1 + 1e-6)
    possible = mask | (near & (world.labels == 0))
    pieces, _ = ndimage.label(possible, np.ones((3,) * mask.ndim))
    reached = np.isin(pieces, np.unique(pieces[mask])) & possible
    assert np.array_equal(written(world.labels, edits), np.where(reached, id, world.labels))


def test_grow_stays_in_its_plane():
    labels = np.zeros((5, 9, 9), np.uint32)
    labels[1:4, 4, 4] = 3
    box = (slice(2, 3), slice(4, 5), slice(4, 5))
    out = written(labels, grow(labels, 3, box, 2, (1, 1, 1), flat=(0,)))
    assert np.array_equal(np.delete(out, 2, 0), np.delete(labels, 2, 0))
    assert (out[2] == 3).sum() == 13


def test_grow_does_not_jump_over_a_neighbour():
    labels = np.zeros((1, 9), np.uint32)
    labels[0, :3], labels[0, 3] = 1, 2
    out = written(labels, grow(labels, 1, (slice(0, 1), slice(0, 3)), 4, (1, 1, 1)))
    assert np.array_equal(out, labels)


@settings(deadline=None)
@given(worlds(), LENGTHS, st.data())
def test_shrink(world: World, distance: float, data: st.DataObject):
    id, mask = chosen(world, data)
    box = world.box(id)
    if dropped(mask, box):
        return
    watched = Watched(world.labels)
    kept = mask
    if not mask.all():  # beyond the labels there is nothing known, so nothing eats it from there
        kept = ndimage.distance_transform_edt(mask, sampling=world.steps) > distance * (1 + 1e-6)
    if not kept.any():
        with pytest.raises(InputError, match=f"Object {id} would vanish: use Delete"):
            shrink(watched, id, box, distance, world.spacing)
        return
    edits = shrink(watched, id, box, distance, world.spacing)
    assert watched.read_within(box, [1] * mask.ndim)
    assert np.array_equal(written(world.labels, edits), np.where(mask & ~kept, 0, world.labels))


def test_shrink_leaves_out_the_axis_along_which_it_is_flat():
    labels = np.zeros((5, 9, 9), np.uint32)
    labels[2, 2:7, 2:7] = 4
    box = (slice(2, 3), slice(2, 7), slice(2, 7))
    out = written(labels, shrink(labels, 4, box, 1, (1, 1, 1)))
    assert (out[2, 3:6, 3:6] == 4).all()
    assert (out == 4).sum() == 9


@settings(deadline=None)
@given(worlds(), LENGTHS, st.data())
def test_smooth(world: World, width: float, data: st.DataObject):
    id, mask = chosen(world, data)
    watched = Watched(world.labels)
    edits = smooth(watched, id, world.box(id), width, world.spacing)
    assert watched.read_within(world.box(id), [3 * width / step + 1 for step in world.steps])
    out = written(world.labels, edits)
    assert (out == id).sum() == mask.sum()
    others = (world.labels != 0) & ~mask
    assert np.array_equal(out[others], world.labels[others])
    assert set(np.unique(out)) <= set(np.unique(world.labels)) | {0}


def test_smooth_takes_off_spikes_and_keeps_a_ball():
    grid = np.indices((21, 21, 21)) - 10
    labels = ((grid**2).sum(0) < 60).astype(np.uint32)
    out = written(labels, smooth(labels, 1, (slice(0, 21),) * 3, 1.0, (1, 1, 1)))
    assert (out != labels).sum() < 0.05 * labels.sum()
    spiky = labels.copy()
    spiky[10, 10, 18:21] = 1
    out = written(spiky, smooth(spiky, 1, (slice(0, 21),) * 3, 1.5, (1, 1, 1)))
    assert not out[10, 10, 19:].any()


@pytest.mark.parametrize("operation", [grow, shrink, smooth])
@pytest.mark.parametrize("length", [0, -1, np.nan, np.inf])
def test_lengths_must_be_positive(operation: Any, length: float):
    with pytest.raises(InputError, match="above 0"):
        operation(np.ones((3, 3), np.uint32), 1, (slice(0, 3),) * 2, length, (1, 1, 1))


def test_one_voxel():
    labels = np.zeros((3, 3, 3), np.uint32)
    labels[1, 1, 1] = 6
    box = (slice(1, 2),) * 3
    assert fill_holes(labels, 6, box) == []
    assert smooth(labels, 6, box, 2.0, (1, 1, 1)) == []
    assert (written(labels, grow(labels, 6, box, 1, (1, 1, 1))) == 6).sum() == 7
    with pytest.raises(InputError, match="vanish"):
        shrink(labels, 6, box, 1, (1, 1, 1))


def test_object_that_fills_the_labels():
    labels = np.full((3, 4, 5), 6, np.uint32)
    box = (slice(0, 3), slice(0, 4), slice(0, 5))
    for operation in (grow, shrink, smooth):
        assert operation(labels, 6, box, 2.0, (1, 1, 1)) == []
    assert fill_holes(labels, 6, box) == []
