import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg.widgets.scales import LogitScale, LogScale

SCALES = [LogitScale(), LogScale(), LogScale(1, 500)]


@pytest.mark.parametrize("scale", SCALES)
@given(position=st.floats(0, 1))
def test_values_stay_inside_and_come_back_to_their_position(scale, position):
    value = scale.value(position)
    assert scale.low <= value <= scale.high
    again = scale.value(scale.position(value))
    assert math.isclose(again, value, rel_tol=0.02, abs_tol=0.0011)


@pytest.mark.parametrize("scale", SCALES)
@given(a=st.floats(0, 1), b=st.floats(0, 1))
def test_scales_are_monotonic(scale, a, b):
    low, high = sorted((a, b))
    assert scale.value(low) <= scale.value(high)


def test_the_middle_is_one_half_and_the_ends_are_the_range():
    scale = LogitScale()
    assert scale.value(0.5) == 0.5
    assert scale.value(0) == 0.003
    assert scale.value(1) == 0.997
    # half of the way down from the middle is a small probability, not a quarter
    assert 0.04 < scale.value(0.25) < 0.06


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.50"), (0.25, "0.25"), (0.05, "0.050"), (0.003, "0.003"), (0.997, "0.997")],
)
def test_probabilities_are_shown_with_sensible_digits(value, text):
    assert LogitScale().text(value) == text


@pytest.mark.parametrize(("value", "text"), [(1, "1"), (300, "300"), (12400, "12,400")])
def test_sizes_are_whole_numbers(value, text):
    assert LogScale().text(value) == text
