"""Random sequences of everything that can be done to a document, against a dense oracle.

The environment variable NAPARI_CELLSEG_FUZZ multiplies the number of sequences.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dense_oracle import Oracle, check_reopened, check_table, marks_of, walk_back_and_forth
from napari_cellseg.errors import InputError
from napari_cellseg.labels import Change, LabelDocument
from napari_cellseg.labels import document as document_module
from napari_cellseg.labels.edit import Edit, Key, Labels, Mark, Step
from napari_cellseg.labels.journal import Journal
from napari_cellseg.labels.replay import writes

LONGER = int(os.environ.get("NAPARI_CELLSEG_FUZZ", "1"))
PHASES = tuple(Phase) if "NAPARI_CELLSEG_FUZZ" in os.environ else (Phase.generate,)
"""Shrinking a failure takes minutes, which is for those who look for one."""
SEEDS = st.integers(0, 2**32 - 1)
FAR = 2**32 - 2


class DocumentMachine(RuleBasedStateMachine):
    """A document and its oracle, step by step."""

    axes = "zyx"

    def __init__(self) -> None:
        super().__init__()
        self.space = tempfile.TemporaryDirectory(prefix="document-machine-")
        self.opened = 0
        self.told: list[Change] = []
        self.untold = False
        self.judged: dict[Key, Any] | None = None

    @initialize(seed=SEEDS, journaled=st.booleans(), far=st.booleans())
    def begin(self, seed: int, journaled: bool, far: bool) -> None:
        rng = np.random.default_rng(seed)
        sizes = {"t": (1, 4), "z": (1, 6), "y": (1, 12), "x": (2, 14)}
        shape = tuple(int(rng.integers(*sizes[axis])) for axis in self.axes)
        self.ids = [1, 2, 3, 7, 300, FAR] if far else [1, 2, 3, 4, 5, 9]
        labels = self._blobs(shape, rng)
        self.spacing = None if seed % 3 == 0 else (2.0, 0.5, 0.25)
        self.document = LabelDocument(labels, self.spacing, self.axes)
        self.oracle = Oracle(labels, self.axes)
        self._listen()
        if journaled:
            self._attach()

    # -- helpers ---------------------------------------------------------------------------------

    def _blobs(self, shape: tuple[int, ...], rng: np.random.Generator) -> Labels:
        labels = np.zeros(shape, np.uint32)
        for label in rng.permutation(self.ids)[: rng.integers(0, len(self.ids) + 1)]:
            labels[self._box(shape, rng)] = label
        labels[rng.random(shape) < rng.choice([0, 0.1, 0.4])] = 0
        return labels

    @staticmethod
    def _box(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[slice, ...]:
        cuts = []
        for size in shape:
            start = int(rng.integers(0, size))
            cuts.append(slice(start, int(rng.integers(start, size)) + 1))
        return tuple(cuts)

    def _edit(self, rng: np.random.Generator) -> Edit:
        shape = self.document.labels.shape
        region = self._box(shape, rng)
        lengths = tuple(part.stop - part.start for part in region)
        mask = rng.random(lengths) < rng.choice([0.3, 0.8, 1.0])
        values: Any = int(rng.choice([0, *self.ids]))
        if rng.random() < 0.4:
            values = rng.choice(np.array([0, *self.ids]), lengths)
            values = values.astype(rng.choice(["u4", "i8", ">u4"]))
        info = {"number": np.float32(rng.random()), "place": (1, np.int64(2))}
        return Edit(region, mask, values, kind=f"edit {rng.integers(3)}", info=info)

    def _marks(self, rng: np.random.Generator) -> list[Mark]:
        keys = sorted(self.oracle.keys(self.oracle.now.labels))
        if not keys:
            return []
        t, label = keys[rng.integers(len(keys))]
        name, value = [
            ("locked", True),
            ("locked", None),
            ("class", "neuron"),
            ("class", None),
            ("score", float(rng.integers(9))),
        ][rng.integers(5)]
        return [Mark(t, label, name, value)]

    def _key(self, rng: np.random.Generator) -> Key | None:
        keys = self.document.objects.keys()
        return keys[rng.integers(len(keys))] if keys else None

    def _t(self, key: Key) -> int | None:
        return key[0] if self.document.timed else None

    def _listen(self) -> None:
        self.mirror = self.document.labels.copy()
        self.document.changed.connect(self._on_change)

    def _on_change(self, change: Change) -> None:
        """Take over what is told to have been written, as a view does."""
        if change.step.kind == "foreign" and change.region is None:
            self.mirror = self.document.labels.copy()
        elif change.region is not None:
            self.mirror[change.region] = self.document.labels[change.region]

    def _attach(self) -> None:
        self.opened += 1
        self.document.attach(Path(self.space.name) / str(self.opened))  # a stroke goes on

    def _verb(self, name: str, *arguments: Any, **options: Any) -> None:
        """Call a verb; what it wrote is taken for right, but not that it kept to the locks."""
        self.document.end_stroke()
        self.oracle.close_stroke()
        self.untold = False
        before = self.oracle.now.copy()
        locked = self.oracle.locked()
        number, history = self.document.number, len(self.document.history)
        try:
            getattr(self.document, name)(*arguments, **options)
        except InputError:
            np.testing.assert_array_equal(self.document.labels, before.labels)
            assert (self.document.number, len(self.document.history)) == (number, history)
            return
        present = self.document.labels
        parts = zip(self.oracle.parts(before.labels), self.oracle.parts(present), strict=True)
        for t, (old, new) in enumerate(parts):
            for label in (one for when, one in locked if when == t):
                np.testing.assert_array_equal(old == label, new == label)
        self.oracle.now.labels = present.copy()
        self.oracle.now.marks = marks_of(self.document)
        changed = not np.array_equal(before.labels, present) or before.marks != marks_of(
            self.document
        )
        assert len(self.document.history) == history + (self.document.number > number)
        assert not changed or self.document.number == number + 1
        if self.document.number > number:
            self.oracle._push(before, self.document.history[-1].kind)

    # -- edits -----------------------------------------------------------------------------------

    @rule(seed=SEEDS, count=st.integers(1, 3), marks=st.booleans())
    def apply(self, seed: int, count: int, marks: bool) -> None:
        rng = np.random.default_rng(seed)
        edits: list[Any] = self._marks(rng) if marks else []
        edits += [self._edit(rng) for _ in range(count)]
        history = len(self.document.history) + (self.oracle.stroke is not None)
        step = self.document.apply(*edits)
        kind = next((one.kind for one in edits if isinstance(one, Edit)), "mark")
        made = self.oracle.make(edits, kind)
        assert (step is not None) == made
        assert len(self.document.history) == history + made
        self.untold = False
        if step is not None:
            self._check_step(step)

    def _check_step(self, step: Step) -> None:
        before, after, kind = self.oracle.done[-1]
        assert step.kind == kind
        was, now = self.oracle.keys(before.labels), self.oracle.keys(after.labels)
        assert set(step.born) == now - was
        different = before.labels != after.labels
        if different.any():
            assert step.region is not None
            outside = different.copy()
            outside[step.region] = False
            assert not outside.any()
        for t, (old, new) in enumerate(
            zip(self.oracle.parts(before.labels), self.oracle.parts(after.labels), strict=True)
        ):
            changed = old != new
            touched = np.union1d(old[changed], new[changed])
            assert {(t, int(one)) for one in touched if one} <= set(step.keys)

    @rule(seed=SEEDS)
    def mark(self, seed: int) -> None:
        edits = self._marks(np.random.default_rng(seed))
        step = self.document.apply(*edits)
        assert (step is not None) == self.oracle.make(edits, "mark")
        self.untold = False

    @rule(seed=SEEDS, kind=st.sampled_from(["paint", "erase"]), tell=st.booleans())
    def gather(self, seed: int, kind: str, tell: bool) -> None:
        rng = np.random.default_rng(seed)
        if self.oracle.stroke is not None and self.oracle.stroke_kind != kind:
            self.untold = False
        edit = self._edit(rng)
        assert self.document.apply(edit, kind=kind, gather=True, tell=tell) is None
        self.oracle.gather([edit], kind)
        self.untold |= not tell

    @rule()
    def end_stroke(self) -> None:
        step = self.document.end_stroke()
        assert (step is not None) == (self.oracle.stroke is not None)
        self.oracle.close_stroke()
        self.untold = False
        if step is not None:
            self._check_step(step)

    @rule()
    def abandon_stroke(self) -> None:
        self.document.abandon_stroke()
        self.oracle.abandon_stroke()
        self.untold = False

    @rule(seed=SEEDS)
    def outside(self, seed: int) -> None:
        """What does not fit changes nothing, not even by the edits before it."""
        rng = np.random.default_rng(seed)
        shape = self.document.labels.shape
        wide = tuple(slice(0, size + 1) for size in shape)
        wrong: Any = Edit(wide, np.ones([size + 1 for size in shape], bool), 1)
        if seed % 2:
            wrong = Mark(0, 123_456, "class", "no such object")
        gather = self.oracle.stroke is not None
        kind = self.oracle.stroke_kind if gather else None
        with pytest.raises(InputError):
            self.document.apply(self._edit(rng), wrong, gather=gather, kind=kind)

    # -- verbs -----------------------------------------------------------------------------------

    @rule(seed=SEEDS)
    def merge(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        if (key := self._key(rng)) is not None:
            others = self.document.objects.ids(key[0]).tolist()
            chosen = [key[1], *rng.permutation(others)[: rng.integers(1, 3)].tolist()]
            self._verb("merge", list(dict.fromkeys(chosen)), self._t(key))

    @rule(
        seed=SEEDS,
        verb=st.sampled_from(
            [
                "delete",
                "lock",
                "unlock",
                "accept",
                "unaccept",
                "grow",
                "shrink",
                "smooth",
                "fill_holes",
                "keep_largest",
                "interpolate",
                "split_components",
            ]
        ),
    )
    def on_one(self, seed: int, verb: str) -> None:
        rng = np.random.default_rng(seed)
        if (key := self._key(rng)) is not None:
            self._verb(verb, key[1], t=self._t(key))

    @rule(seed=SEEDS)
    def set_class(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        if (key := self._key(rng)) is not None:
            name = [None, "glia", "neuron"][rng.integers(3)]
            self._verb("set_class", [key[1]], name, t=self._t(key))

    @rule(seed=SEEDS)
    def split(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        if (key := self._key(rng)) is not None:
            part = self.oracle.parts(self.document.labels)[key[0]]
            places = np.argwhere(part == key[1])
            self._verb("split", key[1], places[rng.permutation(len(places))[:2]], t=self._t(key))

    @rule(seed=SEEDS, start=st.sampled_from([1, 2, 8, 0]))
    def relabel(self, seed: int, start: int) -> None:
        t = seed % self.document.labels.shape[0] if self.document.timed else None
        self._verb("relabel", t, start)

    @rule(seed=SEEDS, verb=st.sampled_from(["new_object", "paint", "erase"]), over=st.booleans())
    def draw(self, seed: int, verb: str, over: bool) -> None:
        rng = np.random.default_rng(seed)
        timed = self.document.timed
        region = self._box(self.document.labels.shape[timed:], rng)
        mask = rng.random([part.stop - part.start for part in region]) < 0.7
        t = int(rng.integers(self.document.labels.shape[0])) if timed else None
        if verb == "new_object":
            self._verb(verb, region, mask, t, over_others=over)
        elif verb == "paint":
            self._verb(verb, int(rng.choice(self.ids)), region, mask, t, over_others=over)
        else:
            self._verb(verb, region, mask, None, t)

    @rule(seed=SEEDS, over=st.booleans())
    def transfer(self, seed: int, over: bool) -> None:
        rng = np.random.default_rng(seed)
        other = LabelDocument(self._blobs(self.document.labels.shape, rng), None, self.axes)
        t = seed % self.document.labels.shape[0] if self.document.timed else None
        ids = other.objects.ids(t or 0)
        if ids.size:
            other.set_class(int(ids[0]), "from there", t)
        self._verb("transfer", other, None, t, over_others=over)

    # -- other labels ----------------------------------------------------------------------------

    @rule(seed=SEEDS, way=st.sampled_from(["array", "prepared", "stale", "in a stroke"]))
    def replace(self, seed: int, way: str) -> None:
        rng = np.random.default_rng(seed)
        labels = self._blobs(self.document.labels.shape, rng)
        taken: Any = labels
        if way == "in a stroke":
            edit = self._edit(rng)
            self.document.apply(edit, kind="paint", gather=True)
            self.oracle.gather([edit], "paint")
            taken = self.document.prepare(labels)
            self.document.abandon_stroke()
            self.oracle.abandon_stroke()
        elif way != "array":
            taken = self.document.prepare(labels)
        if way == "stale":
            edit = self._edit(rng)
            self.document.apply(edit)
            self.oracle.make([edit], edit.kind)
        step = self.document.replace(taken, "segment", "model x", {"flow": np.float64(0.4)})
        assert (step is not None) == self.oracle.become(labels, "segment")
        assert self.document.labels is labels
        self.untold = False
        if step is None:
            self.mirror = labels.copy()
        else:
            self._check_step(step)

    @rule(seed=SEEDS)
    def foreign(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.document.end_stroke()
        self.oracle.close_stroke()
        self.untold = False
        assert self.document.folder is None or self.document.saved.wait(
            10
        )  # what was there is known
        wanted = self.document.labels.copy()
        wanted[self._box(wanted.shape, rng)] = rng.choice([0, *self.ids, 77])
        self.document.labels[...] = wanted
        step = self.document.absorb()
        known = self.document.folder is not None
        changed = self.oracle.become(wanted, "foreign")
        assert (step is not None) == changed
        if step is not None and known:
            self._check_step(step)
        if changed and not known:  # nothing knows what was there: history ends
            self.oracle.done.clear()
            self.judged = None

    @rule(seed=SEEDS, back=st.booleans())
    def walk_over_foreign(self, seed: int, back: bool) -> None:
        """What another tool wrote where a step is to be undone is a step, and undone first."""
        rng = np.random.default_rng(seed)
        self.document.end_stroke()
        self.oracle.close_stroke()
        self.untold = False
        if self.document.folder is None or not (self.oracle.done if back else self.oracle.undone):
            return
        old, new, _ = (self.oracle.done if back else self.oracle.undone)[-1]
        there = np.argwhere(old.labels != new.labels)
        if not len(there):
            return
        assert self.document.saved.wait(10)
        place = tuple(there[rng.integers(len(there))].tolist())
        wanted = self.document.labels.copy()
        wanted[place] = 78 if wanted[place] != 78 else 79
        self.document.labels[place] = wanted[place]
        self.oracle.become(wanted, "foreign")
        if back:
            assert self.document.undo().kind == "foreign"
            self.oracle.undo()
        else:
            with pytest.raises(InputError, match="nothing to redo"):
                self.document.redo()

    # -- history ---------------------------------------------------------------------------------

    @rule(times=st.integers(1, 4))
    def undo(self, times: int) -> None:
        for _ in range(times):
            self.oracle.close_stroke()
            assert self.document.can_undo == bool(self.oracle.done)
            if not self.oracle.done:
                with pytest.raises(InputError, match="nothing to undo"):
                    self.document.undo()
                return
            self.document.undo()
            self.oracle.undo()
            self.untold = False

    @rule(times=st.integers(1, 4))
    def redo(self, times: int) -> None:
        for _ in range(times):
            self.oracle.close_stroke()
            self.document.end_stroke()
            self.untold = False
            if not self.oracle.undone:
                with pytest.raises(InputError, match="nothing to redo"):
                    self.document.redo()
                return
            self.document.redo()
            self.oracle.redo()

    @precondition(lambda self: self.document.folder is None)
    @rule()
    def attach(self) -> None:
        self._attach()

    @precondition(lambda self: self.document.folder is not None)
    @rule()
    def reopen(self) -> None:
        folder = self.document.folder
        assert folder is not None
        former = self.document
        former.changed.disconnect(self._on_change)
        former.close()
        self.oracle.close_stroke()
        self.untold = False
        assert former.saved.all
        self.document = LabelDocument.open(folder)
        assert not self.document.read_only
        check_reopened(former, self.document)
        self.judged = None
        self._listen()

    @rule(seed=SEEDS)
    def set_quality(self, seed: int) -> None:
        self.document.end_stroke()
        self.oracle.close_stroke()
        self.untold = False
        keys = self.document.objects.keys()
        index = pd.MultiIndex.from_tuples(keys, names=["t", "id"]) if keys else None
        if index is None:
            return
        scores = np.random.default_rng(seed).random(len(keys))
        self.document.set_quality(pd.DataFrame({"probability": scores}, index=index))
        masks = self._masks()
        self.judged = {
            key: (score, masks[key]) for key, score in zip(keys, scores.tolist(), strict=True)
        }

    def _masks(self) -> dict[Key, bytes]:
        return {
            (t, int(label)): (part == label).tobytes()
            for t, part in enumerate(self.oracle.parts(self.oracle.now.labels))
            for label in np.unique(part)
            if label
        }

    @rule()
    def look_at_table(self) -> None:
        table = self.document.table
        assert list(table.index) == sorted(self.oracle.keys(self.oracle.now.labels))
        locked = self.oracle.locked()
        assert table["locked"].tolist() == [key in locked for key in table.index]
        classes = [self.oracle.now.marks.get((key, "class"), "") for key in table.index]
        assert table["class"].tolist() == classes
        if self.judged is not None and self.oracle.stroke is None:
            masks = self._masks()
            for key, score in table["probability"].items():
                former = self.judged.get(key)
                if former is None or masks[key] != former[1]:
                    assert np.isnan(score)
                else:  # the same voxels again may count as edited
                    assert np.isnan(score) or score == former[0]

    # -- always ----------------------------------------------------------------------------------

    @invariant()
    def equals_the_oracle(self) -> None:
        if not hasattr(self, "document"):
            return
        np.testing.assert_array_equal(self.document.labels, self.oracle.now.labels)
        assert marks_of(self.document) == self.oracle.now.marks
        assert [one.kind for one in self.document.history] == [one[2] for one in self.oracle.done]
        assert len(self.document.undone) == len(self.oracle.undone)
        assert self.document.can_undo == bool(self.oracle.done or self.oracle.stroke)
        if not self.untold:
            np.testing.assert_array_equal(self.mirror, self.document.labels)
        check_table(self.document)

    def teardown(self) -> None:
        if hasattr(self, "document"):
            try:
                self._end()
            finally:
                self.document.close()
        self.space.cleanup()

    def _end(self) -> None:
        if self.document.folder is None:
            self._attach()
        walk_back_and_forth(self.document, self.oracle, lambda: check_table(self.document))
        self.reopen()
        walk_back_and_forth(self.document, self.oracle)
        folder = self.document.folder
        assert folder is not None
        self.document.close()
        journal = Journal.open(folder)
        labels, included = journal.base()
        for _, payload in journal.records(included):
            for region, mask, values in writes(payload, journal.read):
                labels[region][mask] = values
        np.testing.assert_array_equal(labels, self.oracle.now.labels)
        journal.close()


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps leave memory early, and new snapshots are made often."""
    monkeypatch.setattr(document_module, "PAYLOADS", 400)
    for maker in (Journal.create, Journal.open):
        monkeypatch.setitem(maker.__func__.__kwdefaults__, "records", 4)


@pytest.mark.parametrize("axes", ["yx", "zyx", "tyx", "tzyx"])
def test_document_equals_a_dense_oracle(axes: str, small_limits: None) -> None:
    machine = type(f"DocumentMachine_{axes}", (DocumentMachine,), {"axes": axes})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=20 * LONGER,
            stateful_step_count=30,
            deadline=None,
            database=None,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
        ),
    )
