"""Documents on disk."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from napari_cellseg.labels import LabelDocument, documents_folder, new_folder, shelved


def made(folder: Path, image: str = "stack", steps: int = 1) -> Path:
    labels = np.zeros((6, 8), np.uint32)
    labels[1:3, 1:3] = 5
    document = LabelDocument.create(
        folder, labels, meta={"image": image, "path": f"/d/{image}.tif"}
    )
    for number in range(steps):
        document.set_class([5], f"name {number}")
    document.close()
    return folder


def test_the_environment_says_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NAPARI_CELLSEG_DOCUMENTS", str(tmp_path))
    assert documents_folder() == tmp_path
    monkeypatch.setenv("NAPARI_CELLSEG_DOCUMENTS", "")
    assert documents_folder() is None
    monkeypatch.delenv("NAPARI_CELLSEG_DOCUMENTS")
    folder = documents_folder()
    assert folder is not None
    assert folder.name == "documents"


@pytest.mark.parametrize(
    "name", ["stack", "", "../../etc/passwd", "a/b\\c:d*?", "Zelle ü.tif", "x" * 400, "...", "\0\n"]
)
def test_new_folders_are_of_their_own_and_stay_inside(tmp_path: Path, name: str) -> None:
    folders = {new_folder(tmp_path, name) for _ in range(20)}
    assert len(folders) == 20
    for folder in folders:
        assert folder.parent == tmp_path
        assert len(folder.name) < 120
        assert folder.resolve().parent == tmp_path.resolve()
        folder.mkdir()


def test_nothing_there() -> None:
    assert shelved(Path("no such folder")) == []


def test_listing_is_newest_first_and_says_what_no_file_has(tmp_path: Path) -> None:
    made(tmp_path / "1", "first")
    made(tmp_path / "2", "second", 3)
    made(tmp_path / "3", "third", 0)
    second = LabelDocument.open(tmp_path / "2")
    second.note_exported(tmp_path / "cells.tif", second.number)
    second.close()
    first = LabelDocument.open(tmp_path / "1")
    found = {one.image: one for one in shelved(tmp_path)}
    assert list(found) == ["second", "first", "third"]
    assert (found["first"].steps, found["first"].exported, found["first"].unsaved) == (1, 0, True)
    assert found["first"].in_use
    assert found["first"].path == Path("/d/first.tif")
    assert (found["second"].steps, found["second"].exported) == (3, 3)
    assert not found["second"].unsaved
    assert not found["second"].in_use
    assert (found["third"].when, found["third"].unsaved) == (None, False)
    first.close()
    assert not any(one.in_use for one in shelved(tmp_path))


def test_a_document_may_be_named_itself(tmp_path: Path) -> None:
    folder = made(tmp_path / "1")
    (found,) = shelved(folder)
    assert found.folder == folder


def test_what_is_no_document_is_passed_over(tmp_path: Path) -> None:
    made(tmp_path / "1", "good")
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "journal.sqlite").write_text("not a database")
    (tmp_path / "other").mkdir()
    with sqlite3.connect(tmp_path / "other" / "journal.sqlite") as database:
        database.execute("CREATE TABLE t (a)")
    database.close()
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "journal.sqlite").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "journal.sqlite").mkdir()
    assert [one.image for one in shelved(tmp_path)] == ["good"]


@pytest.mark.parametrize("column", ["value", "payload"])
def test_damaged_documents_do_not_hide_the_others(tmp_path: Path, column: str) -> None:
    made(tmp_path / "1", "good")
    made(tmp_path / "2", "bad")
    path = tmp_path / "2" / "journal.sqlite"
    if column == "payload":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        with sqlite3.connect(path) as database:
            tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master")]
            for table in tables:
                names = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
                if "value" in names:
                    database.execute(f"UPDATE {table} SET value = '{{not json'")
        database.close()
    images = [one.image for one in shelved(tmp_path)]
    assert "good" in images
