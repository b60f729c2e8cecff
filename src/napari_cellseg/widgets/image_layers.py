"""napari Image layers as volumes, and volumes as Image layers."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.volume import Volume, as_volume

if TYPE_CHECKING:
    from napari.layers import Image

_CHOICES = {
    2: ("yx",),
    3: ("zyx", "tyx", "cyx"),
    4: ("tzyx", "czyx", "tcyx"),
    5: ("tczyx",),
}

_volumes: weakref.WeakKeyDictionary[Any, tuple[Volume, int, str]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class LayerAxes:
    """The axes of a layer, whether it states them itself, and what else they could be."""

    axes: str
    known: bool
    choices: tuple[str, ...]


def remember(layer: Image, volume: Volume, axes: str, channel: int = 0) -> None:
    """Keep what a layer was made from, so that nothing of it is guessed again."""
    _volumes[layer] = (volume, channel, axes)


def channel_of(layer: Image) -> int:
    """Return which channel of its volume a layer shows."""
    return _volumes[layer][1] if layer in _volumes else 0


def known_volume(layer: Image) -> Volume | None:
    """Return the volume that a layer was taken as before, if it was."""
    return _volumes[layer][0] if layer in _volumes else None


def layer_axes(layer: Image) -> LayerAxes:
    """Return the axes of a layer: its axis labels where they make sense, else the usual ones.

    Returns
    -------
    LayerAxes
        One letter for each of the layer's dimensions (RGB's last one is none of them).

    Raises
    ------
    InputError
        If a layer has so many dimensions that they mean nothing to us.
    """
    choices = _CHOICES.get(layer.ndim, ())
    if layer.rgb:  # the colours are the channel
        choices = tuple(choice for choice in choices if "c" not in choice)
    if not choices:
        raise InputError(
            f"The layer “{layer.name}” has {layer.ndim} dimensions: reduce it to time, channel, "
            "z, y and x."
        )
    labels = "".join(str(label).strip().lower()[:1] for label in layer.axis_labels)
    if labels in choices:
        return LayerAxes(labels, True, choices)
    return LayerAxes(choices[0], len(choices) == 1, choices)


def layer_spacing(layer: Image, axes: str) -> tuple[float, float, float] | None:
    """Return a layer's spacing (z, y, x) in µm, or None where the layer does not state it.

    A scale with a unit of length is converted. A scale other than 1 without a unit is taken as µm,
    because few readers set units.
    """
    spacing = [1.0, 1.0, 1.0]
    lengths: list[bool] = []
    for letter, scale, unit in zip(axes, layer.scale, layer.units, strict=True):
        if letter in "zyx":
            is_length = bool(unit.is_compatible_with("micrometer"))
            step = (float(scale) * unit).to("micrometer").magnitude if is_length else float(scale)
            spacing["zyx".index(letter)] = abs(float(step))
            lengths.append(is_length)
    if all(lengths) or not np.allclose(spacing, 1.0):
        return spacing[0], spacing[1], spacing[2]
    return None


def layer_volume(layer: Image, axes: str | None = None) -> Volume:
    """Return the volume that a layer shows; nothing is read or copied.

    The same layer gives the same object for as long as its data and axes stay.

    Parameters
    ----------
    layer : napari Image layer
    axes : str, optional
        The layer's axes, where the user knows better than the layer.

    Raises
    ------
    InputError
        If the layer's data are no image that we can segment.
    """
    letters = axes or layer_axes(layer).axes
    known = _volumes.get(layer)
    if known is not None and known[2] == letters:
        return known[0]
    data = layer.data[0] if layer.multiscale else layer.data
    volume = as_volume(
        data,
        spacing=layer_spacing(layer, letters),
        axes=f"{letters}s" if layer.rgb else letters,
        name=layer.name,
    )
    if layer.source.path:
        volume = replace(volume, source=Path(layer.source.path))
    remember(layer, volume, letters)
    return volume


def forget(layer: Image) -> None:
    """Forget what a layer was made from, because its data are others now."""
    _volumes.pop(layer, None)


def set_spacing(layer: Image, axes: str, spacing: tuple[float, float, float]) -> None:
    """Give a layer the scale and units of a spacing that the user stated."""
    scale, units = list(layer.scale), list(layer.units)
    for index, letter in enumerate(axes):
        if letter in "zyx":
            scale[index] = spacing["zyx".index(letter)]
            units[index] = "um"
    layer.scale, layer.units = scale, units
