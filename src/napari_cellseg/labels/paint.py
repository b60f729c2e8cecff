"""Write an object into labels, within its own box, in a way that can be taken back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError

Labels: TypeAlias = NDArray[np.integer[Any]]
Slices: TypeAlias = tuple[slice, ...]

Protected: TypeAlias = Collection[int] | Literal["all"] | Callable[[Labels], NDArray[np.bool_]]
"""Whose voxels must stay: ids, ``"all"`` (every other object), or a function that takes an array
of a few distinct ids and says of each whether it is protected."""

MOST = 2**32 - 2
"""Largest id of an object; the one above it stands for "not ours" elsewhere."""


@dataclass(frozen=True, eq=False)
class Change:
    """What one call changed, and how to take it back.

    Attributes
    ----------
    region : tuple of slice
        Bounding box of the changed voxels, over all axes of the labels; empty if there are none.
    before, after : array
        Copies of that box before and after, of the labels' type (uint32).
    ids : tuple of int
        Ids that lost or gained voxels, rising; 0 (background) is not among them.
    """

    region: Slices
    before: Labels = field(repr=False)
    after: Labels = field(repr=False)
    ids: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes that the copies take."""
        return self.before.nbytes + self.after.nbytes

    @property
    def count(self) -> int:
        """Number of changed voxels."""
        return int(np.count_nonzero(self.before != self.after))

    def undo(self, labels: Labels) -> None:
        """Give the changed voxels their former ids, in place.

        Voxels that the change did not touch, or that another edit has changed since, stay.

        Raises
        ------
        InputError
            If the labels are not those that were changed.
        """
        self._restore(labels, self.after, self.before)

    def redo(self, labels: Labels) -> None:
        """Make the change again, in place; the counterpart of `undo`."""
        self._restore(labels, self.before, self.after)

    def _restore(self, labels: Labels, present: Labels, wanted: Labels) -> None:
        _check_labels(labels)
        if labels.dtype != wanted.dtype:
            raise InputError(
                f"The change is of {wanted.dtype} labels, but these are {labels.dtype}: "
                "undo it in the labels that it was made in."
            )
        box = labels[_inside(self.region, labels.shape, "region of the change")]
        np.copyto(box, wanted, where=(box == present) & (present != wanted))


def write_object(
    labels: Labels,
    region: Slices,
    mask: NDArray[np.bool_],
    label: int,
    *,
    protected: Protected = frozenset(),
    replace: Slices | None = None,
) -> Change:
    """Paint an object into labels, in place.

    The cost depends on `region` and `replace`, never on the size of the labels.

    Parameters
    ----------
    labels : integer array, ([t,] [z,] y, x)
        Writable and in memory, in native byte order.
    region : tuple of slice
        Where the mask lies: one slice per axis of the labels, without steps.
    mask : array of bool
        The object, of the region's shape.
    label : int
        Id of the object, 1 … 2³² - 2.
    protected : collection of int, "all" or callable
        Whose voxels stay as they are; see `Protected`. Background is never protected.
    replace : tuple of slice, optional
        Where the object lay before: its voxels there that the mask leaves out become background.

    Returns
    -------
    Change

    Raises
    ------
    InputError
        If the labels cannot be written, the region lies outside them, the mask has another shape
        or type, or the id cannot be used or is itself protected. Nothing has been written then.
    """
    _check_labels(labels)
    label = _checked_id(label, labels.dtype)
    if _held(np.array([label], labels.dtype), protected, label)[0]:
        raise InputError(f"Object {label} is locked: unlock it before you change it.")
    place = _inside(region, labels.shape, "region of the object")
    lengths = tuple(part.stop - part.start for part in place)
    mask = np.asarray(mask)
    if mask.dtype != np.bool_ or mask.shape != lengths:
        raise InputError(
            f"The object's mask ({mask.dtype}, shape {mask.shape}) must be bool and fill its "
            f"region of shape {lengths}."
        )
    place, mask = _tight(place, mask)
    present = labels[place]
    painted = mask & (present != label)
    _spare(painted, present, protected, label)
    boxes = [_tight(place, painted)[0]]
    if replace is not None:
        old = _inside(replace, labels.shape, "region to be replaced")
        erased = labels[old] == label
        shared = _intersection(old, place)
        erased[_seen_from(old, shared)] &= ~mask[_seen_from(place, shared)]
        boxes.append(_tight(old, erased)[0])
    box = _union(boxes, labels.ndim)
    before = labels[box].copy()
    present[painted] = label
    if replace is not None:
        labels[old][erased] = 0
    after = labels[box].copy()
    lost = _distinct(before[before != after])
    ids = {*lost.tolist(), label} - {0} if lost.size else set()
    return Change(box, before, after, tuple(sorted(ids)))


