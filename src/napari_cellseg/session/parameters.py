"""What the user sets: validated on assignment, and announced."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import index
from pathlib import Path
from typing import Any, ClassVar

from psygnal import SignalGroupDescriptor

from napari_cellseg.errors import InputError
from napari_cellseg.session.records import Region

Checkpoint = Path | tuple[Path, ...] | None
"""File of a model's weights; several, where it takes them."""
FUSIONS = ("mean", "weighted", "xy")
"""Ways from planes to one field, see `napari_cellseg.segment`."""


def _number(name: str, value: Any, low: float, high: float, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not low < number < high:
        raise InputError(f"{name} must be {what}, not {value!r}.")
    return number


def _whole(name: str, value: Any, what: str) -> int:
    try:
        number = index(value)
    except TypeError:
        number = int(value) if isinstance(value, float) and value.is_integer() else -1
    if number < 0 or isinstance(value, bool):
        raise InputError(f"{name} must be {what}, not {value!r}.")
    return number


def _channel(value: Any) -> int:
    return _whole("The channel", value, "a number from 0")


def _second_channel(value: Any) -> int | None:
    return None if value is None else _channel(value)


def _text(name: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise InputError(f"The {name} must be a name, not {value!r}.")
        return value

    return check


def _checkpoint(value: Any) -> Checkpoint:
    if isinstance(value, list | tuple):
        files = tuple(Path(one) for one in value)
        return files if len(files) > 1 else (files[0] if files else None)
    return None if value is None or value == "" else Path(value)


def _diameter(value: Any) -> float | None:
    if value is None:
        return None
    return _number("The diameter", value, 0, math.inf, "a positive length")


def _spacing(value: Any) -> tuple[float, float, float] | None:
    if value is None:
        return None
    try:
        z, y, x = (float(length) for length in value)
    except (TypeError, ValueError):
        z = y = x = math.nan
    if not all(0 < length < math.inf for length in (z, y, x)):
        raise InputError(
            f"The spacing must be three positive lengths (z, y, x) in µm, not {value!r}."
        )
    return (z, y, x)


def _probability(value: Any) -> float:
    return _number("The probability", value, 0, 1, "between 0 and 1")


def _min_size(value: Any) -> int | None:
    return None if value is None else _whole("The smallest size", value, "a number of voxels")


def _flow_error(value: Any) -> float | None:
    if value is None:
        return None
    return _number("The flow error", value, 0, math.inf, "a positive number")


def _fusion(value: Any) -> str:
    if value not in FUSIONS:
        raise InputError(f"The fusion must be one of {', '.join(FUSIONS)}, not {value!r}.")
    return str(value)


def _region(value: Any) -> Region | None:
    if value is None:
        return None
    region = tuple(value)
    if not all(isinstance(part, slice) for part in region):
        raise InputError(f"The region must be one slice per axis, not {value!r}.")
    return region


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "channel": _channel,
    "second_channel": _second_channel,
    "model": _text("model"),
    "checkpoint": _checkpoint,
    "diameter": _diameter,
    "spacing": _spacing,
    "probability": _probability,
    "min_size": _min_size,
    "flow_error": _flow_error,
    "fusion": _fusion,
    "region": _region,
    "device": _text("device"),
}


@dataclass
class Parameters:
    """Settings of one session; assign attributes, connect to ``events``.

    ``parameters.events.probability.connect(callback)`` hears one field (the new value),
    ``parameters.events.connect(callback)`` all of them.

    Attributes
    ----------
    channel : int
        Which channel to segment.
    second_channel : int or None
        Another one that the model is shown with it, where it takes several.
    model : str
        Name of a flow network.
    checkpoint : Path, tuple of Path or None
        The model's file, where it needs one; some take two.
    diameter : float or None
        Of a cell, in µm where spacing is known, else in voxels of y; None: estimated.
    spacing : tuple of float or None
        (z, y, x) in µm; None without an image.
    probability : float
        Foreground threshold, between 0 and 1.
    min_size : int or None
        Voxels; None: from the diameter.
    flow_error : float or None
        Largest flow error of an instance; None: any.
    fusion : str
        How planes become one field in 3D: "mean", "weighted" or "xy".
    region : tuple of slice or None
        Over the label axes; None: everything.
    device : str
        "auto", "cuda", "mps" or "cpu".

    Raises
    ------
    InputError
        On assignment of an impossible value; the old one stays.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    channel: int = 0
    second_channel: int | None = None
    model: str = "builtin"
    checkpoint: Checkpoint = None
    diameter: float | None = None
    spacing: tuple[float, float, float] | None = None
    probability: float = 0.5
    min_size: int | None = None
    flow_error: float | None = None
    fusion: str = "mean"
    region: Region | None = None
    device: str = "auto"

    def __setattr__(self, name: str, value: Any) -> None:
        check = _CHECKS.get(name)
        object.__setattr__(self, name, value if check is None else check(value))

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of `checkpoint`, however many."""
        given = self.checkpoint
        return given if isinstance(given, tuple) else () if given is None else (given,)

    def as_dict(self) -> dict[str, Any]:
        """All fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def update(self, values: dict[str, Any]) -> None:
        """Set several fields, all or none.

        Raises
        ------
        InputError
            A name is unknown or a value impossible; nothing is changed then.
        """
        unknown = set(values) - set(_CHECKS)
        if unknown:
            raise InputError(f"There is no parameter named {sorted(unknown)[0]!r}.")
        checked = {name: _CHECKS[name](value) for name, value in values.items()}
        for name, value in checked.items():
            setattr(self, name, value)
