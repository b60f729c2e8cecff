import json

import numpy as np
import pytest

from napari_cellseg.errors import InputError
from napari_cellseg.flows.limits import (
    intensity_limits,
    limits_of,
    luminance,
    normalised,
    sample_voxels,
)
from napari_cellseg.networks import Intensities


def test_limits_are_percentiles_of_finite_values() -> None:
    stack = np.linspace(0, 1, 8 * 50 * 50).reshape(8, 50, 50).astype(np.float32)
    stack[0, 0, :5] = [np.nan, np.inf, -np.inf, np.nan, np.inf]
    low, high = intensity_limits([stack], Intensities((1, 99)))
    assert low == pytest.approx(0.01, abs=2e-3)
    assert high == pytest.approx(0.99, abs=2e-3)


def test_a_few_bright_voxels_still_have_limits() -> None:
    stack = np.zeros((4, 64, 64), np.uint8)
    stack[2, 5, 5] = 9
    assert intensity_limits([stack], Intensities((1, 99.8))) == (0.0, 9.0)


@pytest.mark.parametrize("value", [7.0, np.nan])
def test_no_contrast_is_an_error_that_names_the_image(value: float) -> None:
    with pytest.raises(InputError, match="the movie"):
        intensity_limits([np.full((3, 8, 8), value, np.float32)], Intensities((1, 99)), "the movie")


def test_the_sample_is_bounded_and_deterministic() -> None:
    stack = np.random.default_rng(0).random((40, 200, 300)).astype(np.float32)
    sample = sample_voxels([stack, stack], limit=50_000)
    assert sample.size <= 80_000
    np.testing.assert_array_equal(sample, sample_voxels([stack, stack], limit=50_000))


def test_every_time_point_counts() -> None:
    dark, bright = np.zeros((4, 32, 32), np.float32), np.full((4, 32, 32), 5, np.float32)
    assert set(np.unique(sample_voxels([dark, bright]))) == {0.0, 5.0}


def test_colour_is_reduced_before_sampling() -> None:
    rgb = np.zeros((16, 16, 3), np.uint8)
    rgb[:8, :, 1] = 100
    assert intensity_limits([rgb], Intensities((0, 100)), to_grey=luminance)[1] == pytest.approx(
        58.7
    )


def test_normalised_maps_limits_and_replaces_what_is_not_finite() -> None:
    values = np.array([10, 20, np.nan, np.inf, -np.inf], np.float32)
    np.testing.assert_array_equal(normalised(values, (10, 20)), [0, 1, 0, 8, 0])


def test_channels_have_limits_together_or_each_their_own() -> None:
    rng = np.random.default_rng(0)
    stack = rng.random((6, 40, 40, 2)).astype(np.float32) * [1, 100]
    stack[0, 0, 0, 1] = np.nan
    low, high = intensity_limits([stack], Intensities((0, 100)), channels=True)
    assert (low, high) == (pytest.approx(0, abs=0.1), pytest.approx(100, abs=0.1))
    apart = intensity_limits([stack], Intensities((0, 100), together=False), channels=True)
    assert np.asarray(apart).shape == (2, 2)
    assert apart[0][1] == pytest.approx(1, abs=0.01)
    assert apart[1][1] == pytest.approx(100, abs=0.1)
    seen = normalised(stack, apart)
    assert np.nanmax(seen[..., 0]) == pytest.approx(1, abs=0.01)
    assert seen[..., 1].mean() == pytest.approx(0.5, abs=0.02)
    assert limits_of(json.loads(json.dumps(apart))) == apart
    assert limits_of([0, 2]) == (0.0, 2.0)


def test_percentiles_may_be_those_of_values_that_are_not_zero() -> None:
    stack = np.zeros((4, 50, 50), np.float32)
    stack[:, :5] = np.linspace(1, 2, 4 * 5 * 50).reshape(4, 5, 50)
    low, high = intensity_limits([stack], Intensities((0, 50), nonzero=True))
    assert (low, high) == (1.0, pytest.approx(1.5, abs=0.01))
    assert intensity_limits([stack], Intensities((0, 50)))[1] == 2.0


def test_a_constant_channel_is_named() -> None:
    stack = np.random.default_rng(0).random((3, 9, 9, 2)).astype(np.float32)
    stack[..., 1] = 7
    with pytest.raises(InputError, match="channel 1 of the image is constant"):
        intensity_limits([stack], Intensities((1, 99), together=False), channels=True)
