"""A document and its journal: opened again, it is what it was."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dense_oracle import check_reopened, check_table, marks_of
from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.labels import LabelDocument, writing
from napari_cellseg.labels import document as document_module
from napari_cellseg.labels.edit import Edit, Labels, Mark
from napari_cellseg.labels.journal import Journal, writer

INSIDE_3 = (0, 2, 2, 1, 4, 4)

LONGER = int(os.environ.get("NAPARI_CELLSEG_FUZZ", "1"))


def labels() -> Labels:
    """Two cells, 3 and 7, in (z, y, x)."""
    out = np.zeros((4, 20, 20), np.uint32)
    out[0:2, 2:6, 2:6] = 3
    out[1:3, 10:15, 10:15] = 7
    return out


def edit(box: tuple[int, ...], value: int, **options: Any) -> Edit:
    half = len(box) // 2
    return Edit(box, np.ones(np.subtract(box[half:], box[:half]), bool), value, **options)


def reopened(document: LabelDocument) -> LabelDocument:
    """Close a document and open it again; both must be the same."""
    document.close()
    assert document.folder is not None
    again = LabelDocument.open(document.folder)
    check_reopened(document, again)
    check_table(again)
    return again


def full(*_: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


class BrokenDisk:
    """A disk that takes no records until it is mended."""

    def __init__(self, document: LabelDocument, monkeypatch: pytest.MonkeyPatch) -> None:
        journal = document._journal
        assert journal is not None
        monkeypatch.setattr(writer, "PAUSE", 0.01)
        self._database = journal._writer._database
        self._real: Callable[..., Any] = self._database.add
        self._database.add = full  # type: ignore[method-assign]

    def mend(self) -> None:
        self._database.add = self._real  # type: ignore[method-assign]


# -- create, open, close -------------------------------------------------------------------------


def test_a_document_comes_back_with_its_history(tmp_path: Path) -> None:
    document = LabelDocument.create(
        tmp_path / "a", labels(), (2, 0.5, 0.25), meta={"image": "stack", "path": None}
    )
    document.set_class([3], "glia")
    document.merge([7, 3])
    document.new_object((slice(3, 4), slice(0, 2), slice(0, 2)), np.ones((1, 2, 2), bool))
    document.undo()
    document = reopened(document)
    assert document.meta == {"image": "stack", "path": None}
    assert [one.kind for one in document.history] == ["class", "merge"]
    document.redo()
    for _ in range(3):
        document.undo()
    np.testing.assert_array_equal(document.labels, labels())
    assert marks_of(document) == {}
    document = reopened(document)
    assert (len(document.history), len(document.undone)) == (0, 3)
    document.close()


def test_an_existing_folder_is_taken_but_not_a_document_in_it(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    document = LabelDocument.create(tmp_path, labels())
    with pytest.raises(StorageError, match="already"):
        LabelDocument.create(tmp_path, labels())
    with pytest.raises(StorageError, match="already"):
        document.attach(tmp_path / "other")
    document.close()
    with pytest.raises(StorageError, match="already"):
        LabelDocument.create(tmp_path, labels())
    assert (tmp_path / "note.txt").read_text() == "mine"
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        LabelDocument.create(tmp_path / "file", labels())
    for nowhere in (tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(StorageError):
            LabelDocument.open(nowhere)


def test_the_second_one_to_open_it_can_only_read(tmp_path: Path) -> None:
    document = LabelDocument.create(tmp_path / "a", labels())
    document.delete(7)
    assert document.saved.wait(10)
    second = LabelDocument.open(tmp_path / "a")
    assert "is open in another window" in second.read_only
    check_reopened(document, second)
    calls: list[Callable[[], Any]] = [
        lambda: second.delete(3),
        second.undo,
        second.redo,
        lambda: second.apply(edit(INSIDE_3, 4), gather=True),
        lambda: second.replace(labels()),
    ]
    for call in calls:
        with pytest.raises(StorageError, match="another window"):
            call()
    assert second.absorb() is None
    second.labels[3, 0, 0] = 5
    with pytest.raises(StorageError, match="another window"):
        second.absorb()
    assert [one.kind for one in second.history] == ["delete"]
    second.note_exported(tmp_path / "cells.tif", 1)
    second.close()
    document.undo()
    document = reopened(document)
    np.testing.assert_array_equal(document.labels, labels())
    document.close()


def test_another_process_can_only_read(tmp_path: Path) -> None:
    document = LabelDocument.create(tmp_path / "a", labels())
    document.delete(7)
    assert document.saved.wait(10)
    code = (
        "import sys\n"
        "from napari_cellseg.labels import LabelDocument\n"
        "one = LabelDocument.open(sys.argv[1])\n"
        "print(bool(one.read_only), [s.kind for s in one.history], one.objects.keys())\n"
        "one.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == "True ['delete'] [(0, 3)]", done.stderr
    document.close()


def test_closed_is_closed(tmp_path: Path) -> None:
    document = LabelDocument.create(tmp_path / "a", labels())
    document.apply(edit(INSIDE_3, 9), gather=True)
    document.close()
    document.close()
    assert document.saved.all
    assert [one.count for one in document.history] == [4]  # the stroke was closed
    for call in (document.undo, document.redo, lambda: document.delete(3)):
        with pytest.raises(StorageError, match="closed"):
            call()
    document.labels[3, 3, 3] = 1
    with pytest.raises(StorageError, match="closed"):
        document.absorb()
    assert len(document.history) == 1
    assert len(document.table) == 3
    again = LabelDocument.open(tmp_path / "a")
    assert again.labels[3, 3, 3] == 0
    assert again.labels[0, 2, 2] == 9
    again.close()


def test_without_a_journal_closing_is_nothing() -> None:
    document = LabelDocument(labels())
    document.close()
    document.delete(3)
    assert not document.saved.all
    assert not document.saved.wait(0)


def test_what_was_done_before_the_journal_is_in_it(tmp_path: Path) -> None:
    document = LabelDocument(labels())
    document.lock(7)
    document.apply(edit(INSIDE_3, 9))
    document.undo()
    document.apply(edit(INSIDE_3, 8), gather=True)
    document.attach(tmp_path / "a")
    document = reopened(document)
    while document.can_undo:
        document.undo()
    np.testing.assert_array_equal(document.labels, labels())
    document.close()


def test_history_that_was_cut_before_the_journal(tmp_path: Path) -> None:
    document = LabelDocument(labels())
    document.lock(7)
    document.apply(edit(INSIDE_3, 9))
    document.labels[3, 0, 0] = 50
    document.absorb()
    document.apply(edit(INSIDE_3, 10))
    document.attach(tmp_path / "a")
    document.apply(edit(INSIDE_3, 11))
    document.undo()
    document = reopened(document)
    assert marks_of(document) == {((0, 7), "locked"): True}
    document.undo()
    assert not document.can_undo
    assert document.labels[0, 2, 2] == 9
    assert document.labels[3, 0, 0] == 50
    document = reopened(document)
    document.close()


# -- what is kept with it ------------------------------------------------------------------------


def test_facts_that_json_does_not_know_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    for meta in ({"source": {1, 2}}, {"number": np.float32(1)}, {"nan": float("nan")}):
        with pytest.raises(InputError):
            LabelDocument.create(tmp_path / "a", labels(), meta=meta)
        assert not (tmp_path / "a").exists() or not list((tmp_path / "a").iterdir())


def test_facts_do_not_hide_those_of_the_document(tmp_path: Path) -> None:
    meta = {"version": 99, "axes": "xy", "spacing": 3, "marks": None, "original_ids": "no"}
    document = LabelDocument.create(tmp_path / "a", labels(), (2, 1, 1), meta=meta)
    document = reopened(document)
    assert (document.axes, document.spacing) == ("zyx", (2.0, 1.0, 1.0))
    document.close()


def test_parameters_of_numpy_come_back_plain(tmp_path: Path) -> None:
    info = {
        "threshold": np.float32(0.5),
        "ids": np.array([1, 2]),
        "pair": (np.int64(1), {"deep": np.bool_(True)}),
        "path": tmp_path,
        "none": None,
    }
    document = LabelDocument.create(tmp_path / "a", labels())
    document.apply(edit(INSIDE_3, 9, kind="split", source="model", info=info))
    document = reopened(document)
    (step,) = document.history
    assert (step.kind, step.source) == ("split", "model")
    assert step.info == {
        "threshold": 0.5,
        "ids": [1, 2],
        "pair": [1, {"deep": True}],
        "path": str(tmp_path),
        "none": None,
    }
    document.close()


def test_original_ids_and_unknown_spacing_come_back(tmp_path: Path) -> None:
    given = np.array([[0, 2**40], [2**50, 5]], np.uint64)
    document = LabelDocument.create(tmp_path / "a", given)
    document = reopened(document)
    np.testing.assert_array_equal(document.original_labels(), given)
    assert not document.spacing_known
    document.close()


def test_ids_that_history_knows_are_not_given_again(tmp_path: Path) -> None:
    document = LabelDocument.create(tmp_path / "a", labels())
    document.delete(7)
    expected = document.free_ids()
    document = reopened(document)
    assert document.free_ids() == expected == [8]
    document.close()


def test_a_clock_that_goes_backwards_changes_no_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [datetime(2030, 1, 1, tzinfo=UTC)]

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            now[0] -= timedelta(days=400)
            return now[0]

    monkeypatch.setattr(writing, "datetime", Clock)
    monkeypatch.setattr(writer, "now", Clock.now)
    document = LabelDocument.create(tmp_path / "a", labels())
    document.delete(7)
    document.apply(edit(INSIDE_3, 9))
    document.undo()
    assert document.saved.wait(10)
    assert document.history[0].when > document.undone[0].when
    monkeypatch.undo()
    document = reopened(document)
    assert [one.number for one in document.history] == [1]
    document.redo()
    document.close()


def test_steps_that_left_memory_are_read_from_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_module, "PAYLOADS", 0)
    document = LabelDocument.create(tmp_path / "a", labels())
    for value in range(10, 20):
        document.apply(edit((0, 0, 0, 2, 9, value), value))
        assert document.saved.wait(10)
    assert sum(one.nbytes > 0 for one in document.history) <= 1
    document.apply(edit((0, 0, 0, 4, 4, 4), 0))
    while document.can_undo:
        document.undo()
    np.testing.assert_array_equal(document.labels, labels())
    document = reopened(document)
    while document.can_redo:
        document.redo()
    document = reopened(document)
    document.close()


# -- trouble -------------------------------------------------------------------------------------


def test_a_full_disk_is_told_and_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = LabelDocument.create(tmp_path / "a", labels())
    told: list[Any] = []
    document.trouble.connect(told.append)
    document.delete(7)
    assert document.saved.wait(10)
    disk = BrokenDisk(document, monkeypatch)
    document.apply(edit(INSIDE_3, 9))
    document.undo()
    document.redo()
    assert not document.saved.wait(0.3)
    assert not document.saved.all
    assert document.saved.number == 1
    assert isinstance(told[0], StorageError)
    disk.mend()
    document.apply(edit(INSIDE_3, 10))
    assert document.saved.wait(10)
    assert told[-1] is None
    document = reopened(document)
    document.close()


@pytest.mark.parametrize("first", [True, False])
def test_foreign_writes_while_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    """With a first snapshot all can be undone; without one history ends, and that is journaled."""
    monkeypatch.setattr(writer, "PAUSE", 0.01)
    if first:
        document = LabelDocument.create(tmp_path / "a", labels())
        document.lock(7)
        assert document.saved.wait(10)
        disk = BrokenDisk(document, monkeypatch)
    else:
        real = writer.write_snapshot
        monkeypatch.setattr(writer, "write_snapshot", full)
        document = LabelDocument.create(tmp_path / "a", labels())
        document.lock(7)
        assert not document.saved.wait(0.3)
    document.apply(edit(INSIDE_3, 9))
    document.labels[3, 0, 0] = 50
    document.labels[0, 2, 2] = 51
    begun = time.monotonic()
    step = document.absorb()
    assert time.monotonic() - begun < 1
    assert step is not None
    assert len(document.history) == (3 if first else 0)
    document.apply(edit(INSIDE_3, 12))
    if first:
        disk.mend()
    else:
        monkeypatch.setattr(writer, "write_snapshot", real)
    document.undo()
    assert document.saved.wait(10)
    document = reopened(document)
    assert document.is_locked(7)
    assert document.labels[0, 2, 2] == 51
    while document.can_undo:
        document.undo()
    document = reopened(document)
    document.close()


# -- written without a word, and from several threads --------------------------------------------


class SlowBase:
    """Holds the reading of the first snapshot until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, block: int, pause: float = 0.0) -> None:
        self.go, self.reads, self.pause = threading.Event(), 0, pause
        real = LabelDocument._base_block
        monkeypatch.setitem(Journal.create.__func__.__kwdefaults__, "block", block)

        def read(document: LabelDocument, region: Any) -> Any:
            self.reads += 1
            if self.reads > 2:
                assert self.go.wait(20)
            time.sleep(self.pause)
            return real(document, region)

        monkeypatch.setattr(LabelDocument, "_base_block", read)


