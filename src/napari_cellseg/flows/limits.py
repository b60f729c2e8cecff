"""Intensity limits of a whole volume, so that every reslice sees the same picture."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError

#: Turns a slab of RGB into grey.
ToGrey = Callable[[NDArray[np.generic]], NDArray[np.generic]]

#: Voxels looked at, at most: percentiles are stable long before that.
SAMPLE = 4_000_000
_PLANES = 24
#: Weights of red, green and blue (ITU-R BT.601).
LUMINANCE = (0.299, 0.587, 0.114)


def sample_voxels(
    stacks: Sequence[Any], to_grey: ToGrey | None = None, limit: int = SAMPLE
) -> NDArray[np.float32]:
    """Read a bounded, evenly spread, deterministic sample of an image.

    Parameters
    ----------
    stacks : sequence of array-like, (y, x) or (z, y, x), RGB last where ``to_grey`` is given
        One per time point, possibly lazy; whole planes are read, since files store planes.
    to_grey : callable, optional
        Applied to each plane.
    limit : int
        Voxels to return, at most.

    Returns
    -------
    array of float32, (n,)
        Finite values only.
    """
    planar = len(stacks[0].shape) - (to_grey is not None) == 2
    depths = [1 if planar else int(s.shape[0]) for s in stacks]
    ends = np.cumsum(depths)
    count = int(ends[-1])
    chosen = np.unique(np.linspace(0, count - 1, min(count, _PLANES)).round().astype(np.int64))
    per_plane = max(1, limit // len(chosen))
    parts = []
    for flat in chosen:
        which = int(np.searchsorted(ends, flat, side="right"))
        z = int(flat - (ends[which] - depths[which]))
        raw = np.asarray(stacks[which][()] if planar else stacks[which][z])
        step = max(1, math.ceil(math.sqrt(raw.shape[0] * raw.shape[1] / per_plane)))
        few = raw[::step, ::step]
        parts.append((to_grey(few) if to_grey else few).astype(np.float32).ravel())
    values = np.concatenate(parts)
    return values[np.isfinite(values)]


def intensity_limits(
    stacks: Sequence[Any],
    percentiles: tuple[float, float],
    name: str = "the image",
    to_grey: ToGrey | None = None,
) -> tuple[float, float]:
    """Intensities that are shown to the network as 0 and 1.

    Parameters
    ----------
    stacks : sequence of array-like
        See `sample_voxels`.
    percentiles : tuple of float
        The rule that the network was trained with.
    name : str
        For the error message.
    to_grey : callable, optional
        Applied to each plane.

    Returns
    -------
    low, high : float

    Raises
    ------
    InputError
        If the image holds no finite value, or one value only.
    """
    values = sample_voxels(stacks, to_grey)
    if values.size == 0:
        raise InputError(f"{name} holds no finite value (only NaN or inf): check the file.")
    low, high = (float(v) for v in np.percentile(values, percentiles))
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


def normalised(
    values: NDArray[np.generic], limits: tuple[float, float]
) -> NDArray[np.float32]:
    """Map ``limits`` to 0 and 1; what is beyond 8 times the range, or not finite, is clipped.

    Parameters
    ----------
    values : array
    limits : tuple of float

    Returns
    -------
    array of float32
        Same shape.
    """
    low, high = limits
    scaled = (values.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    finite = np.nan_to_num(scaled, nan=0.0, posinf=8.0, neginf=0.0)
    return np.asarray(np.clip(finite, -1.0, 8.0), np.float32)
