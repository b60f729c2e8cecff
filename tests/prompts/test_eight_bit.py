from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_cellseg.errors import InputError
from napari_cellseg.prompts import picture


@given(arrays(np.uint8, (5, 7)))
def test_8_bit_passes_through(plane: Any) -> None:
    seen = picture(plane, limits=(10, 20))
    assert seen.shape == (5, 7, 3)
    assert (seen == plane[..., None]).all()
    rgb = np.stack([plane, 255 - plane, plane], axis=2)
    assert (picture(rgb) == rgb).all()


@given(
    arrays(np.uint16, (6, 6)),
    st.integers(0, 40_000),
    st.integers(1, 20_000),
)
def test_limits_become_black_and_white(plane: Any, low: int, width: int) -> None:
    seen = picture(plane, (low, low + width))[..., 0].astype(float)
    expected = np.clip((plane.astype(float) - low) / width, 0, 1) * 255
    assert np.abs(seen - expected).max() <= 0.5 + 1e-2
    wide = picture(plane.astype(np.float64), (low, low + width))
    assert np.abs(wide[..., 0] - expected).max() <= 0.5 + 1e-6


def test_percentiles_of_the_plane_are_the_default() -> None:
    plane = np.linspace(-1, 1, 10_000).reshape(100, 100)
    seen = picture(plane)
    assert (seen.min(), seen.max()) == (0, 255)
    assert 40 <= (seen == 0).sum() / 3 <= 80
    spots = np.zeros((100, 100))
    spots[3, 4] = 7
    assert picture(spots).max() == 255
    assert picture(np.eye(4, dtype=bool)).max() == 255


@pytest.mark.parametrize(
    ("plane", "limits", "message"),
    [
        (np.full((4, 4), np.nan), None, "NaN or infinite"),
        (np.array([[0, np.inf]]), (0, 1), "NaN or infinite"),
        (np.full((4, 4), 7.0), None, "constant"),
        (np.full((4, 4), 300, np.uint16), None, r"every value is 300"),
        (np.zeros((0, 4)), None, "shape"),
        (np.zeros((4, 4, 4)), None, "shape"),
        (np.zeros(4), None, "shape"),
        (np.zeros((4, 4), complex), None, "real numbers"),
        (np.array([["a"]]), None, "real numbers"),
        (np.eye(4), (1, 1), "black below white"),
        (np.eye(4), (np.nan, 1), "black below white"),
        (np.eye(4), (1,), "two numbers"),
    ],
)
def test_unusable(plane: Any, limits: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        picture(plane, limits)


def test_a_constant_plane_is_fine_where_limits_are_given() -> None:
    assert (picture(np.full((2, 2), 5.0), (0, 10)) == 128).all()
