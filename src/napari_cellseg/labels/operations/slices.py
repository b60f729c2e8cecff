"""One slice of an object replaced, and slices between drawn ones interpolated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels.edit import Edit, Labels, Slices
from napari_cellseg.labels.operations.distance import distance_to_outside
from napari_cellseg.labels.operations.geometry import (
    Mask,
    edits_of,
    lengths,
    plane_of,
    steps_of,
    union,
)
from napari_cellseg.labels.operations.joining import checked_mask


def replace_slice(
    labels: Labels,
    id: int,
    box: Slices,
    index: int,
    region: Slices,
    mask: Mask,
    axis: int = 0,
    over_others: bool = False,
) -> list[Edit]:
    """Give an object another shape in one plane.

    Parameters
    ----------
    labels : array of uint32, (z, y, x)
    id : int
    box : tuple of slice
        Where the object lies.
    index : int
        Of the plane, along `axis`.
    region : tuple of slice
        Where the mask lies in the plane: (rows, cols).
    mask : array of bool, shape of `region`
        The object there.
    axis : int
        Axis that the plane stands on: 0 for xy, 1 for xz, 2 for yz.
    over_others : bool
        Take voxels of other objects, too; else only background is given.

    Returns
    -------
    list of Edit
        What the object loses there, and what it gains.

    Raises
    ------
    InputError
        If the labels have no planes, the plane lies outside them, or nothing of the object would
        be left.
    """
    if labels.ndim != 3:
        raise InputError("The labels have no slices: paint the object instead.")
    if not 0 <= index < labels.shape[axis]:
        raise InputError(f"There is no plane {index}: choose one within the labels.")
    mask = checked_mask(region, mask)
    place = (*region[:axis], slice(index, index + 1), *region[axis:])
    if any(cut.stop > size for cut, size in zip(place, labels.shape, strict=True)):
        raise InputError("The drawing lies outside the labels: draw within them.")
    old = plane_of(box, axis, index)
    around = union([old, place]) if all(lengths(old)) else place
    new = np.zeros(lengths(around), np.bool_)
    at = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(place, around, strict=True))
    new[tuple(at)] = np.expand_dims(mask, axis)
    there = labels[around]
    lost = (there == id) & ~new
    gained = new & (there != id if over_others else there == 0)
    left = np.count_nonzero(labels[box] == id) - np.count_nonzero(lost)
    if not left and not gained.any():
        raise InputError(f"Object {id} would vanish: use Delete.")
    info = {"id": int(id), "axis": int(axis), "index": int(index)}
    edits = edits_of(around, lost, 0, "replace slice", info)
    return edits + edits_of(around, gained, id, "replace slice", info)


def interpolate(
    labels: Labels,
    id: int,
    box: Slices,
    spacing: Sequence[float],
    axis: int = 0,
    slices: Iterable[int] | None = None,
    over_others: bool = False,
) -> list[Edit]:
    """Fill the slices between drawn ones by shapes in between.

    The signed distance to the outline, within the plane, is interpolated linearly (Raya & Udupa,
    IEEE Transactions on Medical Imaging 9, 1990). Where two slices are so far apart that nothing
    would come out, they are shifted onto each other first, and the shape moves along.

    Parameters
    ----------
    labels : array of uint32, (z, y, x)
    id : int
    box : tuple of slice
        Where the object lies.
    spacing : sequence of float
        (z, y, x) in µm.
    axis : int
        Axis along which the slices lie.
    slices : iterable of int, optional
        Indices of the slices that count as drawn, two or more: what the object has between them
        is replaced. By default all that it has, and only empty ones between them are filled.
    over_others : bool
        Take voxels of other objects, too; else only background is given.

    Returns
    -------
    list of Edit
        Empty if no slice is missing.

    Raises
    ------
    InputError
        If the labels have no slices, there are fewer than two drawn ones, or one that is named
        has nothing of the object.
    """
    if labels.ndim != 3:
        raise InputError("The labels have no slices to interpolate between.")
    mask = np.moveaxis(labels[box] == id, axis, 0)
    present = np.moveaxis(labels[box], axis, 0)
    first = box[axis].start
    filled = set(np.flatnonzero(mask.any(axis=(1, 2))).tolist())
    drawn = filled if slices is None else {int(one) - first for one in slices}
    for one in sorted(drawn - filled):
        raise InputError(f"Object {id} has nothing in slice {one + first}: draw it there first.")
    if len(drawn) < 2:
        raise InputError(f"Object {id} needs two or more drawn slices to interpolate between.")
    steps = steps_of(spacing, 3)
    inplane = tuple(step for k, step in enumerate(steps) if k != axis)
    order = sorted(drawn)
    new = mask.copy()
    for low, high in pairwise(order):
        if high - low > 1:
            new[low + 1 : high] = _between(mask[low], mask[high], high - low, inplane)
    gained = new & (present != id if over_others else present == 0)
    lost = mask & ~new
    info = {"id": int(id), "axis": int(axis), "slices": [int(k) + first for k in order]}
    back = [np.moveaxis(one, 0, axis) for one in (lost, gained)]
    edits = edits_of(box, back[0], 0, "interpolate", info)
    return edits + edits_of(box, back[1], id, "interpolate", info)


def _between(low: Mask, high: Mask, count: int, steps: tuple[float, ...]) -> Mask:
    """Shapes in between two slices that are `count` apart: (count - 1, rows, cols)."""
    shares = np.arange(1, count) / count
    below, above = _signed(low, steps), _signed(high, steps)
    plain = [(1 - share) * below + share * above > 0 for share in shares]
    if all(one.any() for one in plain):
        return np.stack(plain)
    return np.stack([_moved(low, high, float(share), steps) for share in shares])


def _moved(low: Mask, high: Mask, share: float, steps: tuple[float, ...]) -> Mask:
    """Shape at a share of the way, with both slices shifted to where the shape will be."""
    ends = [np.argwhere(one).mean(axis=0) for one in (low, high)]
    middle = (1 - share) * ends[0] + share * ends[1]
    ways = [np.round(middle - end).astype(np.int64) for end in ends]
    room = int(np.abs(ways).max())  # a slice may lie partly beyond the box while it is shifted
    padded = [np.pad(one, room) for one in (low, high)]
    shifted = [np.roll(one, tuple(way), (0, 1)) for one, way in zip(padded, ways, strict=True)]
    mixed = (1 - share) * _signed(shifted[0], steps) + share * _signed(shifted[1], steps)
    inner = tuple(slice(room, room + size) for size in low.shape)
    return np.asarray(mixed[inner] > 0)


def _signed(mask: Mask, steps: tuple[float, ...]) -> NDArray[np.float64]:
    """Distance to the outline, halfway between voxels: above 0 inside, below 0 outside."""
    # beyond the box there is nothing of the object, though all of the box may be filled
    framed = np.pad(mask, 1)
    inside = distance_to_outside(framed, steps)
    outside = distance_to_outside(~framed, steps)
    half = min(steps) / 2
    signed = np.where(framed, inside - half, half - outside)
    return np.asarray(signed[1:-1, 1:-1])
