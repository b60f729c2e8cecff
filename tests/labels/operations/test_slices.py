"""One slice replaced; slices in between interpolated."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from label_worlds import Watched, World, worlds, written
from napari_cellseg.errors import InputError
from napari_cellseg.labels.operations import interpolate, replace_slice


@settings(deadline=None)
@given(worlds(ndim=3), st.integers(0, 2), st.integers(0, 2**31), st.booleans(), st.data())
def test_replace_slice(world: World, axis: int, seed: int, over: bool, data: st.DataObject):
    id = data.draw(st.sampled_from(world.ids))
    shape = world.labels.shape
    index = data.draw(st.integers(0, shape[axis] - 1))
    sides = [size for k, size in enumerate(shape) if k != axis]
    starts = [data.draw(st.integers(0, size - 1)) for size in sides]
    stops = [
        data.draw(st.integers(start + 1, size)) for start, size in zip(starts, sides, strict=True)
    ]
    region = tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))
    lengths = tuple(b - a for a, b in zip(starts, stops, strict=True))
    mask = np.random.default_rng(seed).random(lengths) < data.draw(st.sampled_from([0.0, 0.5]))
    expected = world.labels.copy()
    plane = np.moveaxis(expected, axis, 0)[index]
    new = np.zeros(plane.shape, np.bool_)
    new[region] = mask
    plane[(plane == id) & ~new] = 0
    plane[new & (over | (plane == 0))] = id
    arguments = (id, world.box(id), index, region, mask, axis, over)
    if not (expected == id).any():
        with pytest.raises(InputError, match=f"Object {id} would vanish"):
            replace_slice(world.labels, *arguments)
        return
    assert np.array_equal(written(world.labels, replace_slice(world.labels, *arguments)), expected)


def drawn_at(depth: int, drawn: dict[int, np.ndarray], axis: int = 0) -> World:
    sides = next(iter(drawn.values())).shape
    labels = np.zeros((depth, *sides), np.uint32)
    for k, mask in drawn.items():
        labels[k][mask] = 8
    return World(np.ascontiguousarray(np.moveaxis(labels, 0, axis)), (2.0, 0.5, 0.5))


def circle(row: float, col: float, radius: float) -> np.ndarray:
    rows, cols = np.indices((40, 50))
    return (rows - row) ** 2 + (cols - col) ** 2 < radius**2


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_cone(axis: int):
    # isotropic within the plane: spacing differs by axis, so compare where it does not
    world = drawn_at(11, {0: circle(20, 20, 15), 10: circle(20, 20, 5)}, axis)
    edits = interpolate(world.labels, 8, world.box(8), (1, 1, 1), axis)
    out = np.moveaxis(written(world.labels, edits), axis, 0) == 8
    for k in range(11):
        wanted = circle(20, 20, 15 - k)
        assert (out[k] ^ wanted).sum() <= 0.12 * wanted.sum() + 4


def test_far_apart_slices_are_shifted():
    world = drawn_at(9, {0: circle(8, 8, 5), 8: circle(30, 40, 5)})
    out = written(world.labels, interpolate(world.labels, 8, world.box(8), world.spacing)) == 8
    for k in range(9):
        wanted = circle(8 + 22 * k / 8, 8 + 32 * k / 8, 5)
        assert (out[k] & wanted).sum() > 0.75 * wanted.sum()
        assert abs(int(out[k].sum()) - int(wanted.sum())) < 0.25 * wanted.sum()


@settings(deadline=None)
@given(worlds(ndim=3), st.integers(0, 2), st.booleans(), st.data())
def test_only_empty_slices_are_filled(world: World, axis: int, over: bool, data: st.DataObject):
    id = data.draw(st.sampled_from(world.ids))
    planes = np.moveaxis(world.labels, axis, 0)
    emptied = data.draw(st.sets(st.integers(0, len(planes) - 1)))
    for k in emptied:
        planes[k][planes[k] == id] = 0
    mask = world.labels == id
    filled = np.flatnonzero((planes == id).any(axis=(1, 2)))
    if not len(filled):
        return
    watched = Watched(world.labels)
    if len(filled) < 2:
        with pytest.raises(InputError, match="two or more drawn slices"):
            interpolate(watched, id, world.box(id), world.spacing, axis)
        return
    edits = interpolate(watched, id, world.box(id), world.spacing, axis, None, over)
    assert watched.read_within(world.box(id))
    out = written(world.labels, edits)
    gained = (out == id) & ~mask
    assert np.array_equal(out[~gained], world.labels[~gained])
    assert over or (world.labels[gained] == 0).all()
    where = set(np.flatnonzero(np.moveaxis(gained, axis, 0).any(axis=(1, 2))).tolist())
    between = {k for k in range(filled[0], filled[-1]) if k not in filled}
    assert where <= between
    if over:
        assert where == between


def test_named_slices_replace_what_is_between():
    drawn = {k: circle(20, 20, 5) for k in range(5)}
    drawn[2] = circle(30, 40, 3)
    world = drawn_at(5, drawn)
    edits = interpolate(world.labels, 8, world.box(8), world.spacing, 0, [0, 4])
    out = written(world.labels, edits) == 8
    assert all(np.array_equal(out[k], circle(20, 20, 5)) for k in range(5))
    with pytest.raises(InputError, match="nothing in slice 7"):
        interpolate(world.labels, 8, world.box(8), world.spacing, 0, [0, 7])


def test_nothing_is_missing():
    world = drawn_at(3, {k: circle(20, 20, 5) for k in range(3)})
    assert interpolate(world.labels, 8, world.box(8), world.spacing) == []


def test_others_are_spared_unless_asked():
    world = drawn_at(3, {0: circle(20, 20, 5), 2: circle(20, 20, 5)})
    world.labels[1, 20, 20] = 4
    for over in (False, True):
        edits = interpolate(world.labels, 8, world.box(8), world.spacing, 0, None, over)
        out = written(world.labels, edits)
        assert out[1, 20, 20] == (8 if over else 4)
        assert out[1, 20, 21] == 8


FLAT, BOX = (slice(0, 4),) * 2, (slice(0, 3),) * 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: replace_slice(x[0], 1, FLAT, 0, FLAT, x[0] > 0), "no slices"),
        (lambda x: interpolate(x[0], 1, FLAT, (1, 1, 1)), "no slices"),
        (lambda x: replace_slice(x, 1, BOX, 3, FLAT, x[0] > 0), "no plane 3"),
        (lambda x: replace_slice(x, 1, BOX, 1, (slice(1, 5),) * 2, x[0] > 0), "outside"),
    ],
)
def test_bad_input(call: Any, message: str):
    with pytest.raises(InputError, match=message):
        call(np.ones((3, 4, 4), np.uint32))
