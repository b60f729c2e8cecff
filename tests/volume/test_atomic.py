import errno
import os
from pathlib import Path

import pytest

from napari_cellseg import StorageError
from napari_cellseg.volume import atomic
from napari_cellseg.volume.atomic import replacing


def _names(folder):
    return sorted(p.name for p in folder.iterdir())


def _make(path, kind, text):
    if kind == "file":
        path.write_text(text)
    else:
        path.mkdir()
        (path / "inside").write_text(text)


def _read(path):
    return (path if path.is_file() else path / "inside").read_text()


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("exchange", [True, False])
def test_old_content_is_replaced_whole(tmp_path, monkeypatch, kind, exchange):
    if not exchange:
        monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    target = tmp_path / "out"
    for text in ("one", "two"):
        with replacing(target, overwrite=True) as temporary:
            assert temporary.parent == tmp_path
            _make(temporary, kind, text)
        assert _read(target) == text
        assert _names(tmp_path) == ["out"]


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), ValueError("x")],
)
def test_any_failure_leaves_the_old_content_and_nothing_else(tmp_path, kind, error):
    target = tmp_path / "out"
    _make(target, kind, "old")
    expected = StorageError if isinstance(error, OSError) else type(error)

    def fail():
        with replacing(target, overwrite=True) as temporary:
            _make(temporary, kind, "new")
            raise error

    with pytest.raises(expected) as caught:
        fail()
    if expected is StorageError:
        assert "No space left" in str(caught.value)
    assert _read(target) == "old"
    assert _names(tmp_path) == ["out"]


@pytest.mark.parametrize(
    ("step", "kind"),
    [("fsync", "file"), ("fsync", "folder"), ("rename", "folder"), ("replace", "file")],
)
def test_a_failing_system_call_leaves_the_old_content(tmp_path, monkeypatch, step, kind):
    target = tmp_path / "out"
    _make(target, kind, "old")
    monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    original = os.rename
    calls = []

    def fail(*args):
        calls.append(args)
        if step == "rename" and len(calls) != 2:  # the second names the new folder
            return original(*args)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, step, fail)

    def write():
        with replacing(target, overwrite=True) as temporary:
            _make(temporary, kind, "new")

    with pytest.raises(StorageError, match="Input/output error"):
        write()
    monkeypatch.undo()
    assert calls
    assert _read(target) == "old"
    assert _names(tmp_path) == ["out"]


def test_what_exists_is_not_replaced_unasked_even_if_it_came_meanwhile(tmp_path):
    target = tmp_path / "out"
    target.write_text("old")

    def write(before):
        with replacing(target, overwrite=False) as temporary:
            temporary.write_text("new")
            before()

    with pytest.raises(StorageError, match="overwrite=True"):
        write(lambda: None)
    target.unlink()
    with pytest.raises(StorageError, match="overwrite=True"):
        write(lambda: target.write_text("other"))
    assert target.read_text() == "other"
    assert _names(tmp_path) == ["out"]


def test_what_a_killed_writer_left_is_removed_after_a_day(tmp_path):
    old, young, other = (tmp_path / f".{n}.partial" for n in ("out.aa", "out.bb", "another.cc"))
    for path in (old, other):
        path.mkdir()
        os.utime(path, (0, 0))
    young.write_text("x")
    with replacing(tmp_path / "out", overwrite=False) as temporary:
        temporary.write_text("new")
    assert _names(tmp_path) == sorted([young.name, other.name, "out"])


def test_a_folder_that_is_missing_or_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("x")

    def write(target):
        with replacing(target, overwrite=False) as temporary:
            temporary.write_text("new")

    for folder in ("missing", "file"):
        with pytest.raises(StorageError, match="folder does not exist"):
            write(Path(tmp_path, folder, "out"))