def free_id(used: Iterable[int]) -> int:
    """Return an id that no object has: one above the largest, or the smallest gap at the very end.

    Parameters
    ----------
    used : iterable of int
        Ids in use, from an object table: the labels themselves are not read.

    Raises
    ------
    InputError
        If every id is taken.
    """
    taken = {int(one) for one in used}
    largest = max(taken, default=0)
    if largest < MOST:
        return max(largest, 0) + 1
    gap = next((one for one in range(1, len(taken) + 2) if one not in taken), MOST + 1)
    if gap > MOST:
        raise InputError(f"All {MOST:,} ids are in use: delete objects before adding one.")
    return gap


def _check_labels(labels: Labels) -> None:
    if not isinstance(labels, np.ndarray):
        raise InputError(
            f"Labels of type {type(labels).__name__} cannot be edited: load them into memory."
        )
    if labels.dtype.kind not in "iu" or not labels.dtype.isnative:
        raise InputError(
            f"Labels of type {labels.dtype.str} cannot be edited: convert them to uint32."
        )
    if not labels.flags.writeable:
        raise InputError("The labels are read-only: edit a copy of them.")


def _checked_id(label: int, dtype: np.dtype[Any]) -> int:
    most = min(MOST, int(np.iinfo(dtype).max))
    try:
        value = label.__index__()
    except AttributeError:
        raise InputError(f"The object's id {label!r} must be a whole number.") from None
    if not 0 < value <= most:
        raise InputError(f"The object's id {value} must lie between 1 and {most} in {dtype}.")
    return value


def _inside(region: Slices, shape: tuple[int, ...], what: str) -> Slices:
    """Return the slices with start and stop filled in, if they lie in an array of this shape."""
    if len(region) != len(shape) or not all(isinstance(part, slice) for part in region):
        raise InputError(
            f"The {what} needs a slice for each of the {len(shape)} axes of the labels."
        )
    out = []
    for part, size in zip(region, shape, strict=True):
        start = 0 if part.start is None else part.start
        stop = size if part.stop is None else part.stop
        if part.step not in (None, 1) or not 0 <= start <= stop <= size:
            raise InputError(
                f"The {what} ({start}:{stop} on an axis of length {size}) lies outside the labels."
            )
        out.append(slice(int(start), int(stop)))
    return tuple(out)


def _tight(place: Slices, mask: NDArray[np.bool_]) -> tuple[Slices, NDArray[np.bool_]]:
    """Cut a mask down to the box of what it holds."""
    for axis in range(mask.ndim):
        others = tuple(k for k in range(mask.ndim) if k != axis)
        filled = np.flatnonzero(mask.any(axis=others))
        if not filled.size:
            empty = tuple(slice(part.start, part.start) for part in place)
            return empty, mask[(slice(0, 0),) * mask.ndim]
        first, last = int(filled[0]), int(filled[-1]) + 1
        start = place[axis].start
        mask = mask[(slice(None),) * axis + (slice(first, last),)]
        place = (*place[:axis], slice(start + first, start + last), *place[axis + 1 :])
    return place, mask


def _spare(painted: NDArray[np.bool_], present: Labels, protected: Protected, label: int) -> None:
    """Take protected voxels out of what is to be painted."""
    if not isinstance(protected, str) and not callable(protected) and not protected:
        return
    occupied = painted & (present != 0)
    there = present[occupied]
    ids = _distinct(there)
    held = ids[_held(ids, protected, label)]
    if held.size:
        painted[occupied] = ~np.isin(there, held)


def _held(ids: Labels, protected: Protected, label: int) -> NDArray[np.bool_]:
    """Which of a few distinct ids, none of them 0, are protected."""
    if isinstance(protected, str):
        if protected != "all":
            raise InputError(f"protected={protected!r} must be 'all', ids, or a function of ids.")
        return np.asarray(ids != label)
    if callable(protected):
        answer = np.asarray(protected(ids))
        if answer.dtype != np.bool_ or answer.shape != ids.shape:
            raise InputError("The function given as `protected` must return one bool per id.")
        return answer
    return np.array([one in protected for one in ids.tolist()], np.bool_)


def _distinct(values: Labels) -> Labels:
    """Return the distinct values, rising; runs are folded first, for sorting them costs most."""
    if not values.size:
        return values
    starts = np.flatnonzero(values[1:] != values[:-1]) + 1
    return np.unique(np.append(values[:1], values[starts]))


def _intersection(one: Slices, other: Slices) -> Slices:
    cuts = []
    for a, b in zip(one, other, strict=True):
        start = max(a.start, b.start)
        cuts.append(slice(start, max(start, min(a.stop, b.stop))))
    return tuple(cuts)


def _seen_from(origin: Slices, box: Slices) -> Slices:
    """Return slices of an array that begins at `origin` for a box within it."""
    if any(part.start == part.stop for part in box):
        return (slice(0, 0),) * len(box)
    return tuple(
        slice(part.start - base.start, part.stop - base.start)
        for part, base in zip(box, origin, strict=True)
    )


def _union(boxes: list[Slices], ndim: int) -> Slices:
    filled = [box for box in boxes if all(part.start < part.stop for part in box)]
    if not filled:
        return (slice(0, 0),) * ndim
    return tuple(
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*filled, strict=True)
    )
