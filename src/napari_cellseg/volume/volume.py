"""Volume: an image with its axes, spacing and channels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.volume.axes import (
    ORDER,
    arrange,
    parse_axes,
)
from napari_cellseg.volume.lazy import check_dtype
from napari_cellseg.volume.memory import check_memory
from napari_cellseg.volume.spacing import (
    PREFIX,
    Spacing,
    StatedSpacing,
    check_spacing,
    settle_spacing,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_cellseg.volume.lazy import Array


@dataclass(frozen=True, eq=False)
class Volume:
    """An image that is read when it is used.

    Attributes
    ----------
    data : numpy or dask array
        Voxels in native byte order: bool, integer or float. Memory maps are numpy; what must be
        decoded is dask. No axis has length zero; t, c and z are absent rather than of length one.
    axes : str
        Ordered subset of ``tczyx`` that ends in ``yx``, one letter per dimension of `data`.
    spacing : tuple of float
        (z, y, x) in µm per voxel; relative to y = 1 where not `spacing_known`.
    spacing_known : bool
        False if the spacing is a default, so that lengths are in voxels.
    channels : tuple of str
        One name per channel; one name if there is no c.
    rgb : bool
        True if c holds the red, green and blue of one colour image.
    name : str
        What to call the image.
    source : Path or None
        File or store it was read from.
    notices : tuple of str
        A sentence for each default or assumption, to be shown to the user.
    """

    data: Array
    axes: str
    spacing: Spacing = (1.0, 1.0, 1.0)
    spacing_known: bool = False
    channels: tuple[str, ...] = ()
    rgb: bool = False
    name: str = "image"
    source: Path | None = None
    notices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        where = f"image {self.name!r}"
        if parse_axes(self.axes, self.data.ndim, where) != "".join(
            a for a in ORDER if a in self.axes
        ):
            raise InputError(f"axes={self.axes!r} of {where} are not in the order of 'tczyx'.")
        check_dtype(np.dtype(self.data.dtype), where)
        check_shape(self.data.shape, where)
        object.__setattr__(self, "spacing", check_spacing(self.spacing, True))
        count = self.sizes.get("c", 1)
        if self.rgb and count != 3:
            raise InputError(f"{where} is called RGB but has {count} channels.")
        if len(self.channels) != (1 if self.rgb else count):
            object.__setattr__(self, "channels", _channel_names(1 if self.rgb else count))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of `data`."""
        return tuple(int(n) for n in self.data.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels."""
        return np.dtype(self.data.dtype)

    @property
    def ndim(self) -> int:
        """Number of dimensions of `data`."""
        return len(self.axes)

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each axis."""
        return dict(zip(self.axes, self.shape, strict=True))

    @property
    def is_3d(self) -> bool:
        """Whether there is a z axis."""
        return "z" in self.axes

    @property
    def n_channels(self) -> int:
        """Number of channels to choose from; an RGB image counts as one."""
        return 1 if self.rgb else self.sizes.get("c", 1)

    @property
    def n_times(self) -> int:
        """Number of time points."""
        return self.sizes.get("t", 1)

    @property
    def nbytes(self) -> int:
        """Bytes that all voxels would take in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def label_axes(self) -> str:
        """Axes of labels of this image: those of `data` without c."""
        return self.axes.replace("c", "")

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Shape of labels of this image."""
        return tuple(self.sizes[axis] for axis in self.label_axes)

    def stack(self, channel: int | str = 0, t: int = 0) -> Array:
        """One channel at one time point, lazily.

        Parameters
        ----------
        channel : int or str
            Index or name of the channel; ignored for RGB, which is returned whole.
        t : int
            Time point.

        Returns
        -------
        array
            (z, y, x) or (y, x); RGB adds a last axis of length 3.

        Raises
        ------
        InputError
            If there is no such channel or time point.
        """
        where = f"image {self.name!r}"
        c = 0 if self.rgb else self.channel_index(channel)
        t = _index(t, self.n_times, f"time point t={t!r} of {where}")
        pick = {"t": t} if self.rgb else {"t": t, "c": c}
        data = self.data[tuple(pick.get(axis, slice(None)) for axis in self.axes)]
        if self.rgb:
            data = data.transpose([*range(1, data.ndim), 0])
        return data

    def channel_index(self, channel: int | str) -> int:
        """Index of a channel given by index or name; InputError if there is none."""
        if isinstance(channel, str):
            if channel not in self.channels:
                raise InputError(
                    f"image {self.name!r} has no channel {channel!r}: "
                    f"choose one of {', '.join(self.channels)}."
                )
            return self.channels.index(channel)
        return _index(channel, self.n_channels, f"channel={channel!r} of image {self.name!r}")

    def load(self, channel: int | str = 0, t: int = 0) -> NDArray[Any]:
        """Read :meth:`stack` into memory, after checking that it fits.

        Returns
        -------
        ndarray
            C-contiguous and in native byte order; memory-mapped data are copied.

        Raises
        ------
        InputError
            If it does not fit into memory, or the file is damaged.
        """
        part = self.stack(channel, t)
        nbytes = math.prod(part.shape) * self.dtype.itemsize
        check_memory(nbytes, f"Reading {part.shape} voxels of image {self.name!r}")
        return np.array(part, order="C")

    def with_spacing(self, spacing: Sequence[float] | None) -> Volume:
        """The same image with a spacing that the user stated; None leaves it as it is.

        Raises
        ------
        InputError
            If the spacing is not usable.
        """
        if spacing is None:
            return self
        return replace(
            self,
            spacing=check_spacing(spacing, self.is_3d),
            spacing_known=True,
            notices=tuple(text for text in self.notices if not text.startswith(PREFIX)),
        )

    def with_axes(self, axes: str | None) -> Volume:
        """The same voxels with axes that the user stated; None leaves them as they are.

        Parameters
        ----------
        axes : str or None
            One letter of ``tczyx`` for each dimension of `data`, in its present order.

        Raises
        ------
        InputError
            If the axes do not fit the array.
        """
        if axes is None or axes.lower() == self.axes:
            return self
        letters = parse_axes(axes, self.ndim, f"image {self.name!r}")
        data, order, rgb, notices = arrange(self.data, letters)
        same_colours = self.rgb and letters[self.axes.index("c")] == "c"
        texts = tuple(text for text in self.notices if not text.startswith("Axes ")) + notices
        spacing, known = (
            (self.spacing[0] if self.is_3d else 1.0, *self.spacing[1:]),
            self.spacing_known,
        )
        if "z" in order and not self.is_3d:
            stated = dict(zip("yx", self.spacing[1:], strict=True)) if known else {}
            spacing, known, more = settle_spacing(
                StatedSpacing(stated, dict.fromkeys(stated, "um")), None, True
            )
            texts = tuple(text for text in texts if not text.startswith(PREFIX)) + more
        elif "z" not in order:
            spacing = (1.0, *spacing[1:])
        return replace(
            self,
            data=data,
            axes=order,
            spacing=spacing,
            spacing_known=known,
            channels=self.channels if order == self.axes else (),
            rgb=rgb or same_colours,
            notices=texts,
        )


def _channel_names(count: int) -> tuple[str, ...]:
    return tuple(f"channel {index}" for index in range(count))


def check_shape(shape: Sequence[int], where: str) -> None:
    """Raise InputError unless there are two dimensions or more and none is empty."""
    if len(shape) < 2:
        raise InputError(f"{where} has {len(shape)} dimensions: an image has at least y and x.")
    if not all(n > 0 for n in shape):  # dask gives NaN for a length that it does not know
        raise InputError(f"{where} is empty or of unknown size: its shape is {tuple(shape)}.")


def _index(value: Any, count: int, what: str) -> int:
    try:
        index = value.__index__()
    except AttributeError:
        raise InputError(f"{what} must be an integer.") from None
    if not 0 <= index < count:
        raise InputError(f"{what} does not exist: there are {count}, counted from 0.")
    return int(index)
