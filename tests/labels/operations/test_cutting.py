"""Cutting by a line or a plane: two sides, and nothing else."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from label_worlds import Watched, World, counter, worlds, written
from napari_cellseg.errors import InputError
from napari_cellseg.labels.operations import cut_line, cut_plane

NUMBERS = st.floats(-3, 13).map(lambda value: round(value, 2))


@settings(deadline=None)
@given(worlds(), st.data())
def test_plane(world: World, data: st.DataObject):
    id = data.draw(st.sampled_from(world.ids))
    ndim = world.labels.ndim
    point = [data.draw(NUMBERS) for _ in range(ndim)]
    normal = [data.draw(st.sampled_from([-1.0, 0.0, 0.5, 2.0])) for _ in range(ndim)]
    if not any(normal):
        return
    grid = np.indices(world.labels.shape)
    height = sum((grid[k] - point[k]) * world.steps[k] * normal[k] for k in range(ndim))
    inside, above = world.labels == id, height >= 0
    watched, fresh = Watched(world.labels), counter(world.labels)
    sides = [inside & above, inside & ~above]
    if not all(one.any() for one in sides):
        with pytest.raises(InputError, match=f"leaves object {id} whole"):
            cut_plane(watched, id, world.box(id), point, normal, fresh, world.spacing)
        return
    edits = cut_plane(watched, id, world.box(id), point, normal, fresh, world.spacing)
    assert watched.read_within(world.box(id))
    smaller = min(reversed(sides), key=np.count_nonzero)
    expected = np.where(smaller, world.labels.max() + 1, world.labels)
    assert np.array_equal(written(world.labels, edits), expected)


@settings(deadline=None)
@given(worlds(), st.data())
def test_straight_line_is_a_plane(world: World, data: st.DataObject):
    id = data.draw(st.sampled_from(world.ids))
    axis = data.draw(st.integers(0, world.labels.ndim - 1)) if world.labels.ndim == 3 else 0
    start, end = ((data.draw(NUMBERS), data.draw(NUMBERS)) for _ in range(2))
    if np.hypot(end[0] - start[0], end[1] - start[1]) < 0.5:
        return
    rest = [k for k in range(world.labels.ndim) if world.labels.ndim == 2 or k != axis]
    steps = np.array([world.steps[k] for k in rest])
    along = (np.array(end) - np.array(start)) * steps
    grid = np.indices(world.labels.shape)[rest]
    off = [(grid[k] - start[k]) * steps[k] for k in range(2)]
    left = off[0] * along[1] - off[1] * along[0] >= 0
    args = (world.box(id), [start, end], counter(world.labels), world.spacing, axis)
    try:
        edits = cut_line(Watched(world.labels), id, *args)
    except InputError as error:
        inside = world.labels == id
        missed = "misses" in str(error)
        assert missed or not (inside & left).any() or not (inside & ~left).any()
        return
    out, inside = written(world.labels, edits), world.labels == id
    assert np.array_equal(out[~inside], world.labels[~inside])
    near = np.abs(off[0] * along[1] - off[1] * along[0]) < 1e-6 * np.hypot(*along)
    sides = {frozenset(np.unique(out[inside & side & ~near])) for side in (left, ~left)}
    assert all(len(one) <= 1 for one in sides)
    assert len(np.unique(out[inside])) == 2


@settings(deadline=None)
@given(worlds(), st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=6), st.data())
def test_bent_line_makes_two_parts(world: World, line: Any, data: st.DataObject):
    id = data.draw(st.sampled_from(world.ids))
    try:
        edits = cut_line(
            world.labels, id, world.box(id), line, counter(world.labels), world.spacing
        )
    except InputError:
        return
    out, inside = written(world.labels, edits), world.labels == id
    assert np.array_equal(out[~inside], world.labels[~inside])
    kept, new = (out[inside] == id).sum(), (out[inside] == world.labels.max() + 1).sum()
    assert kept + new == inside.sum()
    assert kept >= new > 0


def block() -> World:
    labels = np.zeros((4, 20, 20), np.uint32)
    labels[:, 2:18, 2:18] = 9
    return World(labels, (2.0, 0.5, 0.5))


def test_round_the_corner():
    world = block()
    line = [(0, 10), (10, 10), (10, 0)]
    fresh = counter(world.labels)
    out = written(world.labels, cut_line(world.labels, 9, world.box(9), line, fresh, world.spacing))
    assert (out[:, 2:10, 2:10] == 10).all()
    assert (out[:, 11:18, 2:18] == 9).all()
    assert (out[:, 2:18, 11:18] == 9).all()


def test_only_in_the_plane():
    world = block()
    box = (slice(1, 2), *world.box(9)[1:])
    edits = cut_line(world.labels, 9, box, [(0, 8), (19, 8)], counter(world.labels), world.spacing)
    out = written(world.labels, edits)
    assert (np.delete(out, 1, 0) == np.delete(world.labels, 1, 0)).all()
    assert (out[1, 2:18, 2:8] == 10).all()
    assert (out[1, 2:18, 9:18] == 9).all()


def test_a_freehand_line_of_many_points():
    world = block()
    rows = np.linspace(-1, 21, 400)
    line = np.stack([rows, 10 + 2 * np.sin(rows)], axis=1)
    out = written(
        world.labels,
        cut_line(world.labels, 9, world.box(9), line, counter(world.labels), world.spacing),
    )
    cols = np.arange(20)
    for row in range(2, 18):
        clear = np.abs(cols - 10 - 2 * np.sin(row)) > 1
        side = (cols < 10 + 2 * np.sin(row))[2:18]
        values = out[0, row, 2:18]
        assert len(np.unique(values[side & clear[2:18]])) == 1
        assert values[0] != values[-1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ([(0, 0)], "two or more points"),
        ([(5, 5), (5, 5)], "two or more points"),
        ([(0, 0), (0, 19)], "misses object 9"),
        ([(30, 5), (40, 5)], "misses object 9"),
        ([(2, 1), (2, 19), (0, 30)], "whole"),
        ([(0, np.inf), (1, 1)], "finite"),
        ([1, 2, 3], "points"),
    ],
)
def test_bad_lines(line: Any, message: str):
    world = block()
    with pytest.raises(InputError, match=message):
        cut_line(world.labels, 9, world.box(9), line, counter(world.labels), world.spacing)


@pytest.mark.parametrize(
    ("point", "normal"),
    [((1, 1), (1, 0, 0)), ((1, 1, 1), (0, 0, 0)), ((1, 1, np.nan), (1, 0, 0))],
)
def test_bad_planes(point: Any, normal: Any):
    world = block()
    with pytest.raises(InputError, match="point and normal"):
        cut_plane(world.labels, 9, world.box(9), point, normal, counter(world.labels), (1, 1, 1))
