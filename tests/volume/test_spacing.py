import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg import InputError
from napari_cellseg.volume.spacing import StatedSpacing, check_spacing, micrometres, settle_spacing

BAD = [
    0, 1.0, "1", "123", None, (), (1,), (1, 2, 3, 4), (0, 1, 1), (-1, 1, 1), (math.nan, 1, 1),
    (math.inf, 1, 1), ("1", "1", "1"), (None, 1, 1), (1j, 1, 1), (True, 1, 1), {1: 1, 2: 2, 3: 3},
    ((1, 2), 1, 1), np.ones((3, 2)), (1e-30, 1, 1), (1e30, 1, 1), (10**400, 1, 1),
]  # fmt: skip


@pytest.mark.parametrize("spacing", BAD, ids=str)
def test_unusable_spacing_is_refused_in_one_sentence(spacing):
    with pytest.raises(InputError, match=r"^spacing=.*is not usable: pass[^\n]*\.$"):
        check_spacing(spacing)


@given(st.lists(st.floats(1e-6, 1e6), min_size=3, max_size=3))
def test_usable_spacing_is_kept_exactly(values):
    for kind in (tuple, list, np.array):
        assert check_spacing(kind(values)) == tuple(values)
    assert check_spacing([np.float64(values[0]), np.int64(2), 3]) == (values[0], 2.0, 3.0)


def test_two_numbers_do_for_2d_only():
    assert check_spacing((0.5, 0.25), is_3d=False) == (1.0, 0.5, 0.25)
    with pytest.raises(InputError, match="three numbers"):
        check_spacing((0.5, 0.25), is_3d=True)


@pytest.mark.parametrize(
    ("unit", "value"),
    [
        ("µm", 1), ("μm", 1), ("um", 1), ("\\u00B5m", 1), ("micron", 1), ("micrometer", 1),
        ("nm", 1e-3), ("nanometer", 1e-3), ("mm", 1e3), ("inch", 25400), ("cm", 1e4), ("m", 1e6),
        ("Å", 1e-4), ("angstrom", 1e-4), ("furlong", None), ("pixel", None),
    ],
)  # fmt: skip
def test_units(unit, value):
    assert micrometres(unit) == value


def _stated(z=None, y=None, x=None, unit="um", z_default=None):
    sizes = {a: s for a, s in zip("zyx", (z, y, x), strict=True) if s is not None}
    return StatedSpacing(sizes, dict.fromkeys(sizes, unit), z_default)


@pytest.mark.parametrize(
    ("stated", "spacing", "known", "said"),
    [
        (_stated(2, 0.5, 0.4), (2, 0.5, 0.4), True, None),
        (_stated(2000, 500, 400, "nm"), (2, 0.5, 0.4), True, None),
        (_stated(), (1, 1, 1), False, "not stated"),
        (_stated(0, 0.5, 0.4), (1, 1, 1), False, "z is stated as 0"),
        (_stated(2, -0.5, 0.4), (1, 1, 1), False, "y is stated as -0.5"),
        (_stated(2, 0.5, math.nan), (1, 1, 1), False, "x is stated as nan"),
        (_stated(math.inf, 0.5, 0.4), (1, 1, 1), False, "z is stated as inf"),
        (_stated(None, 0.5, 0.4), (1, 1, 1), False, "along z is not stated"),
        (_stated(None, 0.5, 0.4, z_default=1.0), (1, 0.5, 0.4), True, "default of 1 µm"),
        (_stated(None, 0.5, 0.4, "nm", z_default=1e6), (1, 1, 1), False, "along z is not stated"),
        (_stated(2, 0.5, 0.4, "furlong"), (1, 1, 1), False, "furlong"),
        (_stated(4, 2, 1, "pixel"), (2, 1, 0.5), False, "2 : 1 : 0.5"),
        (_stated(2.18, None, None, None), (2.18, 1, 1), False, "2.18 : 1 : 1"),
        (_stated(2, 0.5, 0.4, None), (2, 0.5, 0.4), True, "µm is assumed"),
    ],
)
def test_what_a_file_states_is_used_or_said(stated, spacing, known, said):
    found, is_known, notices = settle_spacing(stated, None, True)
    assert found == pytest.approx(spacing)
    assert is_known is known
    assert all(text.startswith("Spacing ") for text in notices)
    if said is None:
        assert notices == ()
    else:
        assert said in " ".join(notices)


def test_a_given_spacing_wins_silently_and_2d_ignores_z():
    assert settle_spacing(_stated(9, 9, 9), (1, 2, 3), True) == ((1.0, 2.0, 3.0), True, ())
    assert settle_spacing(_stated(9, 0.5, 0.4), None, False) == ((1.0, 0.5, 0.4), True, ())
