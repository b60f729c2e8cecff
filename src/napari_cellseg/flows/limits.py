"""Intensity limits of a whole volume, so that every reslice sees the same picture."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.networks.protocol import Intensities

#: Turns a slab of RGB into grey.
ToGrey = Callable[[NDArray[np.generic]], NDArray[np.generic]]
#: Low and high, or such a pair for each channel.
Limits = tuple[float, float] | tuple[tuple[float, float], ...]

#: Voxels looked at, at most: percentiles are stable long before that.
SAMPLE = 4_000_000
_PLANES = 24
#: Weights of red, green and blue (ITU-R BT.601).
LUMINANCE = (0.299, 0.587, 0.114)


def sample_voxels(
    stacks: Sequence[Any],
    to_grey: ToGrey | None = None,
    limit: int = SAMPLE,
    *,
    channels: bool = False,
) -> NDArray[np.float32]:
    """Read a bounded, evenly spread, deterministic sample of an image.

    Parameters
    ----------
    stacks : sequence of array-like, (y, x) or (z, y, x), channels or RGB last where there are any
        One per time point, possibly lazy; whole planes are read, since files store planes.
    to_grey : callable, optional
        Applied to each plane of RGB.
    limit : int
        Voxels to return, at most.
    channels : bool
        Whether channels are last, and kept apart.

    Returns
    -------
    array of float32, (n,), or (n, c) with ``channels``
        Voxels whose values are finite, in every channel.
    """
    planar = len(stacks[0].shape) - (channels or to_grey is not None) == 2
    depths = [1 if planar else int(s.shape[0]) for s in stacks]
    ends = np.cumsum(depths)
    count = int(ends[-1])
    chosen = np.unique(np.linspace(0, count - 1, min(count, _PLANES)).round().astype(np.int64))
    per_plane = max(1, limit // len(chosen))
    parts = []
    for flat in chosen:
        which = int(np.searchsorted(ends, flat, side="right"))
        z = int(flat - (ends[which] - depths[which]))
        rows, cols = stacks[which].shape[:2] if planar else stacks[which].shape[1:3]
        step = max(1, math.ceil(math.sqrt(rows * cols / per_plane)))
        every = (slice(None, None, step),) * 2  # before it is read: planes may be huge
        few = np.asarray(stacks[which][every if planar else (z, *every)])
        values = (to_grey(few) if to_grey else few).astype(np.float32)
        parts.append(values.reshape(-1, values.shape[-1]) if channels else values.ravel())
    sample = np.concatenate(parts)
    finite = np.isfinite(sample)
    return sample[finite.all(1) if channels else finite]


def intensity_limits(
    stacks: Sequence[Any],
    rule: Intensities,
    name: str = "the image",
    to_grey: ToGrey | None = None,
    *,
    channels: bool = False,
) -> Limits:
    """Intensities that are shown to the network as 0 and 1.

    Parameters
    ----------
    stacks : sequence of array-like
        See `sample_voxels`.
    rule : Intensities
        The rule that the network was trained with.
    name : str
        For the error message.
    to_grey : callable, optional
        Applied to each plane of RGB.
    channels : bool
        Whether channels are last.

    Returns
    -------
    tuple
        ``(low, high)``; a pair for each channel if there are channels that the rule does not take
        together.

    Raises
    ------
    InputError
        If the image, or a channel of it, holds no finite value, or one value only.
    """
    values = sample_voxels(stacks, to_grey, channels=channels)
    if not channels or rule.together:
        return _pair(values.ravel(), rule, name)
    return tuple(
        _pair(one, rule, f"channel {number} of {name}") for number, one in enumerate(values.T)
    )


def _pair(values: NDArray[np.float32], rule: Intensities, name: str) -> tuple[float, float]:
    if values.size == 0:
        raise InputError(f"{name} holds no finite value (only NaN or inf): check the file.")
    counted = values[values != 0] if rule.nonzero else values
    low = high = 0.0
    if counted.size:
        low, high = (float(v) for v in np.percentile(counted, rule.percentiles))
    if high <= low:  # a few bright voxels on an even background
        low, high = float(values.min()), float(values.max())
    if high <= low:
        raise InputError(
            f"{name} is constant (every value is {low:g}): choose another channel or image."
        )
    return low, high


def luminance(values: NDArray[np.generic]) -> NDArray[np.float32]:
    """Reduce RGB, last axis, to grey as the built-in network was trained to see it."""
    return np.asarray(values.astype(np.float32) @ np.asarray(LUMINANCE, np.float32), np.float32)


def normalised(values: NDArray[np.generic], limits: Limits) -> NDArray[np.float32]:
    """Map ``limits`` to 0 and 1; what is beyond 8 times the range, or not finite, is clipped.

    Parameters
    ----------
    values : array
        Channels last, where there is a pair of limits for each.
    limits : tuple
        See `intensity_limits`.

    Returns
    -------
    array of float32
        Same shape.
    """
    low, high = np.moveaxis(np.asarray(limits, np.float64), -1, 0)
    low32, range32 = low.astype(np.float32), (high - low).astype(np.float32)
    with np.errstate(over="ignore"):
        scaled = (values.astype(np.float32) - low32) / range32
    finite = np.nan_to_num(scaled, nan=0.0, posinf=8.0, neginf=0.0)
    return np.asarray(np.clip(finite, -1.0, 8.0), np.float32)


def limits_of(values: Sequence[Any]) -> Limits:
    """Limits as they were before JSON made lists of them."""
    if isinstance(values[0], Sequence):
        return tuple((float(low), float(high)) for low, high in values)
    return float(values[0]), float(values[1])
