from typing import Any

import numpy as np
import pytest

from napari_cellseg.errors import InputError
from napari_cellseg.flows.request import (
    check_diameter,
    check_flow_error,
    check_fusion,
    check_min_size,
    check_probability,
    check_region,
    default_min_size,
)
from napari_cellseg.volume import as_volume

STACK = as_volume(np.zeros((20, 30, 40), np.uint8), spacing=(2, 0.5, 0.5))


@pytest.mark.parametrize("value", [0, 1, -0.1, 1.1, float("nan"), "much", None])
def test_bad_probability(value: Any) -> None:
    with pytest.raises(InputError, match="probability"):
        check_probability(value)


@pytest.mark.parametrize("value", [-1, 2.5, "10", float("nan")])
def test_bad_min_size(value: Any) -> None:
    with pytest.raises(InputError, match="min_size"):
        check_min_size(value)


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), "x"])
def test_bad_flow_error(value: Any) -> None:
    with pytest.raises(InputError, match="flow_error"):
        check_flow_error(value)


@pytest.mark.parametrize("value", [0, -3, float("nan"), float("inf"), "big", 0.9, 500])
def test_bad_diameter(value: Any) -> None:
    with pytest.raises(InputError, match="diameter"):
        check_diameter(value, STACK)


def test_good_values_pass() -> None:
    assert check_probability(np.float32(0.25)) == 0.25
    assert check_min_size(np.int64(7)) == 7
    assert check_min_size(None) is None
    assert check_flow_error(0.4) == 0.4
    assert check_diameter(8, STACK) == 8.0


def test_region_is_made_explicit() -> None:
    region = check_region((slice(-5, None), slice(None), slice(3, 9)), STACK)
    assert region == (slice(15, 20), slice(0, 30), slice(3, 9))
    assert check_region(None, STACK) == (slice(0, 20), slice(0, 30), slice(0, 40))


@pytest.mark.parametrize(
    "region",
    [
        (slice(None),),
        (slice(None), slice(None), 3),
        (slice(None, None, 2), slice(None), slice(None)),
        (slice(5, 5), slice(None), slice(None)),
        (slice(90, 99), slice(None), slice(None)),
    ],
)
def test_bad_region(region: Any) -> None:
    with pytest.raises(InputError, match="region"):
        check_region(region, STACK)


def test_smallest_size_follows_the_voxel_volume() -> None:
    assert default_min_size(10.0, (1, 1, 1), True) == 8
    assert default_min_size(10.0, (1, 1, 1), False) == 4
    assert default_min_size(5.0, (2, 0.5, 0.5), True) == 2
    assert default_min_size(0.1, (1, 1, 1), True) == 1


def test_fusions_have_names() -> None:
    assert [check_fusion(name) for name in ("mean", "weighted", "xy")] == ["mean", "weighted", "xy"]
    with pytest.raises(InputError, match="fusion='sum'"):
        check_fusion("sum")
