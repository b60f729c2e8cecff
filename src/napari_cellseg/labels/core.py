"""The heart of a label document: labels, their object table, and a history that can be walked."""

from __future__ import annotations

import getpass
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_cellseg.errors import InputError, StorageError
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
from napari_cellseg.labels.packing import (
    Patch,
    distinct,
    header_of,
    pack,
    pack_patches,
    patches_of,
)
from napari_cellseg.labels.table import ObjectTable

_FLAGS = ("locked", "accepted")
"""Marks that an object either has or does not have."""
_SPATIAL = {"yx": 2, "zyx": 3, "tyx": 2, "tzyx": 3}


class LabelCore:
    """Labels that change only by `apply`, `undo` and `redo`.

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
        if axes not in _SPATIAL or labels.ndim != len(axes):
            raise InputError(
                f"Labels of shape {labels.shape} cannot have the axes {axes!r}: state axes='zyx', "
                "'yx', 'tzyx' or 'tyx'."
            )
        self.axes = axes
        self.spacing = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
        self.read_only = ""
        self._lock = threading.RLock()
        self._take(labels)
        self.objects = ObjectTable(self._volumes, _SPATIAL[axes])
        self.history: list[Step] = []
        self.undone: list[Step] = []
        self._number = 0
        self._version = 0  # of labels, marks and history: whatever changes them raises it
        self._log: list[tuple[Step, Direction]] = []
        self._first_marks: list[tuple[Key, str, Any]] = []  # before the first step
        self._open: _Gathering | None = None

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

    # -- changing --------------------------------------------------------------------------------

    def apply(
        self,
        *edits: Edit | Mark,
        kind: str | None = None,
        source: str | None = None,
        info: Mapping[str, Any] | None = None,
        gather: bool = False,
        tell: bool = True,
    ) -> Step | None:
        """Make edits, together one undo step.

        Voxels of locked objects stay, and locked objects gain none; `Step.spared` counts both. The
        cost depends on the edits' boxes, never on the size of the labels.

        Parameters
        ----------
        *edits : Edit or Mark
            Made in this order.
        kind, source, info : optional
            Of the step; those of the first edit otherwise.
        gather : bool
            Whether more of the same step will follow: `end_stroke` closes it, and so does anything
            else that is done. Returns None.
        tell : bool
            False: what is gathered is told by `changed` only when the step is closed.

        Returns
        -------
        Step or None
            None where nothing changed.

        Raises
        ------
        InputError
            An edit that lies outside the labels; nothing has been written then.
        StorageError
            If the document is open elsewhere, and here read-only.
        """
        with self._lock:
            self._check_writable()
            for one in edits:
                if isinstance(one, Edit):
                    self._check_inside(one.region)
            first = next((one for one in edits if isinstance(one, Edit)), None)
            chosen = kind or (first.kind if first is not None else "mark")
            by = source or (first.source if first is not None else "user")
            more = dict(info) if info is not None else dict(first.info) if first else {}
            if self._open is not None and not (gather and self._open.kind == chosen):
                self.end_stroke()
            stroke = self._open or _Gathering(chosen, by, {})
            stroke.info.update(plain(more))
            already = len(stroke.patches), len(stroke.marks)
            try:
                for one in edits:
                    if isinstance(one, Mark):
                        self._mark(one, stroke)
                    else:
                        self._write(one, stroke)
            except BaseException:
                self._take_back(stroke, *already)
                raise
            new = stroke.patches[already[0] :]
            if gather:
                self._open = stroke if stroke.patches or stroke.marks else None
            elif not stroke.patches and not stroke.marks:
                return None
            step = self._step(stroke)
            if not gather:
                self._finish(stroke, step)
            if gather and not tell:
                stroke.untold += new
            if not gather:
                self.changed.emit(Change(step.region, step.keys, step, "do"))
                return step
            if tell and (new or len(stroke.marks) > already[1]):
                told = Change(_around(new), tuple(sorted(stroke.fresh)), step, "do")
                stroke.fresh.clear()
                self.changed.emit(told)
            return None

    def end_stroke(self) -> Step | None:
        """Close the step that `apply(gather=True)` began; return it."""
        with self._lock:
            stroke, self._open = self._open, None
            if stroke is None:
                return None
            untold = _around(stroke.untold)
            stroke.patches = _joined(stroke.patches)
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
            region, keys = _around(stroke.patches), tuple(sorted(stroke.keys))
            step = self._step(stroke)
            self._take_back(stroke, 0, 0)
            self.changed.emit(Change(region, keys, step, "undo"))

    def undo(self) -> Step:
        """Take the last step back.

        Where the array was written without a word since, that is what is taken back.

        Raises
        ------
        InputError
            If there is none.
        StorageError
            If the document is read-only.
        """
        with self._lock:
            self._check_writable()
            self.end_stroke()
            if not self.history:
                raise InputError("There is nothing to undo.")
            if not self._walk(self.history[-1], back=True):
                self.absorb()
                if not self.history:
                    raise InputError("There is nothing to undo.")
                self._walk(self.history[-1], back=True, anyway=True)
            step = self.history.pop()
            self.undone.append(step)
            self._record(step, "undo")
            self.changed.emit(Change(step.region, step.keys, step, "undo"))
        return step

    def redo(self) -> Step:
        """Make the step again that was taken back last; errors as of `undo`."""
        with self._lock:
            self._check_writable()
            self.end_stroke()
            if self.undone and not self._walk(self.undone[-1], back=False):
                self.absorb()
                if self.undone:
                    self._walk(self.undone[-1], back=False, anyway=True)
            if not self.undone:
                raise InputError("There is nothing to redo.")
            step = self.undone.pop()
            self.history.append(step)
            self._record(step, "redo")
            self.changed.emit(Change(step.region, step.keys, step, "redo"))
        return step

    def absorb(self) -> Step | None:
        """Find what was written into the array without a word, and make it a step.

        Every plane keeps a checksum. Where nothing knows what a plane held before, history ends
        here: what came before cannot be undone any more.

        Returns
        -------
        Step or None
            None where nothing was found.

        Raises
        ------
        StorageError
            If something was found and the document is read-only.
        """
        from napari_cellseg.labels._kernels import plane_checksum

        with self._lock:
            self.end_stroke()
            planes = [
                (t, z)
                for t, volume in enumerate(self._volumes)
                for z, plane in enumerate(volume)
                if plane_checksum(plane, z) != self.objects.checksums[t, z]
            ]
            if not planes:
                return None
            self._check_writable()
            self._settle()
            self.end_stroke()  # others may have begun one while this waited
            expected = self._expected()
            stroke = _Gathering("foreign", "another tool", {"planes": len(planes)})
            if expected is not None:
                stroke.patches = differences(expected, self._labels, self.timed)
                stroke.keys = _keys_in(stroke.patches, self.timed)
            missing = {key for key in stroke.keys if key not in self.objects}
            self._version += 1
            self.objects.count(self._volumes)
            stroke.born = {key for key in missing if key in self.objects}
            marked = {key for column in self.objects.marks.values() for key in column}
            self._forget_gone(stroke, [key for key in marked if key not in self.objects])
            if expected is not None and not stroke.patches:
                return None  # all of it has been written over since
            step = self._step(stroke)
            if expected is None:
                self.history.clear()
                self.undone.clear()
                self._cut(step, stroke.marks)
            else:
                self._finish(stroke, step)
            self.changed.emit(Change(step.region, step.keys, step, "do"))
            return step

    def replace(
        self,
        labels: Labels | Replacement,
        kind: str = "replace",
        source: str = "user",
        info: Mapping[str, Any] | None = None,
    ) -> Step | None:
        """Take another array of the same shape in place of the labels, as one undo step.

        Locks do not hold here: whoever makes the array keeps what is locked.

        Parameters
        ----------
        labels : array of uint32 or Replacement
            Taken over, not copied; a `Replacement` was prepared in another thread.
        kind, source, info : see `Edit`

        Returns
        -------
        Step or None
            None where nothing differs.
        """
        with self._lock:
            self._check_writable()
            self.end_stroke()
            made = labels
            if not isinstance(made, Replacement) or made.of is not self._labels:
                made = Replacement(
                    self._labels, made.labels if isinstance(made, Replacement) else made, self.axes
                )
            elif made.version != self._version:
                made = Replacement(self._labels, made.labels, self.axes)
            stroke = _Gathering(kind, source, plain(dict(info or {})))
            stroke.keys = made.keys
            missing = {key for key in stroke.keys if key not in self.objects}
            marks, largest = self.objects.marks, self.objects.largest
            self._version += 1
            self._take(made.labels)
            self.objects = made.objects
            self.objects.marks = marks
            self.objects.remember(largest)
            if not made.count:
                return None
            stroke.born = {key for key in missing if key in self.objects}
            self._forget_gone(stroke, [key for key in stroke.keys if key not in self.objects])
            step = self._step(stroke)
            step.region, step.count = made.region, made.count
            self._finish(stroke, step, made.packed)
            self.changed.emit(Change(step.region, step.keys, step, "do"))
            return step

    def prepare(self, labels: Labels) -> Replacement:
        """Find out, in any thread, what `replace` needs to know of another array."""
        version = self._version
        made = Replacement(self._labels, labels, self.axes)
        made.version = version
        return made

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

    def _write(self, edit: Edit, stroke: _Gathering) -> None:
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

    def _take_back(self, stroke: _Gathering, patches: int, marks: int) -> None:
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

    def _forget_gone(self, stroke: _Gathering, gone: list[Key]) -> None:
        """What is not there any more has no marks; undoing gives them back."""
        for key, name, value in self.objects.marks_of(gone):
            self.objects.set_mark(key, name, None)
            stroke.marks.append((key, name, value, None))

    def _mark(self, mark: Mark, stroke: _Gathering) -> None:
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

    def _step(self, stroke: _Gathering) -> Step:
        return Step(
            self._number + 1,
            stroke.kind,
            stroke.source,
            datetime.now(UTC),
            _account(),
            stroke.info,
            _around(stroke.patches),
            tuple(sorted(stroke.keys)),
            sum(len(patch.before) for patch in stroke.patches),
            stroke.spared,
            tuple(sorted(stroke.born & stroke.keys)),
        )

    def _finish(
        self, stroke: _Gathering, step: Step, packed: tuple[int, bytes] | None = None
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

    def _settle(self) -> None:
        """Wait until `_expected` can tell; the lock is let go of meanwhile."""

    def _cut(self, step: Step, marks: list[tuple[Key, str, Any, Any]]) -> None:
        """Take up that history ends with a step, which is not in it."""
        self._version += 1
        self._log.clear()
        self._number = 0  # a journal that begins later counts from here
        self._first_marks = [
            (key, name, value)
            for name, column in self.objects.marks.items()
            for key, value in column.items()
        ]

    def _expected(self) -> Labels | None:
        """What the labels are by the steps made; None where nothing knows."""
        return None


class Replacement:
    """Another array for the labels, and what has to be known of it.

    Parameters
    ----------
    of : array of uint32
        The present labels; read only.
    labels : array of uint32
        Of the same shape.
    axes : str
    """

    def __init__(self, of: Labels, labels: Labels, axes: str) -> None:
        if labels.shape != of.shape:
            raise InputError(
                f"Labels of shape {labels.shape} cannot take the place of those of shape "
                f"{of.shape}."
            )
        if labels.dtype != np.uint32:
            raise InputError("Labels must be writable, contiguous and uint32: use as_labels.")
        timed = axes.startswith("t")
        patches = differences(of, labels, timed)
        self.of, self.labels = of, labels
        self.keys = _keys_in(patches, timed)
        self.region = _around(patches)
        self.count = sum(len(patch.before) for patch in patches)
        self.packed = pack_patches(patches)
        self.objects = ObjectTable(as_volumes(labels, axes), _SPATIAL[axes])
        self.version = -1


class _Gathering:
    """A step in the making."""

    def __init__(self, kind: str, source: str, info: dict[str, Any]) -> None:
        self.kind, self.source, self.info = kind, source, info
        self.patches: list[Patch] = []
        self.untold: list[Patch] = []
        self.marks: list[tuple[Key, str, Any, Any]] = []
        self.keys: set[Key] = set()
        self.fresh: set[Key] = set()
        self.born: set[Key] = set()
        self.left: set[Key] = set()
        """Objects that were there before, and were gone for a while."""
        self.spared = 0


def as_volumes(labels: Labels, axes: str) -> Labels:
    """Return labels as (t, z, y, x), sharing their memory."""
    times = labels.shape[0] if axes.startswith("t") else 1
    planes = labels.shape[-3] if "z" in axes else 1
    return labels.reshape(times, planes, *labels.shape[-2:])


def header_from(step: Step) -> dict[str, Any]:
    """Return a step as a header of its record."""
    bounds = None if step.region is None else [[part.start, part.stop] for part in step.region]
    return {
        "kind": step.kind,
        "source": step.source,
        "when": step.when.isoformat(),
        "user": step.user,
        "info": step.info,
        "region": bounds,
        "count": step.count,
        "spared": step.spared,
        "born": step.born,
    }


def step_from(header: Mapping[str, Any], keys: tuple[Key, ...], number: int) -> Step:
    """Return the step of a record's header; the opposite of `header_from`."""
    bounds = header["region"]
    return Step(
        number,
        header["kind"],
        header["source"],
        datetime.fromisoformat(header["when"]),
        header["user"],
        header["info"],
        None if bounds is None else tuple(slice(a, b) for a, b in bounds),
        keys,
        header["count"],
        header["spared"],
        tuple((t, label) for t, label in header["born"]),
    )


