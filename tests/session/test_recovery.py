"""Work that was left is found again, and taken up where it was left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels import LabelDocument, shelved
from napari_cellseg.session import Session
from napari_cellseg.session.recovery import KEPT
from napari_cellseg.worker import InferenceWorker

WAIT = 20.0
BOX = (slice(0, 1), slice(0, 3), slice(0, 3))
SOME = np.ones((1, 3, 3), bool)


@pytest.fixture(autouse=True)
def documents(tmp_path: Path, session: Session) -> Path:
    session.documents = tmp_path / "documents"
    return tmp_path / "documents"


@pytest.fixture
def other(inference: InferenceWorker, image: NDArray[np.float32], documents: Path) -> Any:
    """A second window, with the same image."""
    instance = Session(worker=inference)
    instance.documents = documents
    instance.use_volume(image, axes="zyx", spacing=(2.0, 0.5, 0.5))
    instance.parameters.device = "cpu"
    yield instance
    instance.close()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def worked(session: Session) -> NDArray[np.uint32]:
    """Segment, edit, and close the window without saving; return the labels."""
    session.segment().wait(WAIT)
    session.change("paint", 9, BOX, SOME, over_others=True)
    session.change("merge", [1, 2])
    session.change("set_class", [9], "glia")
    session.change("lock", [9])
    session.change("delete", [1])
    session.undo()
    assert session.labels is not None
    return session.labels.copy()


def close(session: Session, documents: Path) -> None:
    session.close()
    until(lambda: not any(one.in_use for one in shelved(documents)))


def test_closing_keeps_what_no_file_has(session: Session, other: Session, documents: Path) -> None:
    labels = worked(session)
    assert other.unfinished() == []  # it is in use
    name = session.volume.name  # type: ignore[union-attr]
    close(session, documents)
    (found,) = other.unfinished()
    assert (found.image, found.steps, found.unsaved) == (name, 6, True)
    other.recover(found.folder).wait(WAIT)
    np.testing.assert_array_equal(other.labels, labels)  # type: ignore[arg-type]
    document = other.document
    assert document is not None
    assert [one.kind for one in document.history] == ["paint", "merge", "class", "lock"]
    assert document.is_locked(9)
    assert other.dirty
    assert other.edited
    assert other.journal.folder == found.folder
    assert "recovered, with 4 steps" in other.status.text
    assert other.unfinished() == []
    other.redo()
    assert 1 not in document.objects.ids()
    for _ in range(5):
        other.undo()
    assert not document.can_undo
    assert document.objects.ids().tolist() == [1, 2]


def test_undo_brings_back_what_recovering_took_the_place_of(
    session: Session, other: Session, documents: Path
) -> None:
    worked(session)
    close(session, documents)
    other.segment().wait(WAIT)
    before = other.labels
    other.recover(other.unfinished()[0].folder).wait(WAIT)
    assert other.labels is not before
    for _ in range(5):
        other.undo()
    assert other.labels is before


def test_a_document_of_another_shape_is_refused(
    session: Session, other: Session, documents: Path, image: NDArray[np.float32]
) -> None:
    worked(session)
    close(session, documents)
    other.use_volume(image[:3], axes="zyx")
    other.segment().wait(WAIT)
    before = other.document
    (found,) = other.unfinished()
    other.recover(found.folder).wait(WAIT)
    assert isinstance(other.last_error, InputError)
    assert "open their image first" in str(other.last_error)
    assert other.document is before
    assert [one.folder for one in other.unfinished()] == [found.folder]


def test_without_an_image_nothing_is_recovered(inference: InferenceWorker) -> None:
    session = Session(worker=inference)
    with pytest.raises(InputError, match="Open an image first"):
        session.recover("somewhere")
    session.close()


def test_one_that_is_open_elsewhere_can_be_read(session: Session, other: Session) -> None:
    labels = worked(session)
    assert session.document is not None
    assert session.document.saved.wait(WAIT)
    folder = session.journal.folder
    assert folder is not None
    other.recover(folder).wait(WAIT)
    np.testing.assert_array_equal(other.labels, labels)  # type: ignore[arg-type]
    assert any("open in another window" in one for one in other.notices)
    assert other.change("delete", [1]) is None
    assert "open in another window" in str(other.last_error)
    session.change("unlock", [9])
    assert session.last_error is None


def test_what_is_no_document_fails_in_words(session: Session, tmp_path: Path) -> None:
    session.segment().wait(WAIT)
    before = session.document
    job = session.recover(tmp_path)
    until(lambda: not session.busy)
    assert job is not None
    assert session.last_error is not None
    assert session.document is before


def test_what_a_file_has_is_not_offered(
    session: Session, other: Session, documents: Path, tmp_path: Path
) -> None:
    worked(session)
    session.save(tmp_path / "cells.tif").wait(WAIT)
    assert session.document is not None
    assert session.document.saved.wait(WAIT)
    close(session, documents)
    assert other.unfinished() == []
    (kept,) = shelved(documents)
    assert kept.exported == kept.steps
    assert other.tidy_documents() == 0
    assert other.tidy_documents(datetime.now(UTC) + KEPT + timedelta(days=1)) == 1
    assert not kept.folder.exists()


def test_edited_after_saving_is_offered(
    session: Session, other: Session, documents: Path, tmp_path: Path
) -> None:
    worked(session)
    session.save(tmp_path / "cells.tif").wait(WAIT)
    session.change("unlock", [9])
    close(session, documents)
    (found,) = other.unfinished()
    assert found.steps == found.exported + 1
    assert other.tidy_documents(datetime.now(UTC) + 2 * KEPT) == 0  # not while it is unsaved


def test_forgetting(session: Session, other: Session, documents: Path, tmp_path: Path) -> None:
    worked(session)
    folder = session.journal.folder
    assert folder is not None
    with pytest.raises(InputError, match="is open"):
        other.forget(folder)
    close(session, documents)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work.txt").write_text("x")
    for wrong in (tmp_path / "mine", documents, tmp_path / "absent"):
        with pytest.raises(InputError, match="no document"):
            other.forget(wrong)
    assert (tmp_path / "mine" / "work.txt").exists()
    other.forget(folder)
    assert not folder.exists()
    assert other.unfinished() == []


CHILD = """
import sys, numpy as np
from pathlib import Path
from napari_cellseg.session import Session
folder, seed = Path(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(seed)
session = Session()
session.documents = folder
session.use_volume(np.zeros((6, 40, 50), np.float32), axes="zyx", spacing=(2.0, 0.5, 0.5))
session.adopt(rng.integers(0, 6, (6, 40, 50)).astype(np.uint32))
count = 0
while True:
    chance = rng.random()
    if chance < 0.15 and session.can("undo") and session.document.can_undo:
        session.change("undo")
    elif chance < 0.25 and session.can("redo"):
        session.change("redo")
    elif chance < 0.35:
        session.change("set_class", [int(session.document.objects.ids()[0])], str(count))
    else:
        start = rng.integers(0, (5, 30, 40))
        box = tuple(slice(int(a), int(a) + 1 + int(rng.integers(1, 9))) for a in start)
        box = tuple(slice(a.start, min(a.stop, n)) for a, n in zip(box, (6, 40, 50)))
        mask = rng.random([a.stop - a.start for a in box]) < 0.7
        session.change("paint", int(rng.integers(1, 40)), box, mask, over_others=True)
    count += 1
    if count % 5 == 0:
        saved = session.document.saved
        number, labels = session.document.number, session.document.labels
        assert saved.wait(30)
        name = folder.parent / f"acknowledged-{number}.npy"
        np.save(name, labels)
        print(number, flush=True)
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_session_is_recovered_bit_for_bit(
    seed: int, inference: InferenceWorker, documents: Path, tmp_path: Path
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(documents), str(seed)],
        stdout=subprocess.PIPE,
        env={**os.environ, "NAPARI_CELLSEG_DOCUMENTS": str(documents)},
    )
    assert child.stdout is not None
    told = 0
    for line in child.stdout:
        told = int(line)
        if told >= 20 + 10 * seed:
            break
    time.sleep(0.003 * seed)
    os.kill(child.pid, signal.SIGKILL)
    rest = child.stdout.read().split()
    child.wait(WAIT)
    child.stdout.close()
    told = int(rest[-1]) if rest else told
    assert told >= 20

    session = Session(worker=inference)
    session.documents = documents
    session.use_volume(np.zeros((6, 40, 50), np.float32), axes="zyx", spacing=(2.0, 0.5, 0.5))
    (found,) = session.unfinished()
    assert found.steps >= told
    session.recover(found.folder).wait(WAIT)
    document = session.document
    assert document is not None
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 6, (6, 40, 50)).astype(np.uint32)
    last = document.labels.copy()
    if document.number == told:
        np.testing.assert_array_equal(last, np.load(tmp_path / f"acknowledged-{told}.npy"))
    from napari_cellseg.labels.journal import Journal
    from napari_cellseg.labels.replay import writes

    session.close()
    until(lambda: not any(one.in_use for one in shelved(documents)))
    journal = Journal.open(found.folder)
    labels, included = journal.base()
    np.testing.assert_array_equal(labels, start)
    assert included == 0
    for number, payload in journal.records():
        for region, mask, values in writes(payload, journal.read):
            labels[region][mask] = values
        if number == told:
            np.testing.assert_array_equal(labels, np.load(tmp_path / f"acknowledged-{told}.npy"))
    np.testing.assert_array_equal(labels, last)
    journal.close()
    again = LabelDocument.open(found.folder)
    while again.can_undo:
        again.undo()
    np.testing.assert_array_equal(again.labels, start)
    again.close()
