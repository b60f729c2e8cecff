"""Discs, balls and polygons, painted and erased."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from label_worlds import World, worlds, written
from napari_cellseg.errors import InputError
from napari_cellseg.labels.operations import ball, disc, erase, paint, polygon

SHAPE = (6, 12, 14)
SPACING = st.tuples(*[st.sampled_from([0.5, 1.0, 3.0])] * 3)
AT = st.tuples(st.floats(0, 5), st.floats(0, 11), st.floats(0, 13))


def dense(box: Any, mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    out = np.zeros(shape, np.bool_)
    out[box] = mask
    return out


def expected_ball(at: Any, radius: float, spacing: Any, shape: tuple[int, ...]) -> np.ndarray:
    grid = np.indices(shape)
    far = sum(((grid[k] - at[k]) * spacing[k]) ** 2 for k in range(len(shape)))
    out = far <= radius**2 * (1 + 1e-9)
    out[tuple(np.floor(np.array(at) + 0.5).astype(int))] = True
    return out


@settings(deadline=None)
@given(AT, st.floats(0, 6), SPACING)
def test_ball(at: Any, radius: float, spacing: Any):
    found = dense(*ball(at, radius, spacing, SHAPE), SHAPE)
    assert np.array_equal(found, expected_ball(at, radius, spacing, SHAPE))


@settings(deadline=None)
@given(AT, st.floats(0, 6), SPACING, st.integers(0, 2), st.data())
def test_disc(at: Any, radius: float, spacing: Any, axis: int, data: st.DataObject):
    ends = st.integers(0, SHAPE[axis] - 1)
    through = data.draw(st.none() | st.tuples(ends, ends))
    found = dense(*disc(at, radius, spacing, SHAPE, axis, through), SHAPE)
    here = int(np.floor(at[axis] + 0.5))
    first, last = sorted(through or (here, here))
    rest = [k for k in range(3) if k != axis]
    flat = expected_ball(
        [at[k] for k in rest], radius, [spacing[k] for k in rest], tuple(SHAPE[k] for k in rest)
    )
    planes = np.moveaxis(found, axis, 0)
    assert all(np.array_equal(planes[k], flat) == (first <= k <= last) for k in range(len(planes)))
    assert planes.sum() == flat.sum() * (last - first + 1)


def test_polygon_through_slices():
    corners = [(1.5, 2.5), (1.5, 9.5), (8.5, 9.5), (8.5, 2.5)]
    found = dense(*polygon(corners, SHAPE, 0, (3, 1)), SHAPE)
    expected = np.zeros(SHAPE, np.bool_)
    expected[1:4, 2:9, 3:10] = True
    assert np.array_equal(found, expected)
    side = dense(*polygon([(-3, -3), (-3, 99), (99, 99), (99, -3)], SHAPE, 1, (4, 4)), SHAPE)
    assert side[:, 4].all()
    assert side.sum() == 6 * 14


def test_flat_drawings():
    box, mask = disc((3, 3), 1, (9, 1, 1), (6, 6))
    assert dense(box, mask, (6, 6)).sum() == 5
    box, mask = polygon([(0, 0), (0, 5), (5, 0)], (6, 6))
    triangle = dense(box, mask, (6, 6))
    assert triangle[1, 1]
    assert not triangle[4, 4]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: ball((99, 0, 0), 1, (1, 1, 1), SHAPE), "outside the labels"),
        (lambda: ball((0, 0), 1, (1, 1, 1), SHAPE), "3 finite coordinates"),
        (lambda: ball((0, 0, 0), -1, (1, 1, 1), SHAPE), "radius"),
        (lambda: ball((0, 0, 0), np.nan, (1, 1, 1), SHAPE), "radius"),
        (lambda: disc((0, 0, 0), 1, (1, 1, 1), SHAPE, 0, (0, 6)), "planes 0 to 6"),
        (lambda: disc((np.nan, 0, 0), 1, (1, 1, 1), SHAPE), "planes"),
        (lambda: polygon([(0, 0), (1, 1)], SHAPE, 0, (0, 0)), "three or more"),
        (lambda: polygon([(0, 0), (0, 1), (1, 1)], SHAPE), "through which planes"),
        (lambda: polygon([(50, 0), (50, 1), (60, 1)], SHAPE, 0, (0, 0)), "outside"),
    ],
)
def test_bad_drawings(draw: Any, message: str):
    with pytest.raises(InputError, match=message):
        draw()


@settings(deadline=None)
@given(worlds(), st.integers(0, 2**31), st.booleans(), st.data())
def test_paint_and_erase(world: World, seed: int, over: bool, data: st.DataObject):
    rng = np.random.default_rng(seed)
    mask = rng.random(world.labels.shape) < 0.4
    region = tuple(slice(0, size) for size in mask.shape)
    id = data.draw(st.sampled_from([*world.ids, 77]))
    painted = written(world.labels, paint(world.labels, id, region, mask, over))
    where = mask if over else mask & (world.labels == 0)
    assert np.array_equal(painted, np.where(where, id, world.labels))
    ids = data.draw(st.none() | st.sets(st.sampled_from(world.ids)))
    erased = written(world.labels, erase(world.labels, ids, region, mask))
    gone = mask if ids is None else mask & np.isin(world.labels, list(ids))
    assert np.array_equal(erased, np.where(gone, 0, world.labels))


def test_a_mask_must_fill_its_box():
    labels = np.zeros((4, 4), np.uint32)
    box = (slice(0, 2), slice(0, 2))
    for mask in (np.ones((3, 2), np.bool_), np.ones((2, 2), np.uint8)):
        with pytest.raises(InputError, match="must be bool and fill its box"):
            paint(labels, 1, box, mask)
        with pytest.raises(InputError, match="must be bool and fill its box"):
            erase(labels, None, box, mask)