def differences(old: Labels, new: Labels, timed: bool, block: int = 2**20) -> list[Patch]:
    """Return where two arrays of one shape differ, as patches of up to about `block` voxels.

    With time no patch spans two time points.
    """
    patches: list[Patch] = []
    shape = old.shape
    if timed:
        return [
            Patch((slice(t, t + 1), *one.region), one.mask[None], one.before, one.after)
            for t in range(shape[0])
            for one in differences(old[t], new[t], False, block)
        ]
    depth = max(1, block // max(1, int(np.prod(shape[1:]))))
    for begin in range(0, shape[0], depth):
        part = slice(begin, min(shape[0], begin + depth))
        unequal = old[part] != new[part]
        region = (part, *(slice(0, size) for size in shape[1:]))
        region, unequal = tight(region, unequal)
        if unequal.size:
            patches.append(Patch(region, unequal, old[region][unequal], new[region][unequal]))
    return patches


def tight(region: Slices, mask: NDArray[np.bool_]) -> tuple[Slices, NDArray[np.bool_]]:
    """Cut a mask down to the box of what it holds; of size 0 where that is nothing."""
    for axis in range(mask.ndim):
        filled = np.flatnonzero(mask.any(axis=tuple(k for k in range(mask.ndim) if k != axis)))
        if not filled.size:
            return region, mask[(slice(0, 0),) * mask.ndim]
        first, last = int(filled[0]), int(filled[-1]) + 1
        if last - first < mask.shape[axis]:
            mask = mask[(slice(None),) * axis + (slice(first, last),)]
            start = region[axis].start
            cut = slice(start + first, start + last)
            region = (*region[:axis], cut, *region[axis + 1 :])
    return region, mask


def _around(patches: Sequence[Patch]) -> Slices | None:
    if not patches:
        return None
    return tuple(
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*(patch.region for patch in patches), strict=True)
    )


