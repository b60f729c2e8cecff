"""Where prompted objects are shown and kept: the preview, the labels, and what can be undone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_cellseg.labels.paint import MOST, Change, free_id, write_object
from napari_cellseg.session.prompt_object import Part, PromptObject, Slices, around

if TYPE_CHECKING:
    from napari_cellseg.session.merge import Labels

STEPS = 500
"""Acceptances that can be undone."""
BYTES = 512 * 2**20
"""Memory that they may take together."""


@dataclass(frozen=True, eq=False)
class Step:
    """One acceptance: what it wrote, and which objects were committed before and after it."""

    changes: tuple[Change, ...]
    before: dict[int, PromptObject]
    after: dict[int, PromptObject]

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return sum(change.nbytes for change in self.changes)


class Preview:
    """Open objects by number, in an array of their own; only their boxes are ever touched.

    Where objects overlap, the one begun first is shown: `Commits.commit` writes them so.

    Parameters
    ----------
    shape : tuple of int
        Of the labels. Memory is taken only where something is shown.

    Attributes
    ----------
    labels : array of uint32
    """

    changed: ClassVar[Signal] = Signal(object)

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.labels: NDArray[np.uint32] = np.zeros(shape, np.uint32)
        self._shown: dict[int, Part] = {}
        self._gathered: list[Slices] | None = None

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Say of everything changed in this block at its end that it has, as one box."""
        if self._gathered is not None:  # inside another such block
            yield
            return
        self._gathered = []
        try:
            yield
        finally:
            gathered, self._gathered = self._gathered, None
            if gathered:
                self.changed.emit(around(gathered))

    def show(self, number: int, part: Part | None) -> None:
        """Show an object anew, or (None) no longer."""
        former = self._shown.get(number)
        if former is not None and part is not None and _same(former, part):
            return  # a stroke elsewhere has every object shown anew
        self._shown.pop(number, None)
        if former is not None:
            here = self.labels[former.region]
            np.copyto(here, np.uint32(0), where=here == number)
            for other, covered in self._shown.items():
                if _touch(covered.region, former.region):
                    self._fill(other, covered)
        if part is not None:
            self._fill(number, part)
            self._shown[number] = part
        touched = [one.region for one in (former, part) if one is not None]
        if self._gathered is not None:
            self._gathered += touched
        elif touched:
            self.changed.emit(around(touched))

    def clear(self) -> None:
        """Show nothing."""
        with self.at_once():
            for number in list(self._shown):
                self.show(number, None)

    def _fill(self, number: int, part: Part) -> None:
        here = self.labels[part.region]
        where = part.mask
        if any(n != number and _touch(o.region, part.region) for n, o in self._shown.items()):
            where = where & ((here == 0) | (here > number))
        np.copyto(here, np.uint32(number), where=where)


def _same(one: Part, other: Part) -> bool:
    return one.region == other.region and np.array_equal(one.mask, other.mask)


def _touch(one: Slices, other: Slices) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))


