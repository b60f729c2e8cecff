"""Settings are checked when they are assigned, and announced."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cellseg.errors import InputError
from napari_cellseg.session import Parameters


@pytest.mark.parametrize(
    ("name", "value", "becomes"),
    [
        ("channel", np.int64(2), 2),
        ("checkpoint", "weights.pth", Path("weights.pth")),
        ("checkpoint", "", None),
        ("diameter", "11.5", 11.5),
        ("spacing", np.array([2, 0.5, 0.5]), (2.0, 0.5, 0.5)),
        ("probability", 0.003, 0.003),
        ("min_size", 300.0, 300),
        ("flow_error", None, None),
        ("region", [slice(0, 2)], (slice(0, 2),)),
    ],
)
def test_values_are_made_plain_and_announced(name: str, value: Any, becomes: Any) -> None:
    parameters = Parameters()
    heard: list[Any] = []
    getattr(parameters.events, name).connect(heard.append)
    before = getattr(parameters, name)
    setattr(parameters, name, value)
    assert getattr(parameters, name) == becomes
    assert heard == ([] if before == becomes else [becomes])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("channel", -1),
        ("channel", 1.5),
        ("channel", True),
        ("model", ""),
        ("diameter", 0),
        ("diameter", float("nan")),
        ("diameter", "wide"),
        ("spacing", (1, 1)),
        ("spacing", (1, 0, 1)),
        ("spacing", (1, float("inf"), 1)),
        ("spacing", 2.0),
        ("probability", 0),
        ("probability", 1),
        ("min_size", -3),
        ("flow_error", 0),
        ("region", (1, 2)),
    ],
)
def test_impossible_values_change_nothing(name: str, value: Any) -> None:
    parameters = Parameters()
    before = parameters.as_dict()
    heard: list[Any] = []
    parameters.events.connect(heard.append)
    with pytest.raises(InputError, match=r"must be .*\.$"):
        setattr(parameters, name, value)
    assert parameters.as_dict() == before
    assert heard == []


def test_update_is_all_or_none() -> None:
    parameters = Parameters()
    with pytest.raises(InputError, match="probability"):
        parameters.update({"channel": 3, "probability": 7})
    assert parameters.channel == 0
    parameters.update({"channel": 3, "probability": 0.7})
    assert (parameters.channel, parameters.probability) == (3, 0.7)
