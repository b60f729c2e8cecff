import numpy as np
import pytest

from napari_cellseg.errors import InputError
from napari_cellseg.flows.limits import intensity_limits, luminance, normalised, sample_voxels


def test_limits_are_percentiles_of_finite_values() -> None:
    stack = np.linspace(0, 1, 8 * 50 * 50).reshape(8, 50, 50).astype(np.float32)
    stack[0, 0, :5] = [np.nan, np.inf, -np.inf, np.nan, np.inf]
    low, high = intensity_limits([stack], (1, 99))
    assert low == pytest.approx(0.01, abs=2e-3)
    assert high == pytest.approx(0.99, abs=2e-3)


def test_a_few_bright_voxels_still_have_limits() -> None:
    stack = np.zeros((4, 64, 64), np.uint8)
    stack[2, 5, 5] = 9
    assert intensity_limits([stack], (1, 99.8)) == (0.0, 9.0)


@pytest.mark.parametrize("value", [7.0, np.nan])
def test_no_contrast_is_an_error_that_names_the_image(value: float) -> None:
    with pytest.raises(InputError, match="the movie"):
        intensity_limits([np.full((3, 8, 8), value, np.float32)], (1, 99), "the movie")


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
    assert intensity_limits([rgb], (0, 100), to_grey=luminance)[1] == pytest.approx(58.7)


def test_normalised_maps_limits_and_replaces_what_is_not_finite() -> None:
    values = np.array([10, 20, np.nan, np.inf, -np.inf], np.float32)
    np.testing.assert_array_equal(normalised(values, (10, 20)), [0, 1, 0, 8, 0])
