"""What a label document must be, the plain way: whole arrays, kept for every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_cellseg.labels import LabelDocument
from napari_cellseg.labels.edit import Edit, Key, Labels, Mark

Marks = dict[tuple[Key, str], Any]


@dataclass
class State:
    """Labels and marks at a moment."""

    labels: Labels
    marks: Marks

    def copy(self) -> State:
        return State(self.labels.copy(), dict(self.marks))


class Oracle:
    """States before and after every step, and the present one."""

    def __init__(self, labels: Labels, axes: str) -> None:
        self.axes = axes
        self.now = State(labels.copy(), {})
        self.done: list[tuple[State, State, str]] = []
        self.undone: list[tuple[State, State, str]] = []
        self.stroke: State | None = None
        self.stroke_kind = ""

    # -- what is there ---------------------------------------------------------------------------

    def parts(self, labels: Labels) -> list[Labels]:
        return list(labels) if self.axes.startswith("t") else [labels]

    def keys(self, labels: Labels) -> set[Key]:
        return {
            (t, int(one))
            for t, part in enumerate(self.parts(labels))
            for one in np.unique(part)
            if one
        }

    def locked(self) -> set[Key]:
        return {key for (key, name), _ in self.now.marks.items() if name == "locked"}

    # -- steps -----------------------------------------------------------------------------------

    def make(self, edits: Sequence[Edit | Mark], kind: str) -> bool:
        """Apply edits as one step; return whether there is one."""
        self.close_stroke()
        before = self.now.copy()
        if changed := self._write(edits):
            self._push(before, kind)
        return changed

    def gather(self, edits: Sequence[Edit | Mark], kind: str) -> None:
        if self.stroke is not None and self.stroke_kind != kind:
            self.close_stroke()
        before = self.now.copy()
        if self._write(edits) and self.stroke is None:
            self.stroke, self.stroke_kind = before, kind

    def close_stroke(self) -> None:
        if self.stroke is not None:
            before, self.stroke = self.stroke, None
            self._push(before, self.stroke_kind)

    def abandon_stroke(self) -> None:
        if self.stroke is not None:
            self.now, self.stroke = self.stroke, None

    def become(self, labels: Labels, kind: str) -> bool:
        """Take other labels as one step, without regard to locks."""
        self.close_stroke()
        if np.array_equal(labels, self.now.labels):
            return False
        before = self.now.copy()
        self.now.labels = labels.copy()
        self._forget_gone(before.labels)
        self._push(before, kind)
        return True

    def undo(self) -> None:
        self.close_stroke()
        step = self.done.pop()
        self.undone.append(step)
        self.now = step[0].copy()

    def redo(self) -> None:
        self.close_stroke()
        step = self.undone.pop()
        self.done.append(step)
        self.now = step[1].copy()

    def _push(self, before: State, kind: str) -> None:
        self.done.append((before, self.now.copy(), kind))
        self.undone.clear()

    def _write(self, edits: Sequence[Edit | Mark]) -> bool:
        changed = False
        for one in edits:
            if isinstance(one, Mark):
                key = ((one.t, one.id), one.name)
                former = self.now.marks.pop(key, None)
                if one.value is not None:
                    self.now.marks[key] = one.value
                changed |= former != one.value
                continue
            before = self.now.labels.copy()
            target = before.copy()
            target[one.region][one.mask] = np.broadcast_to(
                np.asarray(one.values, np.uint32), one.mask.shape
            )[one.mask]
            fixed = np.zeros(before.shape, bool)
            for t, label in self.locked():
                old, new, out = (self.parts(one)[t] for one in (before, target, fixed))
                out |= (old == label) | (new == label)
            self.now.labels = np.where(fixed, before, target)
            self._forget_gone(before)
            changed |= not np.array_equal(before, self.now.labels)
        return changed

    def _forget_gone(self, before: Labels) -> None:
        gone = self.keys(before) - self.keys(self.now.labels)
        self.now.marks = {k: v for k, v in self.now.marks.items() if k[0] not in gone}


def marks_of(document: LabelDocument) -> Marks:
    """All marks of a document."""
    return {
        (key, name): value
        for name, column in document.objects.marks.items()
        for key, value in column.items()
    }


def check_table(document: LabelDocument) -> None:
    """Compare the object table with a count of the labels as they are."""
    from napari_cellseg.labels.replacement import as_volumes
    from napari_cellseg.labels.table import ObjectTable

    timed = document.axes.startswith("t")
    expected: dict[Key, Labels] = {}
    for t, part in enumerate(document.labels if timed else [document.labels]):
        for label in np.unique(part):
            if label:
                expected[(t, int(label))] = np.argwhere(part == label)
    objects = document.objects
    assert objects.keys() == sorted(expected)
    assert len(objects) == len(expected)
    for (t, label), places in expected.items():
        assert (t, label) in objects
        assert objects.voxels(label, t) == len(places)
        ends = zip(places.min(0).tolist(), (places.max(0) + 1).tolist(), strict=True)
        box = tuple(slice(a, b) for a, b in ends)
        assert objects.box(label, t) == box
        np.testing.assert_allclose(objects.centroid(label, t), places.mean(0), rtol=1e-12)
    for t in range(document.labels.shape[0] if timed else 1):
        assert objects.ids(t).tolist() == sorted(label for when, label in expected if when == t)
    volumes = as_volumes(document.labels, document.axes)
    counted = ObjectTable(volumes, objects._ndim)
    np.testing.assert_array_equal(objects.checksums, counted.checksums)
    columns = objects.columns()
    assert list(zip(columns["t"].tolist(), columns["id"].tolist(), strict=True)) == sorted(expected)
    assert not any(key not in expected for key, _ in marks_of(document))
    largest = max((label for _, label in expected), default=0)
    fresh = objects.free_ids(2, 0)
    assert len(set(fresh)) == 2
    assert not any((0, one) in expected for one in fresh)
    assert min(fresh) > largest or objects.largest > 2**32 - 4


def check_reopened(live: LabelDocument, again: LabelDocument) -> None:
    """Compare a document that was opened again with what the live one was."""
    np.testing.assert_array_equal(again.labels, live.labels)
    assert again.axes == live.axes
    assert (again.spacing, again.spacing_known) == (live.spacing, live.spacing_known)
    assert marks_of(again) == marks_of(live)
    assert again.number == live.number
    for mine, theirs in ((live.history, again.history), (live.undone, again.undone)):
        assert [_told(one) for one in mine] == [_told(one) for one in theirs]
    assert again.objects.keys() == live.objects.keys()
    np.testing.assert_array_equal(again.objects.checksums, live.objects.checksums)


def _told(step: Any) -> tuple[Any, ...]:
    return (
        step.number,
        step.kind,
        step.source,
        step.when,
        step.user,
        step.info,
        step.region,
        step.keys,
        step.count,
        step.spared,
        step.born,
    )


def walk_back_and_forth(
    document: LabelDocument, oracle: Oracle, between: Callable[[], None] = lambda: None
) -> None:
    """Undo everything, then make everything again, and compare at each step."""
    oracle.close_stroke()
    while document.can_undo:
        document.undo()
        oracle.undo()
        np.testing.assert_array_equal(document.labels, oracle.now.labels)
        assert marks_of(document) == oracle.now.marks
        between()
    assert not oracle.done
    while document.can_redo:
        document.redo()
        oracle.redo()
        np.testing.assert_array_equal(document.labels, oracle.now.labels)
        assert marks_of(document) == oracle.now.marks
        between()
    assert not oracle.undone
