"""Put proposed labels in place of the present ones without losing what a hand has changed.

What counts as changed by hand: every voxel that differs from what we wrote last (the baseline).
An instance that any such voxel belongs to, or was taken from, is kept as it stands; an erased voxel
stays background. A proposed instance that lies mostly on kept voxels is the same cell again and is
left out; of any other, the free part is taken. Present ids go on to the proposed instance
that shares most voxels with them, where each is the other's best.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellseg.evaluation import contingency

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Labels = NDArray[np.uint32]

SENTINEL = np.uint32(2**32 - 1)
"""In a baseline: "not ours". No instance has this id, so the voxel counts as changed by hand."""

_DIRECT = 2**24
"""Up to this id a table over all ids is affordable."""

Slices = tuple[slice, ...]


@dataclass(frozen=True, eq=False)
class Merged:
    """Outcome of `merge_labels`.

    Attributes
    ----------
    labels : ndarray of uint32
        A new array: what to show and edit.
    baseline : ndarray of uint32
        What we wrote, `SENTINEL` where a hand did.
    kept : int
        Number of instances kept because they were changed by hand.
    count : int
        Number of instances in `labels`; with time, of each time point.
    """

    labels: Labels
    baseline: Labels
    kept: int
    count: int


def edited_voxels(labels: Labels, baseline: Labels | None) -> NDArray[np.bool_]:
    """Where labels differ from what we wrote; with no baseline every instance is the user's."""
    different: NDArray[np.bool_] = labels != (0 if baseline is None else baseline)
    return different


def has_edits(labels: Labels, baseline: Labels | None) -> bool:
    """Whether any voxel was changed by hand; plane by plane, so it needs no large temporary."""
    if baseline is None:
        return bool(labels.any())
    if labels.ndim <= 2:
        return not np.array_equal(labels, baseline)
    return any(
        not np.array_equal(plane, ours) for plane, ours in zip(labels, baseline, strict=True)
    )


def merge_labels(
    current: Labels | None,
    baseline: Labels | None,
    proposed: Labels,
    region: Slices | None,
    shape: tuple[int, ...],
    timed: bool = False,
    locked: Collection[int] = (),
    above: int = 0,
) -> Merged:
    """Apply proposed labels over a region.

    Parameters
    ----------
    current : ndarray of uint32 or None
        Present labels, of the given shape; read only. None: there are none.
    baseline : ndarray of uint32 or None
        What we wrote last; None: all present instances are the user's own.
    proposed : ndarray of uint32
        Over the region.
    region : tuple of slice or None
        None: everything.
    shape : tuple of int
    timed : bool
        Whether the first axis is time.
    locked : collection of int
        Ids that stay as they are, changed by hand or not.
    above : int
        New ids lie above this one, too: the largest that there ever was.

    Returns
    -------
    Merged
    """
    where: Slices = region if region is not None else (slice(None),) * len(shape)
    if current is None:
        labels = np.zeros(shape, np.uint32)
        labels[where] = proposed
        return Merged(labels, labels.copy(), 0, _count(labels, timed))
    labels = current.copy()
    ours = labels.copy() if baseline is None else baseline.copy()
    inside = labels[where]
    protected = edited_voxels(inside, None if baseline is None else ours[where])
    if locked:
        protected |= np.isin(inside, np.fromiter(locked, np.uint32))
    kept = np.zeros(0, np.uint32)
    if protected.any():
        touched = np.union1d(inside[protected], ours[where][protected])
        kept = np.intersect1d(touched[(touched != 0) & (touched != SENTINEL)], inside)
        protected |= np.isin(inside, kept)

    fresh = _free_part(proposed, protected)
    merged = np.where(protected, inside, _with_present_ids(fresh, inside, kept, current, above))
    labels[where] = merged
    if baseline is None:
        ours[ours != 0] = SENTINEL  # also outside the region
    ours[where] = np.where(protected, SENTINEL, merged)
    return Merged(labels, ours, len(kept), _count(labels, timed))


def _dense(labels: Labels) -> tuple[NDArray[np.integer[Any]], Labels]:
    """Labels that index a short table, and the id of each of its rows; row 0 is background."""
    largest = int(labels.max(initial=0))
    if largest <= _DIRECT:
        return labels, np.arange(largest + 1, dtype=np.uint32)
    ids, rows = np.unique(np.append(labels.ravel(), np.uint32(0)), return_inverse=True)
    return rows[:-1].reshape(labels.shape), ids


def _count(labels: Labels, timed: bool) -> int:
    """Count the instances, those of each time point for themselves."""
    total = 0
    for part in labels if timed else (labels,):
        rows, _ = _dense(part)
        total += int(np.count_nonzero(np.bincount(rows.ravel())[1:]))
    return total


def _free_part(proposed: Labels, protected: NDArray[np.bool_]) -> Labels:
    """Remove the protected voxels, and the instances that lie mostly on them."""
    if not protected.any():
        return proposed
    rows, ids = _dense(proposed)
    sizes = np.bincount(rows.ravel(), minlength=len(ids))
    covered = np.bincount(rows[protected], minlength=len(ids))
    remaining: Labels = np.where(2 * covered > sizes, np.uint32(0), ids)[rows]
    remaining[protected] = 0
    return remaining


def _with_present_ids(
    fresh: Labels, present: Labels, kept: Labels, everything: Labels, above: int
) -> Labels:
    """Give proposed instances the present id that overlaps best; others get new ids.

    `kept` are ids of instances that stay as they are, which no other may have; new ids occur
    nowhere in `everything`, and lie above `above`.
    """
    table = contingency(fresh, present, timed=False)
    old_rows, new_rows, shared = table.instances
    new_ids = table.predicted_ids[:, 1]
    old_ids = table.truth_ids[:, 1]
    order = np.argsort(shared, kind="stable")  # so that the largest overlap is written last
    best_old = np.full(len(new_ids), -1, np.int64)
    best_new = np.full(len(old_ids), -1, np.int64)
    best_old[new_rows[order]] = old_rows[order]
    best_new[old_rows[order]] = new_rows[order]
    final = np.zeros(len(new_ids), np.uint32)
    free = ~np.isin(old_ids, kept)
    for row, old in enumerate(best_old):
        if old >= 0 and best_new[old] == row and free[old]:
            final[row] = old_ids[old]
    nameless = np.flatnonzero(final == 0)
    final[nameless] = _unused(everything, len(nameless), above)
    rows, ids = _dense(fresh)
    names = np.zeros(len(ids), np.uint32)
    names[np.searchsorted(ids, new_ids)] = final
    named: Labels = names[rows]
    return named


def _unused(labels: Labels, number: int, above: int) -> NDArray[np.int64]:
    """Ids that do not occur: above the largest, or from the gaps where those run out."""
    largest = max(int(labels.max(initial=0)), above)
    if largest + number < int(SENTINEL):
        return np.arange(largest + 1, largest + 1 + number)
    taken = np.unique(labels).astype(np.int64)
    return np.setdiff1d(np.arange(1, len(taken) + number + 1), taken)[:number]
