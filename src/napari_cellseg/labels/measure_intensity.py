"""Intensities of an image inside each object, read plane by plane."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels.measure_kernels import intensities
from napari_cellseg.volume.volume import Volume

STATISTICS = ("mean", "sd", "min", "max", "sum")
_SLAB = 64 << 20  # bytes of an image to have in memory at once

Channels = dict[str, Any]
"""By prefix of its columns, a lazy array of the labels' shape."""


def channels_of(image: Volume | Mapping[str, Any] | Any | None, shape: tuple[int, ...]) -> Channels:
    """Channels to measure, none of them read yet.

    Parameters
    ----------
    image : Volume, mapping of name to array, array or None
        Arrays are of the labels' shape.
    shape : tuple of int
        Of the labels.

    Raises
    ------
    InputError
        An image of another shape, or one that holds no numbers.
    """
    if image is None:
        return {}
    if isinstance(image, Volume):
        if image.label_shape != shape:
            raise InputError(
                f"Image {image.name!r} has shape {image.label_shape} and the labels {shape}: they "
                "are not of the same image."
            )
        if "c" not in image.axes:
            return {"intensity": image.data}
        place = image.axes.index("c")
        names = ("red", "green", "blue") if image.rgb else image.channels
        picks = [(slice(None),) * place + (c,) for c in range(len(names))]
        picked = [_Picked(image.data, pick) for pick in picks]
        return dict(zip(_columns(names), picked, strict=True))
    given = image if isinstance(image, Mapping) else {"intensity": image}
    arrays = [one if hasattr(one, "shape") else np.asarray(one) for one in given.values()]
    for name, array in zip(given, arrays, strict=True):
        if tuple(array.shape) != shape or np.dtype(array.dtype).kind not in "biuf":
            raise InputError(
                f"Image {name!r} has shape {tuple(array.shape)} ({array.dtype}) and the labels "
                f"{shape}: pass numbers, one for each voxel of the labels."
            )
    return dict(zip(_columns(tuple(map(str, given))), arrays, strict=True))


class _Picked:
    """One channel of an array that is only read where it is sliced."""

    def __init__(self, data: Any, pick: tuple[Any, ...]) -> None:
        self._data = data
        self._place = len(pick) - 1
        self._channel = pick[-1]

    @property
    def dtype(self) -> Any:
        return self._data.dtype

    def __getitem__(self, index: tuple[Any, ...]) -> Any:
        return self._data[(*index[: self._place], self._channel, *index[self._place :])]


def _columns(names: tuple[str, ...]) -> list[str]:
    """Names that are fit for columns, and differ."""
    plain = [re.sub(r"\W+", "_", name).strip("_") or "channel" for name in names]
    repeated = {name for name, count in Counter(plain).items() if count > 1}
    return [f"{name}_{k}" if name in repeated else name for k, name in enumerate(plain)]


def measure_channel(
    labels: NDArray[np.uint32],
    ids: NDArray[np.uint32],
    channel: Any,
    leading: tuple[int, ...],
    planar: bool,
) -> NDArray[np.float64]:
    """Mean, standard deviation, least, largest value and sum in each object.

    Parameters
    ----------
    labels : ndarray of uint32
        (z, y, x), at one time point; z of length 1 in 2D.
    ids : ndarray of uint32
        Rising.
    channel : array
        Read in slabs of planes, and of these what lies around the objects.
    leading : tuple of int
        Index of the time point, if there is time.
    planar : bool
        Whether the channel has no z.

    Returns
    -------
    ndarray of float64
        (n, 5), in the order of `STATISTICS`; NaN where every voxel is NaN.
    """
    counts = np.zeros(len(ids), np.int64)
    shift, values = np.zeros(len(ids)), np.zeros((len(ids), 4))
    depth, height, width = labels.shape
    step = max(1, _SLAB // max(1, height * width * np.dtype(channel.dtype).itemsize))
    for start in range(0, depth, step):
        slab = labels[start : start + step]
        rows, cols = (_used(np.asarray(slab.any(axis))) for axis in ((0, 2), (0, 1)))
        if rows is None or cols is None:
            continue
        along = () if planar else (slice(start, start + step),)
        image = np.asarray(channel[(*leading, *along, rows, cols)])
        image = image.reshape(-1, *image.shape[-2:])
        if image.dtype in (np.float16, np.bool_):  # which kernels do not take
            image = image.astype(np.float32)
        elif not image.dtype.isnative:
            image = image.astype(image.dtype.newbyteorder("="))
        intensities(slab[:, rows, cols], image, ids, counts, shift, values)
    with np.errstate(invalid="ignore", divide="ignore"):
        offset = values[:, 0] / counts
        mean = shift + offset
        spread = np.sqrt(np.maximum(values[:, 1] / counts - offset**2, 0))
    least, largest = (np.where(counts > 0, values[:, k], math.nan) for k in (2, 3))
    total = np.where(counts > 0, mean * counts, math.nan)
    return np.stack([mean, spread, least, largest, total], 1)


def _used(line: NDArray[np.bool_]) -> slice | None:
    places = np.flatnonzero(line)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else None