def test_what_is_written_while_the_first_snapshot_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = SlowBase(monkeypatch, 400)
    document = LabelDocument(labels())
    document.apply(edit(INSIDE_3, 9))
    document.attach(tmp_path / "a")
    while slow.reads < 3:
        time.sleep(0.005)
    document.labels[0, 0, 0] = 50  # in a plane that was read, and in one that was not
    document.labels[3, 0, 0] = 51
    threading.Timer(0.2, slow.go.set).start()
    begun = time.monotonic()
    document.absorb()
    assert time.monotonic() - begun < 5  # it waits without keeping the labels from being read
    assert len(document.history) >= 1
    expected = document.labels.copy()
    document = reopened(document)
    np.testing.assert_array_equal(document.labels, expected)
    while document.can_undo:
        document.undo()
    assert document.labels[0, 2, 2] == 3
    document = reopened(document)
    document.close()


def test_the_first_snapshot_is_of_before_the_first_step_however_much_is_done_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SlowBase(monkeypatch, 1500, 0.002).go.set()
    rng = np.random.default_rng(3)
    start = rng.integers(0, 6, (12, 40, 60)).astype(np.uint32)
    document = LabelDocument(start)
    document.apply(edit((0, 0, 0, 12, 5, 5), 9))
    document.attach(tmp_path / "a")
    while not list((tmp_path / "a").glob("base-*.labels")):
        z, y, x = (int(rng.integers(0, n)) for n in (10, 30, 50))
        document.apply(
            edit((z, y, x, z + 2, y + 9, x + 9), int(rng.integers(0, 30)), kind="paint"),
            gather=bool(rng.random() < 0.4),
        )
        chance = rng.random()
        if chance < 0.2 and document.can_undo:
            document.undo()
        elif chance < 0.3 and document.can_redo:
            document.redo()
        elif chance < 0.35:
            document.abandon_stroke()
        elif chance < 0.4:
            document.replace(np.roll(document.labels, 1, 0).copy())
    document.end_stroke()
    steps = document.number
    assert steps > 10
    assert document.saved.wait(20)
    document.close()
    journal = Journal.open(tmp_path / "a")
    base, included = journal.base()
    journal.close()
    assert included == 0
    np.testing.assert_array_equal(base, start)
    again = LabelDocument.open(tmp_path / "a")
    check_reopened(document, again)
    while again.can_undo:
        again.undo()
    np.testing.assert_array_equal(again.labels, start)
    again.close()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["edit", "foreign", "undo", "redo", "absorb"]), st.integers(0, 99)
        ),
        max_size=14,
    )
)
@settings(max_examples=30 * LONGER, deadline=None, database=None)
def test_however_foreign_writes_and_steps_mix_it_stays_one_document(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, int]]
) -> None:
    """What is told as saved is what comes back, once foreign writes were taken up; never stuck."""
    document = LabelDocument.create(tmp_path_factory.mktemp("mixed") / "a", np.zeros((3, 4), int))
    for act, number in acts:
        y, x, value = number % 3, number % 4, 1 + number // 25
        if act == "foreign":
            document.labels[y, x:] = value
        elif act == "edit":
            document.apply(edit((y, 0, 3, x + 1), value))
        elif act == "undo" and document.can_undo:
            document.undo()
        elif act == "redo" and document.can_redo:
            try:
                document.redo()
            except InputError:
                assert not document.can_redo
        elif act == "absorb":
            document.absorb()
            check_table(document)
    document.absorb()
    check_table(document)
    document = reopened(document)
    for _ in range(2 * len(acts) + 2):
        if not document.can_undo:
            break
        document.undo()
        check_table(document)
    assert not document.can_undo
    document = reopened(document)
    document.close()


