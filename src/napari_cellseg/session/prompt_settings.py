"""How prompts are asked: which model, which channels, which contrast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from psygnal import Signal

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.plane_view import MOST_CHANNELS, Limits

Files = Path | tuple[Path, ...] | None


class PromptSettings:
    """What a user chooses about prompts; validated when set, and announced if it changed.

    Attributes
    ----------
    model : str
        Name of a predictor.
    checkpoint : path or paths, optional
        A user's own weights.
    framing : str, optional
        For models with several.
    device : str
    channels : tuple of int
        One, or two or three that become red, green and blue.
    limits : tuple of (two floats or None)
        For each channel, the values shown as black and white; None: percentiles of each plane.
    overwrite : bool
        Whether accepted objects may take voxels of others that are not locked.
    several : bool
        Whether each box and each positive point is an object of its own.
    in_3d : bool
        Whether clicks are answered by the flow field, with whole 3D objects.
    """

    changed: ClassVar[Signal] = Signal(str)
    #: What an embedding depends on.
    SCENE = frozenset({"model", "checkpoint", "framing", "device", "channels", "limits"})

    model: str
    checkpoint: Files
    framing: str | None
    device: str
    channels: tuple[int, ...]
    limits: tuple[Limits | None, ...]
    overwrite: bool
    several: bool
    in_3d: bool

    def __init__(self) -> None:
        put = object.__setattr__
        for name, value in _DEFAULTS.items():
            put(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _DEFAULTS:
            raise AttributeError(f"prompts have no setting {name!r}")
        value = _CHECKS[name](value)
        if name == "limits":
            _one_each(value, self.channels)
        if value != getattr(self, name):
            object.__setattr__(self, name, value)
            if name == "channels" and len(self.limits) != len(value):
                object.__setattr__(self, "limits", (None,) * len(value))
            self.changed.emit(name)

    def update(self, **values: Any) -> None:
        """Set several at once: all are checked before the first is set."""
        first = sorted(values, key=lambda name: name != "channels")  # limits are of these
        checked = {name: _CHECKS[name](values[name]) for name in first}
        if "limits" in checked:
            _one_each(checked["limits"], checked.get("channels", self.channels))
        for name, value in checked.items():
            setattr(self, name, value)


def _model(value: Any) -> str:
    from napari_cellseg.prompts.registry import predictor_info

    return predictor_info(value).name


def _files(value: Any) -> Files:
    if value is None or value == "" or value == ():
        return None
    if isinstance(value, str | Path):
        return Path(value).expanduser()
    return tuple(Path(file).expanduser() for file in value)


def _framing(value: Any) -> str | None:
    if value not in (None, "pad", "stretch"):
        raise InputError(f'The framing must be "pad" or "stretch", not {value!r}.')
    return None if value is None else str(value)


def _channels(value: Any) -> tuple[int, ...]:
    try:
        channels = tuple(int(channel) for channel in value)
    except (TypeError, ValueError):
        channels = ()
    if not 1 <= len(channels) <= MOST_CHANNELS or min(channels) < 0:
        raise InputError(f"A picture is made of one to three channels, not {value!r}.")
    return channels


def _limits(value: Any) -> tuple[Limits | None, ...]:
    if value is None or isinstance(value, str) or not hasattr(value, "__iter__"):
        raise InputError(f"Contrast limits are given for each channel, not as {value!r}.")
    return tuple(None if limits is None else _pair(limits) for limits in value)


def _one_each(limits: Sequence[Any], channels: Sequence[int]) -> None:
    if len(limits) != len(channels):
        raise InputError(
            f"There are {len(limits)} contrast limits for {len(channels)} channels: give two "
            "values, or None, for each."
        )


def _pair(limits: Sequence[float]) -> Limits:
    try:
        low, high = (float(value) for value in limits)
    except (TypeError, ValueError):
        low = high = np.nan
    if not (np.isfinite([low, high]).all() and low < high):
        raise InputError(
            f"The contrast limits {limits!r} must be two finite numbers, black below white."
        )
    return low, high


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "model": _model,
    "checkpoint": _files,
    "framing": _framing,
    "device": str,
    "channels": _channels,
    "limits": _limits,
    "overwrite": bool,
    "several": bool,
    "in_3d": bool,
}

_DEFAULTS: dict[str, Any] = {
    "model": "mobile-sam",
    "checkpoint": None,
    "framing": None,
    "device": "auto",
    "channels": (0,),
    "limits": (None,),
    "overwrite": False,
    "several": False,
    "in_3d": False,
}