def _joined(patches: list[Patch]) -> list[Patch]:
    """Join the dabs of a stroke into one patch, if its box is not much larger than they are."""
    box = _around(patches)
    if box is None or len(patches) == 1:
        return patches
    shape = tuple(part.stop - part.start for part in box)
    if np.prod(shape) > 8 * sum(patch.mask.size for patch in patches):
        return patches
    mask = np.zeros(shape, np.bool_)
    before, after = np.zeros(shape, np.uint32), np.zeros(shape, np.uint32)
    for patch in patches:
        here = tuple(
            slice(part.start - base.start, part.stop - base.start)
            for part, base in zip(patch.region, box, strict=True)
        )
        first = np.zeros(patch.mask.shape, np.uint32)
        first[patch.mask] = patch.before
        np.copyto(before[here], first, where=patch.mask & ~mask[here])
        after[here][patch.mask] = patch.after
        mask[here] |= patch.mask
    mask &= before != after
    if not mask.any():
        return patches  # painted and taken back again: marks may have changed
    return [Patch(box, mask, before[mask], after[mask])]


def plain(value: Any) -> Any:
    """Return something with only what JSON knows; anything else becomes its text."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _keys_in(patches: Sequence[Patch], timed: bool) -> set[Key]:
    keys: set[Key] = set()
    for patch in patches:
        t = patch.region[0].start if timed else 0
        both = np.union1d(distinct(patch.before), distinct(patch.after))
        keys.update((t, label) for label in both.tolist() if label)
    return keys


def _account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without accounts
        return ""