def test_a_mark_of_something_else_is_no_step(tmp_path: Path) -> None:
    document = LabelDocument.create(tmp_path / "a", labels())
    with pytest.raises(InputError, match="no object 4"):
        document.apply(edit(INSIDE_3, 9), Mark(0, 4, "class", "x"))
    assert document.saved.wait(10)
    document = reopened(document)
    assert document.history == []
    document.close()


def test_a_closed_document_still_says_that_it_was_saved(tmp_path: Path) -> None:
    document = LabelDocument.create(tmp_path / "a", np.zeros((3, 4, 5), np.uint32), (1, 1, 1))
    document.new_object((0, 0, 0, 1, 2, 2), np.ones((1, 2, 2), bool))
    document.close()
    assert document.saved.all
    assert document.saved.wait(0.1)
    assert not LabelDocument(np.zeros((3, 4, 5), np.uint32)).saved.wait(0.1)


def test_two_who_close_it_both_wait_until_it_is_closed(tmp_path: Path) -> None:
    for number in range(5):
        folder = tmp_path / str(number)
        document = LabelDocument.create(folder, np.zeros((8, 200, 200), np.uint32), (1, 1, 1))
        document.new_object((0, 0, 0, 1, 2, 2), np.ones((1, 2, 2), bool))
        other = threading.Thread(target=document.close)
        other.start()
        document.close()
        again = LabelDocument.open(folder)
        assert not again.read_only
        again.close()
        other.join()
