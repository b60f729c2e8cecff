"""Masks over the borders of tiles: who is asked, with what, and what is believed."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from napari_cellseg.prompts.answer import Region
from napari_cellseg.prompts.stitch import AGREE, Stitched, stitch
from napari_cellseg.prompts.tile_region import cut, tight
from napari_cellseg.prompts.tiles import Grid

GRID = Grid((100, 100), (40, 40), (12, 12))
MARGIN = (2, 2)
EVERYWHERE = (slice(0, 100), slice(0, 100))


def seen(truth: NDArray[np.bool_], tile: int, points: NDArray[np.float64]) -> Region:
    """What a perfect model answers in a tile: the parts of the truth under the points."""
    rows, cols = GRID.place(tile)
    numbers, _ = ndimage.label(truth[rows, cols], np.ones((3, 3)))
    at = (points - (rows.start, cols.start)).astype(int)
    mask = np.isin(numbers, np.setdiff1d(numbers[at[:, 0], at[:, 1]], 0))
    return tight(((rows, cols), mask))


def followed(
    truth: NDArray[np.bool_], place: tuple[float, float], most: int = 16
) -> tuple[Stitched, list[tuple[int, NDArray[np.float64]]]]:
    asked: list[tuple[int, NDArray[np.float64]]] = []

    def ask(tile: int, points: NDArray[np.float64]) -> Sequence[Region]:
        asked.append((tile, points))
        return [seen(truth, tile, points)]

    tile = GRID.best((*place, *place))
    first = seen(truth, tile, np.array([place]))
    return stitch(GRID, [tile], first, ask, MARGIN, most), asked


def blob(row: float, col: float, tall: float, wide: float) -> NDArray[np.bool_]:
    rows, cols = np.ogrid[:100, :100]
    return np.asarray(((rows - row) / tall) ** 2 + ((cols - col) / wide) ** 2 <= 1)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 99), st.integers(0, 99), st.floats(1, 45), st.floats(1, 45), st.integers(0, 9999)
)
def test_an_ellipse_is_followed_wherever_it_goes(
    row: int, col: int, tall: float, wide: float, pick: int
) -> None:
    truth = blob(row, col, tall, wide)
    places = np.argwhere(truth)
    place = places[pick % len(places)]
    result, asked = followed(truth, (float(place[0]), float(place[1])))
    np.testing.assert_array_equal(cut(result.region, EVERYWHERE), truth)
    assert len({tile for tile, _ in asked}) == len(asked) == result.asked
    for tile, points in asked:  # in the tile, and on the object
        rows, cols = GRID.place(tile)
        assert truth[tuple(points.astype(int).T)].all()
        assert ((points >= (rows.start, cols.start)) & (points < (rows.stop, cols.stop))).all()


def test_a_mask_away_from_the_borders_is_returned_as_it_is() -> None:
    region = seen(blob(20, 20, 5, 5), 0, np.array([[20.0, 20.0]]))

    def ask(tile: int, points: NDArray[np.float64]) -> None:
        raise AssertionError

    result = stitch(GRID, [0], region, ask, MARGIN)
    assert result.region is region
    assert (result.tiles, result.missing, result.asked) == ((0,), (), 0)


def test_no_more_tiles_are_asked_than_may_be() -> None:
    result, asked = followed(np.ones((100, 100), bool), (50, 50), most=3)
    assert len(asked) == result.asked == 3
    assert len(result.tiles) == 4


def test_tiles_that_are_not_encoded_are_named() -> None:
    truth = blob(20, 38, 6, 12)
    result = stitch(GRID, [0], seen(truth, 0, np.array([[20.0, 30.0]])), lambda *_: None, MARGIN)
    assert result.missing == (1,)
    assert result.tiles == (0,)
    np.testing.assert_array_equal(cut(result.region, EVERYWHERE)[:, :40], truth[:, :40])


@pytest.mark.parametrize("shrunk", [1.0, 0.8, 0.6, 0.3])
def test_the_candidate_that_agrees_best_is_united_or_none(shrunk: float) -> None:
    truth = blob(20, 38, 8, 12)
    first = seen(truth, 0, np.array([[20.0, 30.0]]))
    place = GRID.place(1)
    shared = (place[0], slice(place[1].start, 40))
    wrong = tight((EVERYWHERE, blob(35, 34, 4, 6)))
    beyond = np.arange(100) >= shared[1].start
    smaller = tight((EVERYWHERE, blob(20, 38, 8 * shrunk, 12) & beyond))
    mine, other = cut(first, shared), cut(smaller, shared)
    agreement = (mine & other).sum() / (mine | other).sum()
    result = stitch(GRID, [0], first, lambda *_: [wrong, smaller], MARGIN)
    got = cut(result.region, EVERYWHERE)
    if agreement >= AGREE:
        expected = cut(first, EVERYWHERE) | cut(smaller, EVERYWHERE)
        np.testing.assert_array_equal(got, expected)
        assert result.tiles == (0, 1)
    else:
        assert result.region is first
        assert result.tiles == (0,)
        assert result.asked > 0


def test_every_arm_of_a_horseshoe_is_followed() -> None:
    truth = np.zeros((100, 100), bool)
    truth[4:10, 5:90] = truth[28:34, 5:90] = truth[4:34, 5:9] = True
    result, _ = followed(truth, (19, 6))
    np.testing.assert_array_equal(cut(result.region, EVERYWHERE), truth)
