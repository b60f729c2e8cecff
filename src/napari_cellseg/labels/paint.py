"""What an object paints over, within its own box."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels.boxes import tight
from napari_cellseg.labels.edit import MOST, Edit, Labels, Slices
from napari_cellseg.labels.packing import distinct

Protected: TypeAlias = Collection[int] | Literal["all"] | Callable[[Labels], NDArray[np.bool_]]
"""Whose voxels must stay: ids, ``"all"`` (every other object), or a function that takes an array
of a few distinct ids and says of each whether it is protected."""


def painted(
    labels: Labels,
    region: Slices,
    mask: NDArray[np.bool_],
    label: int,
    *,
    protected: Protected = frozenset(),
    replace: Slices | None = None,
    kind: str = "paint",
) -> list[Edit]:
    """Return the edits that paint an object into labels, which are only read.

    The cost depends on `region` and `replace`, never on the size of the labels.

    Parameters
    ----------
    labels : array of uint32, ([t,] [z,] y, x)
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
    kind : str
        Of the edits.

    Returns
    -------
    list of Edit
        For `LabelDocument.apply`; empty where nothing changes.

    Raises
    ------
    InputError
        If the region lies outside the labels, the mask has another shape or type, or the id cannot
        be used or is itself protected.
    """
    label = _checked_id(label)
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
    present = labels[place]
    fresh = mask & (present != label)
    _spare(fresh, present, protected, label)
    edits = [Edit(*tight(place, fresh), label, kind)] if fresh.any() else []
    if replace is not None:
        old = _inside(replace, labels.shape, "region to be replaced")
        erased = labels[old] == label
        shared = _intersection(old, place)
        erased[_seen_from(old, shared)] &= ~mask[_seen_from(place, shared)]
        if erased.any():
            edits.append(Edit(*tight(old, erased), 0, kind))
    return edits


def _checked_id(label: int) -> int:
    try:
        value = label.__index__()
    except AttributeError:
        raise InputError(f"The object's id {label!r} must be a whole number.") from None
    if not 0 < value <= MOST:
        raise InputError(f"The object's id {value} must lie between 1 and {MOST}.")
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


def _spare(painted: NDArray[np.bool_], present: Labels, protected: Protected, label: int) -> None:
    """Take protected voxels out of what is to be painted."""
    if not isinstance(protected, str) and not callable(protected) and not protected:
        return
    occupied = painted & (present != 0)
    there = present[occupied]
    ids = distinct(there)
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
