"""Drawings become the pixels whose centres they hold, at the cost of their own box."""

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.measure import points_in_poly

from napari_cellseg.errors import InputError
from napari_cellseg.prompts import Prompt
from napari_cellseg.prompts.answer import Region
from napari_cellseg.prompts.mask_region import seen_in, tight, whole, within
from napari_cellseg.prompts.outline import lasso, scribble

SHAPE = (23, 31)
coordinates = st.one_of(
    st.floats(-10, 40, width=32), st.integers(-5, 35), st.integers(-10, 70).map(lambda n: n / 2)
)
drawings = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=9)


def distances(points: Any, closed: bool) -> NDArray[np.float64]:
    """Distance of each pixel's centre from the drawn line, segment by segment."""
    line = np.asarray(points, float)
    ends = np.roll(line, -1, axis=0) if closed else np.vstack([line[1:], line[-1:]])
    grid = np.stack(np.mgrid[: SHAPE[0], : SHAPE[1]], axis=-1).astype(float)
    out = np.full(SHAPE, np.inf)
    for one, two in zip(line, ends, strict=True):
        along = two - one
        square = max(float(along @ along), 1e-300)
        part = np.clip(((grid - one) @ along) / square, 0, 1)
        out = np.minimum(out, np.linalg.norm(grid - one - part[..., None] * along, axis=-1))
    return out


def drawn(make: Callable[[], Region]) -> NDArray[np.bool_]:
    try:
        region = make()
    except InputError:
        return np.zeros(SHAPE, bool)
    place, mask = region
    assert mask.any(axis=0)[[0, -1]].all()
    assert mask.any(axis=1)[[0, -1]].all()
    assert mask.shape == (place[0].stop - place[0].start, place[1].stop - place[1].start)
    return whole(region, SHAPE)


@given(drawings)
@settings(deadline=None, max_examples=300)
def test_a_lasso_holds_the_centres_inside_it(vertices: list[tuple[float, float]]) -> None:
    mask = drawn(lambda: lasso(vertices, SHAPE))
    centres = np.stack(np.mgrid[: SHAPE[0], : SHAPE[1]], axis=-1).reshape(-1, 2)
    expected = points_in_poly(centres, np.asarray(vertices, float)).reshape(SHAPE)
    clear = distances(vertices, closed=True) > 1e-6
    np.testing.assert_array_equal(mask[clear], expected[clear])


@given(drawings, st.floats(0.1, 15))
@settings(deadline=None, max_examples=300)
def test_a_scribble_holds_the_centres_near_it(
    points: list[tuple[float, float]], width: float
) -> None:
    mask = drawn(lambda: scribble(points, width, SHAPE))
    away = distances(points, closed=False)
    radius = max(width / 2, np.sqrt(0.5))
    clear = np.abs(away - radius) > 1e-6
    np.testing.assert_array_equal(mask[clear], (away <= radius)[clear])


@given(drawings)
@settings(deadline=None, max_examples=60)
def test_a_thin_scribble_is_never_broken(points: list[tuple[float, float]]) -> None:
    from scipy.ndimage import label

    inner = np.clip(points, 1, 20)
    mask = drawn(lambda: scribble(inner, 0.1, SHAPE))
    assert label(mask, np.ones((3, 3)))[1] == 1
    for row, col in inner:
        assert mask[round(row), round(col)]


def test_a_rectangle_holds_exactly_its_pixels() -> None:
    box = [(1.5, 2.5), (1.5, 7.5), (5.5, 7.5), (5.5, 2.5)]
    (rows, cols), mask = lasso(box, SHAPE)
    assert (rows, cols) == (slice(2, 6), slice(3, 8))
    assert mask.all()
    same = lasso([*box, box[0]], SHAPE)[1]  # closed by hand
    np.testing.assert_array_equal(same, mask)
    neighbours = (
        lasso([(0, 0), (0, 4), (4, 4), (4, 0)], SHAPE),
        lasso([(0, 4), (0, 9), (4, 9), (4, 4)], SHAPE),
    )
    shared = whole(neighbours[0], SHAPE) & whole(neighbours[1], SHAPE)
    assert not shared.any()  # no pixel on the shared edge belongs to both


