"""Labels with their object table, and how a step is written into both."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.labels.boxes import around, tight
from napari_cellseg.labels.edit import (
    Change,
    Direction,
    Edit,
    Key,
    Labels,
    Mark,
    Slices,
    Step,
)
from napari_cellseg.labels.gathering import Gathering, account, joined, plain
from napari_cellseg.labels.packing import (
    Patch,
    distinct,
    header_of,
    pack,
    pack_patches,
    patches_of,
)
from napari_cellseg.labels.replacement import SPATIAL, as_volumes
from napari_cellseg.labels.step_record import header_from
from napari_cellseg.labels.table import ObjectTable

_FLAGS = ("locked", "accepted")
"""Marks that an object either has or does not have."""


class LabelWriting:
    """Labels, their object table and history, and how each is written; `LabelCore` has the verbs.

    Parameters
    ----------
    labels : array of uint32, ([t,] [z,] y, x)
        C-contiguous, native and writable; taken over and written in place.
    axes : str
        "yx", "zyx", "tyx" or "tzyx".
    spacing : tuple of float
        (z, y, x) in µm.

    Attributes
    ----------
    objects : ObjectTable
    history, undone : list of Step
        What can be undone (last first to go), and what can be made again.
    """

    changed: ClassVar[Signal] = Signal(Change)
    """Emitted after labels or marks have changed, in the thread that changed them; one after the
    other, in the order of the changes."""

    def __init__(self, labels: Labels, axes: str, spacing: Sequence[float]) -> None:
        if axes not in SPATIAL or labels.ndim != len(axes):
            raise InputError(
                f"Labels of shape {labels.shape} cannot have the axes {axes!r}: state axes='zyx', "
                "'yx', 'tzyx' or 'tyx'."
            )
        self.axes = axes
        self.spacing = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
        self.read_only = ""
        self._lock = threading.RLock()
        self._take(labels)
        self.objects = ObjectTable(self._volumes, SPATIAL[axes])
        self.history: list[Step] = []
        self.undone: list[Step] = []
        self._number = 0
        self._version = 0  # of labels, marks and history: whatever changes them raises it
        self._log: list[tuple[Step, Direction]] = []
        self._first_marks: list[tuple[Key, str, Any]] = []  # before the first step
        self._open: Gathering | None = None

    @property
    def labels(self) -> Labels:
        """The labels themselves, not a copy; write them by `apply` only."""
        return self._labels

    def guard_by(self, lock: threading.RLock) -> None:
        """Take the lock of whoever follows `changed` in place of one's own.

        Otherwise a thread that edits here, and tells it there, could wait for one that edits from
        there, and that one for it.
        """
        with self._lock:
            self._lock = lock

    @property
    def timed(self) -> bool:
        """Whether the labels have a time axis."""
        return self.axes.startswith("t")

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self.history) or self._open is not None

    @property
    def can_redo(self) -> bool:
        """Whether there is one to make again."""
        return bool(self.undone) and self._open is None

    @property
    def number(self) -> int:
        """Number of the last record: steps, and those undone and made again, are counted."""
        return self._number

    def is_locked(self, id: int, t: int = 0) -> bool:
        """Whether an object may not be changed."""
        return bool(self.objects.mark(id, "locked", t, False))

    def free_ids(self, count: int = 1, t: int = 0) -> list[int]:
        """Return ids that no object has; see `ObjectTable.free_ids`."""
        return self.objects.free_ids(count, t)

    def end_stroke(self) -> Step | None:
        """Close the step that `apply(gather=True)` began; return it."""
        with self._lock:
            stroke, self._open = self._open, None
            if stroke is None:
                return None
            untold = around(stroke.untold)
            stroke.patches = joined(stroke.patches)
            step = self._step(stroke)
            self._finish(stroke, step)
            self.changed.emit(Change(untold, step.keys, step, "do"))
        return step

    def abandon_stroke(self) -> None:
        """Take back what `apply(gather=True)` has gathered, as if it had never been."""
        with self._lock:
            stroke, self._open = self._open, None
            if stroke is None:
                return
            region, keys = around(stroke.patches), tuple(sorted(stroke.keys))
            step = self._step(stroke)
            self._take_back(stroke, 0, 0)
            self.changed.emit(Change(region, keys, step, "undo"))

    # -- inside ----------------------------------------------------------------------------------

    def _take(self, labels: Labels) -> None:
        if labels.dtype != np.uint32 or not labels.flags.c_contiguous or not labels.flags.writeable:
            raise InputError("Labels must be writable, contiguous and uint32: use as_labels.")
        self._labels = labels
        self._volumes = as_volumes(labels, self.axes)

    def _check_writable(self) -> None:
        if self.read_only:
            raise StorageError(self.read_only)

    def _check_inside(self, region: Slices) -> None:
        shape = self._labels.shape
        if len(region) != len(shape) or any(
            part.stop > size for part, size in zip(region, shape, strict=True)
        ):
            spans = ", ".join(f"{part.start}:{part.stop}" for part in region)
            raise InputError(
                f"The edit's box ({spans}) does not lie in the labels of shape {shape}."
            )

    def _write(self, edit: Edit, stroke: Gathering) -> None:
        present = self._labels[edit.region]
        values = edit.values
        changed = edit.mask & (present != values)
        locked = self.objects.marks.get("locked")
        if locked:
            stroke.spared += self._spare(edit.region, changed, present, values, locked)
        region, changed = tight(edit.region, changed)
        if not changed.size:
            return
        present = self._labels[region]
        before = present[changed]
        if isinstance(values, np.ndarray):
            after = values[
                tuple(
                    slice(part.start - base.start, part.stop - base.start)
                    for part, base in zip(region, edit.region, strict=True)
                )
            ][changed].astype(np.uint32, copy=False)
        else:
            after = np.full(len(before), values, np.uint32)
        present[changed] = after
        patch = Patch(region, changed, before, after)
        stroke.patches.append(patch)
        born, gone = self._tell_table(patch, stroke.keys, stroke.fresh)
        stroke.left.update(key for key in gone if key not in stroke.born)
        stroke.born.difference_update(gone)
        stroke.born.update(key for key in born if key not in stroke.left)
        self._forget_gone(stroke, gone)

    def _take_back(self, stroke: Gathering, patches: int, marks: int) -> None:
        """Undo what a failed `apply` has done so far."""
        for patch in reversed(stroke.patches[patches:]):
            self._labels[patch.region][patch.mask] = patch.before
            self._tell_table(Patch(patch.region, patch.mask, patch.after, patch.before))
        self._version += 1
        for key, name, former, _ in reversed(stroke.marks[marks:]):
            self.objects.set_mark(key, name, former)
        del stroke.patches[patches:], stroke.marks[marks:]

    def _tell_table(self, patch: Patch, *touched: set[Key]) -> tuple[list[Key], list[Key]]:
        """Bring the table up to date after a patch was written; return what came and what went."""
        self._version += 1
        born: list[Key] = []
        gone: list[Key] = []
        mask = patch.mask if self.timed else patch.mask[None]
        starts = [part.start for part in patch.region[-3 if "z" in self.axes else -2 :]]
        start = tuple([0] * (3 - len(starts)) + starts)
        first = patch.region[0].start if self.timed else 0
        used = 0
        for k, part in enumerate(mask):
            cube = part if part.ndim == 3 else part[None]
            number = int(np.count_nonzero(cube)) if len(mask) > 1 else len(patch.before)
            if not number:
                continue
            before = patch.before[used : used + number]
            after = patch.after[used : used + number]
            used += number
            keys, new, lost = self.objects.replace(
                self._volumes[first + k], first + k, start, cube, before, after
            )
            for group in touched:
                group.update(keys)
            born += new
            gone += lost
        return born, gone

    def _forget_gone(self, stroke: Gathering, gone: list[Key]) -> None:
        """What is not there any more has no marks; undoing gives them back."""
        for key, name, value in self.objects.marks_of(gone):
            self.objects.set_mark(key, name, None)
            stroke.marks.append((key, name, value, None))

    def _mark(self, mark: Mark, stroke: Gathering) -> None:
        self.objects.box(mark.id, mark.t)  # says where there is no such object
        key, value = (int(mark.t), int(mark.id)), plain(mark.value)
        if mark.name in _FLAGS and not value:
            value = None
        former = self.objects.mark(key[1], mark.name, key[0])
        if former == value:
            return
        self._version += 1
        self.objects.set_mark(key, mark.name, value)
        stroke.marks.append((key, mark.name, former, value))
        stroke.keys.add(key)
        stroke.fresh.add(key)

    def _spare(
        self,
        region: Slices,
        changed: NDArray[np.bool_],
        present: Labels,
        values: int | NDArray[Any],
        locked: dict[Key, Any],
    ) -> int:
        """Take voxels of locked objects, and those that would become theirs, out of a mask."""
        spared = 0
        first = region[0].start if self.timed else 0
        for k in range(len(changed) if self.timed else 1):
            t = first + k
            where = changed[k] if self.timed else changed
            here = present[k] if self.timed else present
            total = int(np.count_nonzero(where))
            there = here[where]
            held = [one for one in distinct(there).tolist() if (t, one) in locked]
            stays = np.isin(there, held)
            if isinstance(values, np.ndarray):
                given = (values[k] if self.timed else values)[where]
                held = [one for one in distinct(given).tolist() if (t, one) in locked]
                stays |= np.isin(given, held)
            elif (t, values) in locked:
                stays[:] = True
            where[where] = ~stays
            spared += total - int(np.count_nonzero(where))
        return spared

    def _walk(self, step: Step, *, back: bool, anyway: bool = False) -> bool:
        """Write what a step wrote, or what was there before it.

        False, and nothing is written, where its voxels are not as it left them: somebody has
        written the array without a word. With `anyway` they are written nevertheless: a later
        step, undone, has brought back what it had found there.
        """
        payload = self._payload(step)
        header, _ = header_of(payload)
        patches = list(patches_of(payload))
        if back:
            patches = [
                Patch(one.region, one.mask, one.after, one.before) for one in reversed(patches)
            ]
        written: list[Patch] = []
        for patch in patches:
            present = self._labels[patch.region]
            there = present[patch.mask]
            if anyway:
                patch = replace(patch, before=there)
            elif not np.array_equal(there, patch.before):
                for done in reversed(written):
                    self._labels[done.region][done.mask] = done.before
                return False
            present[patch.mask] = patch.after
            written.append(patch)
        for patch in written:
            self._tell_table(patch)
        self._version += 1
        marks = header.get("marks", [])
        for (t, label), name, former, value in reversed(marks) if back else marks:
            self.objects.set_mark((int(t), int(label)), name, former if back else value)
        return True

    def _step(self, stroke: Gathering) -> Step:
        return Step(
            self._number + 1,
            stroke.kind,
            stroke.source,
            datetime.now(UTC),
            account(),
            stroke.info,
            around(stroke.patches),
            tuple(sorted(stroke.keys)),
            sum(len(patch.before) for patch in stroke.patches),
            stroke.spared,
            tuple(sorted(stroke.born & stroke.keys)),
        )

    def _finish(
        self, stroke: Gathering, step: Step, packed: tuple[int, bytes] | None = None
    ) -> None:
        header = {**header_from(step), "do": "step", "marks": stroke.marks}
        step.payload = pack(header, step.keys, packed or pack_patches(stroke.patches))
        self.history.append(step)
        self.undone.clear()
        self._record(step, "do")

    def _record(self, step: Step, direction: Direction) -> None:
        self._number += 1
        self._version += 1
        self._log.append((step, direction))

    def _payload(self, step: Step) -> bytes:
        assert step.payload is not None  # only what a journal holds is ever dropped
        return step.payload
