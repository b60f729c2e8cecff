"""Boxes, and the voxels of an object within one: what every operation begins and ends with."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels.edit import Edit, Labels, Slices

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Part:
    """A box of the labels as operations see it: without the axes along which it is flat.

    Attributes
    ----------
    box : tuple of slice
        Over all spatial axes.
    mask : array of bool
        The object's voxels in it; flat axes are left out.
    ids : array of uint32
        The labels there, of the mask's shape; a view.
    steps : tuple of float
        µm per voxel along the mask's axes.
    axes : tuple of int
        Which of the labels' axes those are.
    """

    box: Slices
    mask: Mask
    ids: Labels
    steps: tuple[float, ...]
    axes: tuple[int, ...]

    def edits(self, mask: Mask, value: int, kind: str, info: Mapping[str, Any]) -> list[Edit]:
        """Return the edit that gives a value to some voxels of the box; none for no voxels."""
        return edits_of(self.box, mask.reshape(lengths(self.box)), value, kind, info)


def take(
    labels: Labels,
    id: int,
    box: Slices,
    spacing: Sequence[float],
    reach: float = 0.0,
    flat: Collection[int] | None = None,
) -> Part:
    """Return an object within its box, enlarged by `reach` µm as far as the labels go.

    Parameters
    ----------
    flat : collection of int, optional
        Axes along which nothing is enlarged or measured; those along which the box has a length
        of 1 by default.
    """
    sizes = steps_of(spacing, labels.ndim)
    left_out = flat_axes(box) if flat is None else tuple(flat)
    margins = [
        0 if axis in left_out else int(reach / size + 1e-9) + (reach > 0)
        for axis, size in enumerate(sizes)
    ]
    wide = enlarged(box, margins, labels.shape)
    axes = tuple(
        axis for axis, cut in enumerate(wide) if axis not in left_out or cut.stop - cut.start != 1
    ) or tuple(range(labels.ndim))
    shape = tuple(wide[axis].stop - wide[axis].start for axis in axes)
    ids = labels[wide].reshape(shape)
    return Part(wide, ids == id, ids, tuple(sizes[axis] for axis in axes), axes)


def flat_axes(box: Slices) -> tuple[int, ...]:
    """Axes along which a box has a length of 1; none for a lone voxel, which has no plane."""
    flat = tuple(axis for axis, cut in enumerate(box) if cut.stop - cut.start == 1)
    return flat if len(flat) < len(box) else ()


def steps_of(spacing: Sequence[float], ndim: int) -> tuple[float, ...]:
    """µm per voxel along the last `ndim` axes, of a spacing (z, y, x)."""
    sizes = tuple(float(one) for one in spacing)[-ndim:]
    if len(sizes) != ndim or not all(np.isfinite(one) and one > 0 for one in sizes):
        raise InputError(f"The spacing {tuple(spacing)} must be positive numbers (z, y, x) in µm.")
    return sizes


def lengths(box: Slices) -> tuple[int, ...]:
    """Shape of a box."""
    return tuple(cut.stop - cut.start for cut in box)


def clipped(box: Slices, within: Slices) -> Slices:
    """Return what two boxes share; it may be empty."""
    out = []
    for one, other in zip(box, within, strict=True):
        start = max(one.start, other.start)
        out.append(slice(start, max(start, min(one.stop, other.stop))))
    return tuple(out)


def enlarged(box: Slices, margins: Sequence[int], shape: tuple[int, ...]) -> Slices:
    """Return a box with a margin along each axis, as far as the labels go."""
    return tuple(
        slice(max(0, cut.start - margin), min(size, cut.stop + margin))
        for cut, margin, size in zip(box, margins, shape, strict=True)
    )


def union(boxes: Sequence[Slices]) -> Slices:
    """Return the box around some boxes, of which there is at least one."""
    return tuple(
        slice(min(cut.start for cut in cuts), max(cut.stop for cut in cuts))
        for cuts in zip(*boxes, strict=True)
    )


def plane_of(box: Slices, axis: int, index: int) -> Slices:
    """Return the plane of a box at an index of an axis; it is empty outside the box."""
    cut = box[axis]
    inside = cut.start <= index < cut.stop
    return (*box[:axis], slice(index, index + int(inside)), *box[axis + 1 :])


def edits_of(
    box: Slices, mask: Mask, value: int, kind: str, info: Mapping[str, Any] | None = None
) -> list[Edit]:
    """Return one edit, cut down to the voxels that it is about, or none if there are none."""
    for axis in range(mask.ndim):
        others = tuple(k for k in range(mask.ndim) if k != axis)
        filled = np.flatnonzero(mask.any(axis=others))
        if not filled.size:
            return []
        first, last = int(filled[0]), int(filled[-1]) + 1
        mask = mask[(slice(None),) * axis + (slice(first, last),)]
        start = box[axis].start
        box = (*box[:axis], slice(start + first, start + last), *box[axis + 1 :])
    return [Edit(box, mask, int(value), kind, info=dict(info or {}))]


def full_connectivity(ndim: int) -> Mask:
    """Neighbours that share a face, an edge or a corner: what makes an object one piece."""
    return np.ones((3,) * ndim, np.bool_)
