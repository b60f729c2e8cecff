"""Outlines along pixel edges give exactly their pixels back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_cellseg.labels.formats.edges import fill, trace

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))


def filled(loops: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    whole = np.zeros(shape, bool)
    region, inside = fill(loops, shape)
    whole[region] = inside
    return whole


@settings(deadline=None)
@given(masks)
def test_filling_the_outline_gives_the_mask(mask: np.ndarray):
    assert np.array_equal(filled(trace(mask), mask.shape), mask)


@settings(deadline=None)
@given(masks)
def test_outlines_are_closed_along_axes_without_needless_corners(mask: np.ndarray):
    for loop in trace(mask):
        steps = np.diff(loop, axis=0, append=loop[:1])
        assert np.all((steps == 0).sum(1) == 1)
        # every corner turns
        assert np.all((steps[:, 0] == 0) != (np.roll(steps[:, 0], 1) == 0))


def test_a_hole_runs_the_other_way_round():
    mask = np.ones((3, 3), bool)
    mask[1, 1] = False
    outer, hole = trace(mask)

    def area(loop: np.ndarray) -> float:
        y, x = loop.T
        return float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2)

    assert (area(outer), area(hole)) == (9, -1)


def test_pixels_that_meet_at_a_corner_are_two_outlines():
    assert len(trace(np.eye(2, dtype=bool))) == 2


@settings(deadline=None)
@given(
    hnp.arrays(
        np.float64, st.tuples(st.integers(3, 7), st.just(2)), elements=st.floats(-4, 12, width=16)
    )
)
def test_a_pixel_is_inside_if_its_centre_is(loop: np.ndarray):
    """Compared with counting crossings to the left of each centre, away from edges."""
    shape = (8, 8)
    found = filled([loop], shape)
    y1, x1 = loop.T
    y2, x2 = np.roll(loop, -1, axis=0).T
    for row, col in np.ndindex(shape):
        y, x = row + 0.5, col + 0.5
        spans = (y1 < y) != (y2 < y)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            cross = x1 + (y - y1) * (x2 - x1) / (y2 - y1)
        on_edge = spans & (np.abs(cross - x) < 1e-6)
        if not on_edge.any() and not np.any((y1 == y) | (y2 == y)):
            assert found[row, col] == (np.count_nonzero(spans & (cross < x)) % 2 == 1)


def test_a_centre_on_an_edge_belongs_to_the_left_as_in_imagej():
    square = np.array([[0, 0.5], [0, 2.5], [2, 2.5], [2, 0.5]])
    assert filled([square], (2, 4))[0].tolist() == [False, True, True, False]


@pytest.mark.parametrize("loops", [[], [np.zeros((2, 2))], [np.full((4, 2), 50.0)]])
def test_nothing_is_inside_nothing(loops: list[np.ndarray]):
    assert not filled(loops, (5, 5)).any()
