"""Numbers of masks, against what is known of them."""

import numpy as np
import pytest

from napari_cellseg.labels.review.contact import surface_of
from napari_cellseg.labels.review.doubt import outlying
from napari_cellseg.labels.review.shape import (
    elongation,
    hull,
    neck,
    plane_numbers,
    stray_share,
    thinned,
)

ONE = np.ones(2)


def disc(shape, centre, radius) -> np.ndarray:
    grid = np.indices(shape)
    return sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) < radius**2


def test_the_hull_of_a_box_is_the_box():
    box = np.zeros((8, 9), bool)
    box[2:5, 1:8] = True
    assert hull(box, np.array([2.0, 0.5])) == pytest.approx((3 * 2 * 7 * 0.5, 2 * (6 + 3.5)))
    cube = np.ones((2, 3, 4), bool)
    assert hull(cube, np.ones(3)) == pytest.approx((24, 2 * (6 + 8 + 12)))
    assert hull(np.ones((1, 1), bool), ONE) == pytest.approx((1, 4))


def test_two_lobes_have_a_neck_and_a_disc_has_none():
    one = disc((40, 60), (20, 20), 11)
    two = one | disc((40, 60), (20, 39), 11)
    assert neck(one, ONE) == 0
    assert neck(two, ONE) > 0.2
    assert neck(two, ONE) > neck(one | disc((40, 60), (20, 30), 11), ONE)
    assert neck(np.ones((3, 3), bool), ONE) == 0


def test_elongation_counts_in_micrometres():
    rod = np.zeros((40, 40), bool)
    rod[18:22, 4:36] = True
    assert elongation(rod, ONE) == pytest.approx(np.log(8), rel=0.02)
    assert elongation(rod, np.array([8.0, 1.0])) == pytest.approx(0, abs=0.02)
    assert elongation(np.ones((1, 2), bool), ONE) == 0


def test_pieces_and_thinning():
    mask = np.zeros((10, 10), bool)
    mask[:3, :3] = True
    assert stray_share(mask) == 0
    mask[8, 8] = True
    assert stray_share(mask) == pytest.approx(0.1)
    large = disc((400, 400), (200, 200), 150)
    small, steps, part = thinned(large, ONE)
    assert small.size <= 40_000
    assert small.sum() * np.prod(steps) == pytest.approx(large.sum(), rel=0.01)
    np.testing.assert_array_equal(large[part], small)
    thin = np.zeros((400, 400), bool)
    thin[1] = True
    assert thinned(thin, ONE)[0].any()


def test_planes_of_a_volume():
    ball = disc((11, 25, 25), (5, 8, 8), 6)
    spacing = np.ones(3)
    whole = plane_numbers(ball, spacing)
    assert whole["gaps"] == 0
    assert whole["drift"] == 0
    gapped = ball.copy()
    gapped[5] = False
    assert plane_numbers(gapped, spacing)["gaps"] == pytest.approx(1 / 11)
    moved = ball.copy()
    moved[5:] = np.roll(moved[5:], 5, axis=1)
    assert plane_numbers(moved, spacing)["drift"] > 0.5
    halved = ball.copy()
    halved[6:, :, :8] = False
    assert plane_numbers(halved, spacing)["area_jump"] > whole["area_jump"]
    assert set(plane_numbers(ball[5], ONE).values()) == {0.0}


def test_the_surface_by_hand():
    labels = np.zeros((6, 8), np.uint32)
    labels[1:4, 1:4] = 5
    labels[1:4, 4:6] = 9
    values = np.arange(48, dtype=np.float32).reshape(6, 8)
    found = surface_of(labels, 5, np.array([2.0, 1.0]), (values,))
    # three faces of 2 at each side, three of 1 above and below
    assert found.area == pytest.approx(3 * 2 * 2 + 3 * 1 * 2)
    assert (found.neighbour, found.share) == (9, pytest.approx(6 / 18))
    assert found.between == (pytest.approx(values[1:4, 3:5].mean()),)
    alone = surface_of(np.where(labels == 9, 0, labels), 5, ONE, ())
    assert (alone.neighbour, alone.share, alone.between) == (0, 0.0, ())
    filled = surface_of(np.full((3, 3), 5, np.uint32), 5, ONE, (values[:3, :3],))
    assert filled.area == 0


def test_outliers_are_robust():
    values = np.r_[np.random.default_rng(0).normal(10, 1, 400), 100.0, np.nan]
    z = outlying(values, 0.1)
    assert np.nanmedian(z) == pytest.approx(0, abs=1e-9)
    assert 70 < z[400] < 120
    assert np.isnan(z[401])
    assert np.abs(z[:400]).mean() == pytest.approx(0.8, abs=0.1)
    assert not outlying(np.array([1.0, 9.0, 50.0]), 0.1).any()
