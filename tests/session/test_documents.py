"""A session's labels are a document: every change is a step, and is journaled."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fake_engine import FakeEngine
from napari_cellseg.labels import Change, LabelDocument
from napari_cellseg.labels.edit import Edit
from napari_cellseg.labels.journal import Journal, writer
from napari_cellseg.labels.journal.database import Database
from napari_cellseg.session import Session
from napari_cellseg.worker import InferenceWorker

WAIT = 20.0
BOX = (slice(0, 1), slice(0, 3), slice(0, 3))
SOME = np.ones((1, 3, 3), bool)


@pytest.fixture
def documents(tmp_path: Path, session: Session) -> Path:
    session.documents = tmp_path / "documents"
    return tmp_path / "documents"


@pytest.fixture
def cells(session: Session, documents: Path) -> Session:
    """A session with two cells, 1 and 2."""
    session.segment().wait(WAIT)
    return session


def paint(session: Session, id: int = 9) -> Any:
    return session.change("paint", id, BOX, SOME, over_others=True)


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def full(*_: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


# -- the journal ---------------------------------------------------------------------------------


def test_the_first_edit_begins_the_journal(cells: Session, documents: Path) -> None:
    assert cells.journal.folder is None
    assert not documents.exists()
    paint(cells)
    assert cells.document is not None
    folder = cells.journal.folder
    assert folder is not None
    assert folder.parent == documents
    assert cells.document.folder == folder
    assert cells.document.saved.wait(WAIT)
    until(lambda: cells.journal.saved)
    assert cells.journal.steps == 1
    assert cells.journal.when is not None
    assert cells.document.meta["image"] == cells.volume.name  # type: ignore[union-attr]
    paint(cells, 10)
    assert list(documents.iterdir()) == [folder]


def test_without_a_folder_there_is_no_journal(session: Session) -> None:
    session.documents = None
    session.segment().wait(WAIT)
    paint(session)
    session.undo()
    session.redo()
    assert session.journal.folder is None
    assert not session.journal.saved
    assert session.journal.steps == 1
    assert session.notices == ()
    assert session.unfinished() == []


def test_a_folder_that_cannot_be_written_is_said_once(session: Session, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    session.documents = tmp_path / "file"
    session.segment().wait(WAIT)
    for id in range(10, 14):
        assert paint(session, id) is not None
    said = [one for one in session.notices if "not being saved" in one]
    assert len(said) == 1
    assert session.journal.trouble
    assert not session.journal.saved
    assert session.journal.steps == 4
    session.undo()
    assert session.last_error is None


def test_saved_is_said_only_once_the_disk_has_it(
    cells: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(cells)
    assert cells.document is not None
    assert cells.document.saved.wait(WAIT)
    until(lambda: cells.journal.saved)
    go, states = threading.Event(), []
    cells.journal_changed.connect(lambda state: states.append((state.saved, state.steps)))
    database = cells.document._journal._writer._database  # type: ignore[union-attr]
    real = database.add

    def slow(*arguments: Any) -> Any:
        assert go.wait(WAIT)
        return real(*arguments)

    monkeypatch.setattr(database, "add", slow)
    paint(cells, 10)
    time.sleep(0.1)
    assert not cells.journal.saved
    assert set(states) == {(False, 2)}
    go.set()
    assert cells.document.saved.wait(WAIT)
    until(lambda: cells.journal.saved)
    assert states[-1] == (True, 2)


def test_trouble_is_a_notice_once_and_goes(cells: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "PAUSE", 0.02)
    paint(cells)
    assert cells.document is not None
    assert cells.document.saved.wait(WAIT)
    with monkeypatch.context() as broken:
        database = cells.document._journal._writer._database  # type: ignore[union-attr]
        broken.setattr(database, "add", full)
        for id in range(10, 14):
            paint(cells, id)
        until(lambda: bool(cells.journal.trouble))
        time.sleep(0.2)
        assert not cells.journal.saved
        assert len([one for one in cells.notices if "disk is full" in one]) == 1
        cells.undo()
    paint(cells, 20)
    assert cells.document.saved.wait(WAIT)
    until(lambda: cells.journal.saved and not cells.journal.trouble)


@pytest.mark.parametrize(
    ("owner", "name"),
    [(LabelDocument, "_base_block"), (Database, "add")],
    ids=["labels", "records"],
)
def test_something_else_writes_right_after_the_first_step(
    cells: Session, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    """Who looks for it waits for the first snapshot, which waits for nobody."""
    real = getattr(owner, name)

    def slow(*arguments: Any) -> Any:
        time.sleep(0.2)
        return real(*arguments)

    monkeypatch.setattr(owner, name, slow)
    paint(cells)
    assert cells.labels is not None
    cells.labels[5, -1, -1] = 77
    begun = time.monotonic()
    cells.note_edit()
    assert time.monotonic() - begun < 5
    assert cells.document is not None
    assert cells.document.history[0].kind == "paint"


# -- steps ---------------------------------------------------------------------------------------


def test_undo_and_redo_of_a_segmentation_take_its_parameters_along(cells: Session) -> None:
    first, labels = cells.result, cells.labels.copy()  # type: ignore[union-attr]
    cells.parameters.probability = 0.2
    cells.segment().wait(WAIT)
    assert cells.document is not None
    assert [one.kind for one in cells.document.history] == ["segment"]
    second, more = cells.result, cells.labels.copy()  # type: ignore[union-attr]
    assert not np.array_equal(labels, more)
    for _ in range(2):
        cells.undo()
        np.testing.assert_array_equal(cells.labels, labels)  # type: ignore[arg-type]
        assert cells.result == first
        assert cells.parameters.probability != 0.2
        assert not cells.edited
        cells.redo()
        np.testing.assert_array_equal(cells.labels, more)  # type: ignore[arg-type]
        assert cells.result == second
        assert cells.parameters.probability == 0.2
        assert not cells.edited
    paint(cells)
    assert cells.edited
    cells.undo()
    assert not cells.edited


def test_a_stroke_that_is_abandoned_does_not_forget_what_can_be_redone(cells: Session) -> None:
    cells.parameters.probability = 0.2
    cells.segment().wait(WAIT)
    cells.undo()
    cells.change("apply", Edit(BOX, SOME, 9), kind="paint", gather=True)
    cells.change("abandon_stroke")
    cells.redo()
    assert cells.result is not None
    assert cells.result.parameters["probability"] == 0.2
    assert cells.parameters.probability == 0.2
    assert not cells.edited


def test_quality_is_of_the_segmentation_that_is_shown(cells: Session) -> None:
    cells.parameters.probability = 0.2
    cells.segment().wait(WAIT)
    cells.undo()
    assert cells.document is not None
    cells.document.set_quality(cells.document.table[[]].assign(score=1.0))
    cells.redo()
    changed = cells.document.history[-1].keys
    table = cells.document.table
    assert table.loc[[key for key in table.index if key in changed], "score"].isna().all()


def test_committed_prompts_go_back_and_forth_with_the_steps(cells: Session) -> None:
    paint(cells)
    committed = cells.prompts.commits.committed
    paint(cells, 10)
    cells.prompts.commits.committed = {10: "clicks"}  # type: ignore[dict-item]
    cells.undo()
    assert cells.prompts.commits.committed == committed
    cells.redo()
    assert cells.prompts.commits.committed == {10: "clicks"}


def test_refused_edits_are_told_and_change_nothing(cells: Session) -> None:
    failures: list[Any] = []
    cells.failed.connect(failures.append)
    assert cells.labels is not None
    before = cells.labels.copy()
    assert cells.change("merge", [1, 99]) is None
    assert cells.change("apply", Edit((0, 0, 0, 99, 1, 1), np.ones((99, 1, 1), bool), 1)) is None
    assert len(failures) == 2
    np.testing.assert_array_equal(cells.labels, before)
    assert cells.journal.folder is None


def test_edits_while_a_segmentation_runs_make_it_a_proposal(
    cells: Session, engine: FakeEngine
) -> None:
    cells.parameters.probability = 0.2
    engine.gate = threading.Event()
    engine.running.clear()
    job = cells.segment()
    assert engine.running.wait(WAIT)
    paint(cells)
    cells.undo()
    cells.redo()
    engine.gate.set()
    job.wait(WAIT)
    assert cells.proposal is not None
    assert cells.labels is not None
    assert (cells.labels[BOX] == 9).all()
    assert [one.kind for one in cells.document.history] == ["paint"]  # type: ignore[union-attr]
    cells.change("lock", [1])
    cells.apply().wait(WAIT)
    assert (cells.labels[BOX] == 9).all()
    document = cells.document
    assert document is not None
    assert document.history[-1].kind == "segment"
    while document.can_undo:
        cells.undo()
    assert not cells.edited


def test_undo_while_a_segmentation_runs(cells: Session, engine: FakeEngine) -> None:
    paint(cells)
    engine.gate = threading.Event()
    engine.running.clear()
    job = cells.segment()
    assert engine.running.wait(WAIT)
    cells.undo()
    assert cells.labels is not None
    before = cells.labels.copy()
    engine.gate.set()
    job.wait(WAIT)
    until(lambda: not cells.busy)
    document = cells.document
    assert document is not None
    while document.can_undo:
        cells.undo()
    np.testing.assert_array_equal(cells.labels, before)


def test_every_step_is_told_with_its_box(cells: Session) -> None:
    told: list[Change] = []
    cells.stepped.connect(told.append)
    shown = cells.labels.copy()  # type: ignore[union-attr]

    def show(region: Any) -> None:
        shown[region] = cells.labels[region]  # type: ignore[index]

    cells.labels_written.connect(show)
    paint(cells)
    cells.change("apply", Edit(BOX, SOME, 0), kind="erase", gather=True)
    cells.change("apply", Edit(BOX, SOME, 5), kind="erase", gather=True)
    cells.change("end_stroke")
    cells.change("merge", [1, 2])
    cells.undo()
    cells.undo()
    cells.redo()
    np.testing.assert_array_equal(shown, cells.labels)  # type: ignore[arg-type]
    assert [one.direction for one in told][-3:] == ["undo", "undo", "redo"]


def test_selected_objects_that_are_gone_are_not_selected(cells: Session) -> None:
    cells.select([(0, 1), (0, 2), (0, 99), (0, 1)])
    assert cells.selected == ((0, 1), (0, 2))
    cells.change("merge", [2, 1])
    assert cells.selected == ((0, 2),)


# -- other labels, other images ------------------------------------------------------------------


def test_a_document_rests_while_another_image_is_open(
    cells: Session, image: NDArray[np.float32]
) -> None:
    paint(cells)
    document, labels, first = cells.document, cells.labels, cells.volume
    assert document is not None
    cells.use_volume(image[:3], axes="zyx")
    assert cells.document is None
    assert cells.journal.folder is None
    cells.segment().wait(WAIT)
    paint(cells)
    assert cells.document is not document
    cells.use_volume(first)
    cells.adopt(labels)
    assert cells.document is document
    assert cells.can("undo")
    assert cells.journal.folder == document.folder
    cells.undo()
    assert not (cells.labels[BOX] == 9).any()  # type: ignore[index]


def test_two_sessions_keep_their_documents_apart(
    cells: Session, inference: Any, image: NDArray[np.float32], documents: Path
) -> None:
    other = Session(worker=inference)
    other.documents = documents
    other.use_volume(image, axes="zyx", spacing=(2.0, 0.5, 0.5))
    other.parameters.device = "cpu"
    other.segment().wait(WAIT)
    paint(other, 5)
    paint(cells, 9)
    assert other.journal.folder != cells.journal.folder
    other.close()
    until(lambda: [one.in_use for one in _shelved(documents)].count(True) == 1)


def _shelved(folder: Path) -> Any:
    from napari_cellseg.labels import shelved

    return shelved(folder)


def test_edits_from_another_thread_than_the_one_that_undoes(cells: Session) -> None:
    failed: list[Any] = []
    cells.failed.connect(failed.append)

    def work() -> None:
        for id in range(10, 60):
            paint(cells, id)

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        cells.change("undo") if cells.can("undo") else None
    thread.join(WAIT)
    document = cells.document
    assert document is not None
    assert len(document.history) + document.number >= 50
    document.close()
    folder = document.folder
    assert folder is not None
    again = LabelDocument.open(folder)
    np.testing.assert_array_equal(again.labels, document.labels)
    again.close()
    assert all("nothing to undo" in str(one) for one in failed)
    assert Journal.open(folder).read_only is False


@pytest.mark.parametrize("verb", ["apply", "paint"])
def test_a_script_edits_the_document_while_the_session_edits_it_too(
    inference: InferenceWorker, image: NDArray[np.float32], verb: str
) -> None:
    """Neither waits for the other: a document that a session has takes the session's lock."""
    session = Session(worker=inference)  # not closed where that would wait for ever
    session.documents = None
    session.use_volume(image, axes="zyx")
    session.adopt(np.zeros(image.shape, np.uint32))
    document = session.document
    assert document is not None

    def through_the_session() -> None:
        for id in range(200):
            paint(session, 10 + id % 7)

    def directly() -> None:
        for id in range(200):
            if verb == "apply":
                document.apply(Edit(BOX, SOME, 30 + id % 7))
            else:
                document.paint(30 + id % 7, BOX, SOME, over_others=True)

    threads = [
        threading.Thread(target=work, daemon=True) for work in (through_the_session, directly)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    session.close()


def test_the_very_first_stroke_is_one_step_although_the_journal_begins_with_it(tmp_path):
    session = Session()
    session.documents = tmp_path / "documents"
    session.use_volume(np.zeros((4, 20, 20), np.uint8), axes="zyx")
    session.adopt(np.zeros((4, 20, 20), np.uint32))
    for column in range(5):
        session.stroke((np.array([1]), np.array([3]), np.array([column])), 7)
    session.end_stroke()
    document = session.document
    assert [step.count for step in document.history] == [5]
    document.saved.wait()
    labels, folder = document.labels.copy(), document.folder
    session.close()
    document.close()
    again = LabelDocument.open(folder)
    assert np.array_equal(again.labels, labels)
    again.undo()
    assert not again.labels.any()
    again.close()
