"""A plane of a volume: where it lies, how it is read, and how its pixels are voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError

if TYPE_CHECKING:
    from napari_cellseg.volume import Volume

#: Axis across the plane, and along its rows and columns.
AXES = {"xy": ("z", "y", "x"), "xz": ("y", "z", "x"), "yz": ("x", "z", "y")}

Limits = tuple[float, float]
MOST_CHANNELS = 3


@dataclass(frozen=True)
class Plane:
    """One plane of a volume at one time.

    Attributes
    ----------
    orientation : str
        ``"xy"``, ``"xz"`` or ``"yz"``; their planes are ``(y, x)``, ``(z, x)`` and ``(z, y)``.
    index : int
        Position along the axis across it; 0 in an image without z.
    t : int
        Time point.
    """

    orientation: str = "xy"
    index: int = 0
    t: int = 0

    @property
    def axes(self) -> tuple[str, str, str]:
        """Axis across the plane, and those along its rows and columns."""
        return AXES[self.orientation]

    def within(self, volume: Volume) -> Plane:
        """Return the plane if the volume has it.

        Raises
        ------
        InputError
            If it has no such orientation, index or time point.
        """
        if self.orientation not in (AXES if volume.is_3d else ("xy",)):
            raise InputError(
                f"The image {volume.name!r} has no {self.orientation!r} planes: "
                f"use {' or '.join(AXES) if volume.is_3d else 'xy'}."
            )
        count = volume.sizes.get(self.axes[0], 1)
        if not 0 <= self.index < count:
            raise InputError(
                f"There is no {self.orientation} plane {self.index} in {volume.name!r}: "
                f"it has {count}, counted from 0."
            )
        if not 0 <= self.t < volume.n_times:
            raise InputError(
                f"There is no time point {self.t} in {volume.name!r}: it has {volume.n_times}."
            )
        return self

    def moved(self, steps: int) -> Plane:
        """Return the plane that many steps further along the axis across it."""
        return Plane(self.orientation, self.index + steps, self.t)

    def shape(self, volume: Volume) -> tuple[int, int]:
        """Rows and columns of the plane."""
        _, row, col = self.axes
        return volume.sizes[row], volume.sizes[col]

    def position(self, row: float, col: float, axes: str) -> tuple[float, ...]:
        """Voxel of a pixel, along `axes` (of labels: letters of ``tzyx``)."""
        across, rows, cols = self.axes
        at = {"t": float(self.t), across: float(self.index), rows: float(row), cols: float(col)}
        return tuple(at[axis] for axis in axes)

    def pixel(self, position: Sequence[float], axes: str) -> tuple[float, float]:
        """Row and column of a voxel given along `axes`; the inverse of `position`."""
        at = dict(zip(axes, position, strict=True))
        return float(at[self.axes[1]]), float(at[self.axes[2]])

    def region(self, rows: slice, cols: slice, axes: str) -> tuple[slice, ...]:
        """Slices over label axes of a part of the plane."""
        across, row, col = self.axes
        at = {
            "t": slice(self.t, self.t + 1),
            across: slice(self.index, self.index + 1),
            row: rows,
            col: cols,
        }
        return tuple(at[axis] for axis in axes)

    def upright(self, mask: NDArray[Any], axes: str) -> NDArray[Any]:
        """Give values of the plane (rows, cols) the axes of labels; a view."""
        _, row, col = self.axes
        kept = [axis for axis in axes if axis in (row, col)]
        flat = mask if kept == [row, col] else mask.T
        return flat[tuple(slice(None) if axis in kept else None for axis in axes)]

    def cut(self, array: Any, axes: str) -> Any:
        """The plane (rows, cols) of an array with these axes."""
        across, row, col = self.axes
        at = {"t": self.t, across: self.index}
        part = array[tuple(at.get(axis, slice(None)) for axis in axes)]
        kept = [axis for axis in axes if axis in (row, col)]
        return part if kept == [row, col] else part.T


def pixel_size(plane: Plane, spacing: Sequence[float]) -> tuple[float, float]:
    """Size of a pixel along rows and columns, from the spacing (z, y, x)."""
    of = dict(zip("zyx", spacing, strict=True))
    return of[plane.axes[1]], of[plane.axes[2]]


def read_plane(
    volume: Volume,
    plane: Plane,
    channels: Sequence[int] = (0,),
    limits: Sequence[Limits | None] | None = None,
) -> Any:
    """A plane as predictors take it, lazily where one channel of a lazy volume is asked for.

    Parameters
    ----------
    volume : Volume
    plane : Plane
    channels : sequence of int
        One channel, or two or three that become red, green and blue. An RGB image has one.
    limits : sequence of two floats or None, optional
        For each channel, the values shown as black and white; a composite without them uses
        percentiles of each plane.

    Returns
    -------
    array
        (rows, cols), (rows, cols, 3) of an RGB image, or uint8 (rows, cols, 3) of a composite.

    Raises
    ------
    InputError
        If there is no such plane or channel, or there are more than three channels.
    """
    plane.within(volume)
    if not 1 <= len(channels) <= MOST_CHANNELS:
        raise InputError(f"A picture is made of one to three channels, not {len(channels)}.")
    if volume.rgb or len(channels) == 1:
        return _slice(volume.stack(channels[0], plane.t), plane, volume)
    from napari_cellseg.prompts.eight_bit import picture

    given = [None] * len(channels) if limits is None else list(limits)
    rows, cols = plane.shape(volume)
    composite = np.zeros((rows, cols, 3), np.uint8)
    for place, (channel, shown) in enumerate(zip(channels, given, strict=True)):
        grey = np.asarray(_slice(volume.stack(channel, plane.t), plane, volume))
        composite[..., place] = picture(grey, shown)[..., 0]
    return composite


def _slice(stack: Any, plane: Plane, volume: Volume) -> Any:
    if not volume.is_3d:
        return stack
    axis = {"xy": 0, "xz": 1, "yz": 2}[plane.orientation]
    return stack[(slice(None),) * axis + (plane.index,)]
