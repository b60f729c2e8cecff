"""The heart of a label document: making steps, taking them back, and making them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_cellseg.errors import InputError
from napari_cellseg.labels.boxes import around
from napari_cellseg.labels.edit import (
    Change,
    Edit,
    Labels,
    Mark,
    Step,
)
from napari_cellseg.labels.foreign import LabelForeign
from napari_cellseg.labels.gathering import Gathering, plain
from napari_cellseg.labels.replacement import Replacement


class LabelCore(LabelForeign):
    """Labels that change only by `apply`, `undo` and `redo`; for parameters see `LabelWriting`."""

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
            stroke = self._open or Gathering(chosen, by, {})
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
                told = Change(around(new), tuple(sorted(stroke.fresh)), step, "do")
                stroke.fresh.clear()
                self.changed.emit(told)
            return None

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
            stroke = Gathering(kind, source, plain(dict(info or {})))
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
