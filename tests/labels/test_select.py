"""Objects chosen by size, border, probability, class, lock, place and condition."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg.errors import InputError
from napari_cellseg.labels.select import select


def table(planar: bool = False) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples([(0, 2), (0, 5), (1, 2), (1, 9)], names=["t", "id"])
    columns: dict[str, Any] = {
        "voxels": [10, 200, 3000, 40],
        "touches_border": [True, False, False, True],
        "locked": [False, True, False, False],
        "class": ["glia", "", "neuron", "glia"],
        "probability": [0.2, 0.9, np.nan, 0.6],
    }
    for axis in "yx" if planar else "zyx":
        columns[f"bbox_{axis}0"] = [0, 4, 10, 16]
        columns[f"bbox_{axis}1"] = [3, 7, 13, 19]
    return pd.DataFrame(columns, index=index)


A, B, C, D = (0, 2), (0, 5), (1, 2), (1, 9)


@pytest.mark.parametrize(
    ("conditions", "chosen"),
    [
        ({}, [A, B, C, D]),
        ({"voxels": (40, 200)}, [B, D]),
        ({"voxels": (None, 40)}, [A, D]),
        ({"voxels": (41, None)}, [B, C]),
        ({"touches_border": True}, [A, D]),
        ({"touches_border": False}, [B, C]),
        ({"probability": (0.5, None)}, [B, D]),
        ({"class_name": "glia"}, [A, D]),
        ({"class_name": ""}, [B]),
        ({"locked": True}, [B]),
        ({"locked": False, "class_name": "glia", "t": 1}, [D]),
        ({"region": (slice(None), slice(5, 12), slice(0, 40))}, [B, C]),
        ({"query": "voxels < 300 and not locked"}, [A, D]),
        ({"query": "id == 2 and t == 1"}, [C]),
        ({"query": "`class` == 'neuron'"}, [C]),
    ],
)
def test_conditions(conditions: dict[str, Any], chosen: list[tuple[int, int]]):
    assert select(table(), **conditions) == chosen


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_lasso_through_the_depth(axis: int):
    mask = np.zeros((12, 40), np.bool_)
    mask[5, 5] = mask[1, 2] = True
    assert select(table(), region=mask, axis=axis) == [B]


def test_lasso_in_a_volume_and_in_a_picture():
    mask = np.zeros((20, 20, 20), np.bool_)
    mask[11, 11, 11] = True
    assert select(table(), region=mask) == [C]
    assert select(table(planar=True), region=mask[11]) == [C]


def test_column_with_missing_classes():
    frame = table()
    frame["class"] = [None, "glia", np.nan, ""]
    assert select(frame, class_name="") == [A, C, D]


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"query": "size <"}, "cannot be understood"),
        ({"query": "nonsense > 3"}, "cannot be understood"),
        ({"query": "voxels + 1"}, "yes or no"),
        ({"query": "@pd"}, "cannot be understood"),
        ({"query": "3"}, "yes or no"),
        ({"region": np.ones((2, 2), np.uint8)}, "mask of bool"),
        ({"region": np.ones(4, np.bool_)}, "mask of bool"),
        ({"region": (slice(0, 3),)}, "1 slices does not fit 3"),
    ],
)
def test_bad_conditions(conditions: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        select(table(), **conditions)


def test_column_that_is_missing():
    with pytest.raises(InputError, match="no column 'probability'"):
        select(table().drop(columns="probability"), probability=(0, 1))


@given(st.lists(st.integers(0, 50)), st.integers(0, 50), st.integers(0, 50))
def test_range(values: list[int], low: int, high: int):
    index = pd.MultiIndex.from_tuples([(0, k) for k in range(len(values))], names=["t", "id"])
    frame = pd.DataFrame({"voxels": np.array(values, np.int64)}, index=index)
    expected = [(0, k) for k, value in enumerate(values) if low <= value <= high]
    assert select(frame, voxels=(low, high)) == expected