def test_a_drawing_over_the_border_is_cut() -> None:
    (rows, cols), mask = lasso([(-50, -50), (-50, 4.5), (3.5, 4.5), (3.5, -50)], SHAPE)
    assert (rows, cols) == (slice(0, 4), slice(0, 5))
    assert mask.all()
    (rows, cols), _ = scribble([(-5, -5), (100, 100)], 3, SHAPE)
    assert (rows, cols) == (slice(0, 23), slice(0, 25))


def test_a_drawing_is_a_mask_prompt() -> None:
    mask = whole(lasso([(2, 2), (2, 9), (9, 5)], SHAPE), SHAPE)
    prompt = Prompt(mask=mask).within(SHAPE)
    assert prompt.mask is not None
    assert prompt.mask.sum() == mask.sum() > 10


def test_a_small_drawing_is_cheap_on_a_huge_plane() -> None:
    angle = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    circle = 4000 + 300 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    lasso(circle, (8192, 8192))
    tracemalloc.start()
    try:
        start = time.process_time()
        region = lasso(circle, (8192, 8192))
        stroke = scribble(circle[:200], 9, (8192, 8192))
        spent = time.process_time() - start
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert region[1].sum() == pytest.approx(np.pi * 300**2, rel=0.001)
    assert stroke[1].size < 100 * 100
    assert most < 8 * 2**20  # the plane has 64 MiB
    assert spent < 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: lasso([(1, 1), (5, np.nan), (9, 9)], SHAPE), "NaN"),
        (lambda: lasso([(1, 1), (5, np.inf), (9, 9)], SHAPE), "infinite"),
        (lambda: lasso([(1, 1), (5, 5)], SHAPE), "three vertices"),
        (lambda: lasso([(1, 1), (5, 5), (1, 1)], SHAPE), "three vertices"),
        (lambda: lasso([], SHAPE), "three vertices"),
        (lambda: lasso([(1, 1), (5, 5), (9, 9)], SHAPE), "no area"),
        (lambda: lasso([(1.1, 1.1), (1.1, 1.4), (1.4, 1.2)], SHAPE), "no pixel"),
        (lambda: lasso([(0.9, 0.2), (1.1, 0.2), (1.0, 0.9)], SHAPE), "no pixel"),
        (lambda: lasso([(50, 50), (50, 60), (60, 50)], SHAPE), "no pixel"),
        (lambda: lasso([(1, 1), (1, 1e300), (9, 9)], SHAPE), "draw it smaller"),
        (lambda: lasso([(1, 2, 3)], SHAPE), "\\(n, 2\\)"),
        (lambda: lasso("round", SHAPE), "must be numbers"),
        (lambda: lasso([(1, 1), (1, 9), (9, 9)], (0, 9)), "both positive"),
        (lambda: scribble([], 3, SHAPE), "no points"),
        (lambda: scribble([(1, np.nan)], 3, SHAPE), "NaN"),
        (lambda: scribble([(1, 1)], 0, SHAPE), "width 0"),
        (lambda: scribble([(1, 1)], np.nan, SHAPE), "width nan"),
        (lambda: scribble([(-9, -9), (-9, 40)], 3, SHAPE), "no pixel"),
        (lambda: scribble([(-5, 3), (3, -5)], 1, SHAPE), "no pixel"),
    ],
)
def test_what_cannot_be_drawn_is_said(make: Callable[[], Region], words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()


@given(st.integers(0, 2**31), st.integers(0, 20), st.integers(0, 20))
@settings(deadline=None, max_examples=60)
def test_a_mask_and_its_region_are_the_same(seed: int, row: int, col: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros(SHAPE, bool)
    mask[row : row + 5, col : col + 6] = rng.random(mask[row : row + 5, col : col + 6].shape) < 0.3
    region = within(mask)
    np.testing.assert_array_equal(whole(region, SHAPE), mask)
    assert tight(region)[0] == region[0]
    low, high = np.sort(rng.integers(0, 23, 2)), np.sort(rng.integers(0, 31, 2))
    place = slice(int(low[0]), int(low[1])), slice(int(high[0]), int(high[1]))
    np.testing.assert_array_equal(seen_in(region, place), mask[place])
