"""What others have written into the labels without a word, and how it becomes a step."""

from __future__ import annotations

from typing import Any

from napari_cellseg.labels.edit import (
    Change,
    Key,
    Labels,
    Step,
)
from napari_cellseg.labels.gathering import Gathering, keys_in
from napari_cellseg.labels.replacement import differences
from napari_cellseg.labels.writing import LabelWriting


class LabelForeign(LabelWriting):
    """The part of a document that finds what others have written into its array."""

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
            stroke = Gathering("foreign", "another tool", {"planes": len(planes)})
            if expected is not None:
                stroke.patches = differences(expected, self._labels, self.timed)
                stroke.keys = keys_in(stroke.patches, self.timed)
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