class Commits:
    """Writes objects into labels, and takes that back.

    Attributes
    ----------
    committed : dict of int to PromptObject
        Objects by their id in the labels.
    locked : set of int
        Ids that nothing here may change, asked or not.
    """

    written: ClassVar[Signal] = Signal(object)
    #: The labels were changed by something else than prompts: what is free is another.
    edited: ClassVar[Signal] = Signal()

    def __init__(self) -> None:
        self.committed: dict[int, PromptObject] = {}
        self.locked: set[int] = set()
        self._done: list[Step] = []
        self._undone: list[Step] = []
        self._largest: int | None = None

    @property
    def can_undo(self) -> bool:
        """Whether an acceptance can be taken back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether one that was taken back can be made again."""
        return bool(self._undone)

    def forget(self) -> None:
        """Start afresh: the labels are others."""
        self.committed.clear()
        self.locked.clear()
        self.forget_history()

    def forget_history(self) -> None:
        """Nothing can be undone: the array is another, in which finished objects kept their ids."""
        self._done.clear()
        self._undone.clear()
        self._largest = None

    def free(
        self, labels: Labels | None, part: Part, own: int | None, overwrite: bool
    ) -> Part | None:
        """What of a part may be written: the rest lies on objects that stay as they are."""
        if labels is None:
            return part
        if own in self.locked:
            return None
        present = labels[part.region]
        taken = present != 0
        if overwrite:
            taken &= np.isin(present, list(self.locked)) if self.locked else False
        if own is not None:
            taken &= present != own
        mask = part.mask & ~taken
        return Part(part.region, mask, part.source, part.scores) if mask.any() else None

    def commit(
        self, labels: Labels, objects: Iterable[tuple[PromptObject, Part]], overwrite: bool
    ) -> list[PromptObject]:
        """Write objects; return those of which at least one voxel is there afterwards.

        Parameters
        ----------
        labels : array of uint32
            Written in place.
        objects : iterable of (PromptObject, Part)
        overwrite : bool
            Whether objects that are not locked give way. Those written by this call never do:
            the first of them keeps what it shares with others.
        """
        before = dict(self.committed)
        changes: list[Change] = []
        kept: list[PromptObject] = []
        written: list[int] = []
        # what is free is found before anything is written, so that it is what was shown
        free = [(one, self.free(labels, part, one.label, overwrite)) for one, part in objects]
        try:
            for one, part in free:
                if part is not None and written:
                    mask = part.mask & ~np.isin(labels[part.region], written)
                    part = replace(part, mask=mask) if mask.any() else None
                if part is None:
                    continue
                label = one.label if one.label is not None else self._unused(labels)
                change = write_object(
                    labels,
                    part.region,
                    part.mask,
                    label,
                    protected=self.locked.union(written) if overwrite else "all",
                    replace=one.region,
                )
                one.label, one.region = label, part.region
                changes.append(change)
                written.append(label)
                self.committed[label] = one.copy()
                kept.append(one)
        finally:
            if changes:
                self._done.append(Step(tuple(changes), before, dict(self.committed)))
                self._undone.clear()
                self._shrink()
                self._tell(changes)
        return kept

    def held(self, undone: bool = False) -> list[int]:
        """Locked ids that taking back the last acceptance, or (True) making it again, changes."""
        steps = self._undone if undone else self._done
        ids = {label for change in steps[-1].changes for label in change.ids} if steps else set()
        return sorted(ids & self.locked)

    def undo(self, labels: Labels) -> Step:
        """Take the last acceptance back."""
        step = self._done.pop()
        for change in reversed(step.changes):
            change.undo(labels)
        self.committed = dict(step.before)
        self._undone.append(step)
        self._tell(step.changes)
        return step

    def redo(self, labels: Labels) -> Step:
        """Make it again."""
        step = self._undone.pop()
        for change in step.changes:
            change.redo(labels)
        self.committed = dict(step.after)
        self._done.append(step)
        self._tell(step.changes)
        return step

    def _tell(self, changes: Iterable[Change]) -> None:
        regions = [change.region for change in changes if change.count]
        if regions:
            self.written.emit(around(regions))

    def _shrink(self) -> None:
        used = sum(step.nbytes for step in self._done)
        while len(self._done) > 1 and (len(self._done) > STEPS or used > BYTES):
            used -= self._done.pop(0).nbytes

    def _unused(self, labels: Labels) -> int:
        """An id above all that occur; the labels are looked through once, not at every commit."""
        if self._largest is None:
            self._largest = int(labels.max(initial=0))
        known = self.locked.union(self.committed)
        if max(self._largest, *known, 0) < MOST:
            self._largest = max(self._largest, *known, 0) + 1
            return self._largest
        return free_id(known.union(np.unique(labels).tolist()))

    def forget_ids(self) -> None:
        """Look for the largest id again before the next one is given: a hand changed the labels."""
        self._largest = None
        self.edited.emit()


def extent_of(labels: Labels, seed: tuple[int, ...], fixed: Callable[[int], bool]) -> Slices:
    """The box around an object, from one of its voxels, without looking through the labels.

    Parameters
    ----------
    labels : array of int
    seed : tuple of int
        A voxel of the object.
    fixed : callable
        Whether an axis (by its number) is not to be searched along: time.

    Returns
    -------
    tuple of slice
        The box grows until no voxel of the object lies on its sides; parts of the object beyond a
        gap of more than the box's own length are not found.
    """
    label = labels[seed]
    low = [index if fixed(axis) else max(0, index - 8) for axis, index in enumerate(seed)]
    high = [
        index + 1 if fixed(axis) else min(size, index + 9)
        for axis, (index, size) in enumerate(zip(seed, labels.shape, strict=True))
    ]
    while True:
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        found = labels[box] == label
        grown = False
        tight: list[slice] = []
        for axis, size in enumerate(labels.shape):
            others = tuple(other for other in range(labels.ndim) if other != axis)
            along = np.flatnonzero(found.any(axis=others))
            first, last = low[axis] + int(along[0]), low[axis] + int(along[-1]) + 1
            tight.append(slice(first, last))
            if fixed(axis):
                continue
            step = max(8, high[axis] - low[axis])
            if first == low[axis] > 0:
                low[axis], grown = max(0, low[axis] - step), True
            if last == high[axis] < size:
                high[axis], grown = min(size, high[axis] + step), True
        if not grown:
            return tuple(tight)
