"""Who else is there, and where the folder lies: other processes, rights, network, disks that go."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from labels.journal import crashing, oracle
from labels.journal.crashing import check, check_prefix, start
from napari_cellseg.errors import StorageError
from napari_cellseg.labels.journal import Journal, file_system, is_network

SHAPE = (4, 24, 32)
SEED = 9


def create(folder: Path, records: int = 10_000, kind: str = "ext4") -> Journal:
    labels = oracle.base_labels(SEED, SHAPE)
    return Journal.create(
        folder, SHAPE, lambda box: labels[box].copy(), {"mark": 0},
        writes=oracle.writes, records=records, block=1024, file_system=lambda path: kind,
    )  # fmt: skip


def fill(journal: Journal, count: int) -> None:
    for _ in range(count):
        journal.append(oracle.payload(SEED, journal.last + 1, SHAPE))
    assert journal.saved.wait(10)


def test_second_process_reads_while_the_first_edits(tmp_path: Path):
    shape = crashing.SHAPE
    child = start("hold", tmp_path / "j", 6, shape)
    acknowledged = 0
    for _ in range(5):
        for _ in range(10):
            acknowledged = int(child.line())
        journal = Journal.open(tmp_path / "j", writes=oracle.writes)
        assert journal.read_only
        assert any("Another process" in notice for notice in journal.notices)
        check_prefix(journal, 6, shape, acknowledged)
        with pytest.raises(StorageError, match="another process"):
            journal.append(b"mine")
        with pytest.raises(StorageError, match="another process"):
            journal.set_meta("mark", 0)
        assert journal.saved.wait(1)
        journal.close()
    check(tmp_path / "j", 6, shape, child.kill())


def test_second_journal_in_this_process_is_read_only(tmp_path: Path):
    first = create(tmp_path, records=5)
    fill(first, 12)
    second = Journal.open(tmp_path)
    assert second.read_only
    fill(first, 8)
    assert (second.last, first.last) == (12, 20)
    _, number = second.base()
    assert number <= 12
    first.close()
    second.close()
    third = Journal.open(tmp_path, writes=oracle.writes)
    assert not third.read_only
    check_prefix(third, SEED, SHAPE, 20)
    third.close()


def test_lock_of_a_killed_process_is_free(tmp_path: Path):
    child = start("edit", tmp_path / "j", 6, crashing.SHAPE)
    while child.line() in ("0", ""):
        assert child.process.poll() is None
    child.kill()
    assert (tmp_path / "j" / "lock").exists()
    journal = Journal.open(tmp_path / "j", writes=oracle.writes)
    assert not journal.read_only
    journal.close()


def test_foreign_files_are_left_alone(tmp_path: Path):
    foreign = {
        "notes.txt": b"mine", "base-1.labels.bak": b"x", "base-old.labels": b"y", "labels.npy": b"",
    }  # fmt: skip
    (tmp_path / "base-00000003.labels").mkdir()
    for name, content in foreign.items():
        (tmp_path / name).write_bytes(content)
    journal = create(tmp_path, records=5)
    fill(journal, 12)
    journal.close()
    journal = Journal.open(tmp_path, writes=oracle.writes)
    check_prefix(journal, SEED, SHAPE, 12)
    journal.close()
    for name, content in foreign.items():
        assert (tmp_path / name).read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + bytes(5000)])
def test_folder_whose_database_is_none(content: bytes, tmp_path: Path):
    (tmp_path / "journal.sqlite").write_bytes(content)
    with pytest.raises(StorageError, match="journal"):
        Journal.open(tmp_path)
    assert (tmp_path / "journal.sqlite").read_bytes() == content
    with pytest.raises(StorageError, match="already"):
        create(tmp_path)


def test_database_of_something_else(tmp_path: Path):
    connection = sqlite3.connect(tmp_path / "journal.sqlite")
    connection.execute("CREATE TABLE record (recipe TEXT)")
    connection.close()
    with pytest.raises(StorageError, match="not a journal"):
        Journal.open(tmp_path)


def test_database_of_a_newer_version(tmp_path: Path):
    create(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "journal.sqlite")
    connection.execute("PRAGMA user_version=2")
    connection.close()
    with pytest.raises(StorageError, match="newer"):
        Journal.open(tmp_path)


@contextmanager
def without_rights() -> Iterator[None]:
    """The superuser may write anywhere, so be someone else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.name == "nt", reason="rights are others there")
@pytest.mark.parametrize("killed", [False, True])
def test_folder_that_cannot_be_written(killed: bool, tmp_path: Path):
    journal = create(tmp_path / "j", records=10)
    fill(journal, 25)
    with tempfile.TemporaryDirectory() as temporary:
        os.chmod(temporary, 0o755)
        place = Path(temporary) / "j"
        if not killed:
            journal.close()
        shutil.copytree(tmp_path / "j", place, ignore=shutil.ignore_patterns("*-shm"))
        assert (place / "journal.sqlite-wal").exists() == killed
        journal.close()
        for path in place.iterdir():
            path.chmod(0o444)
        place.chmod(0o555)
        try:
            with without_rights():
                journal = Journal.open(place, writes=oracle.writes)
                assert journal.read_only
                assert any("cannot be written" in notice for notice in journal.notices)
                check_prefix(journal, SEED, SHAPE, 25)
                journal.close()
                with pytest.raises(StorageError, match="cannot be written"):
                    create(place / "inside")
        finally:
            place.chmod(0o755)


def test_network_folder(tmp_path: Path):
    journal = create(tmp_path, records=10, kind="nfs4")
    assert any("network file system (nfs4)" in notice for notice in journal.notices)
    fill(journal, 25)
    assert not (tmp_path / "journal.sqlite-wal").exists()
    check_prefix(journal, SEED, SHAPE, 25)
    second = Journal.open(tmp_path, writes=oracle.writes, file_system=lambda path: "nfs4")
    assert second.read_only
    check_prefix(second, SEED, SHAPE, 25)
    second.close()
    fill(journal, 1)
    journal.close()
    # moved to this machine's own disk, and back
    for kind in ("ext4", "cifs"):
        journal = Journal.open(
            tmp_path, writes=oracle.writes, file_system=lambda path, kind=kind: kind
        )
        assert bool(journal.notices) == (kind == "cifs")
        before = journal.last
        fill(journal, 3)
        check_prefix(journal, SEED, SHAPE, before + 3)
        journal.close()


def test_network_folder_after_a_kill(tmp_path: Path):
    journal = create(tmp_path / "j", kind="nfs4")
    fill(journal, 25)
    shutil.copytree(tmp_path / "j", tmp_path / "copy")
    journal.close()
    again = Journal.open(
        tmp_path / "copy", writes=oracle.writes, file_system=lambda path: "fuse.sshfs"
    )
    check_prefix(again, SEED, SHAPE, 25)
    again.close()


def test_kinds_of_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for kind in (
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "fuse.sshfs",
        "9p",
        "lustre",
        "afs",
        "NFS",
    ):
        assert is_network(kind), kind
    for kind in ("ext4", "xfs", "btrfs", "apfs", "ntfs", "tmpfs", "overlay", "fuseblk", "zfs", ""):
        assert not is_network(kind), kind
    assert file_system(tmp_path) == file_system(tmp_path / "not" / "there") != ""

    def mounts(all: bool) -> list[SimpleNamespace]:
        kinds = {"/": "ext4", "/home": "nfs4", "/home/me": "xfs", "/home/me/far": "fuse.sshfs"}
        return [
            SimpleNamespace(mountpoint=place, fstype=kind, opts="rw")
            for place, kind in kinds.items()
        ]

    monkeypatch.setattr(psutil, "disk_partitions", mounts)
    found = {
        place: file_system(Path(place))
        for place in ("/data", "/home/you", "/home/me/x", "/home/me/far/x", "/home/mean")
    }
    assert list(found.values()) == ["ext4", "nfs4", "xfs", "fuse.sshfs", "nfs4"]


def test_folder_that_goes_away_and_comes_back(tmp_path: Path):
    told: list[StorageError | None] = []
    journal = create(tmp_path / "j")
    journal.trouble.connect(told.append)
    fill(journal, 5)
    (tmp_path / "j").rename(tmp_path / "elsewhere")
    journal.append(oracle.payload(SEED, 6, SHAPE))
    assert not journal.saved.wait(5)
    assert (journal.saved.number, journal.saved.all) == (5, False)
    assert isinstance(told[-1], StorageError)
    assert "put it back" in str(told[-1])
    journal.append(oracle.payload(SEED, 7, SHAPE))
    assert journal.read(7) == oracle.payload(SEED, 7, SHAPE)
    (tmp_path / "elsewhere").rename(tmp_path / "j")
    assert journal.saved.wait(5)
    assert told[-1] is None
    assert len(told) == 2
    check_prefix(journal, SEED, SHAPE, 7)
    journal.close()
    journal = Journal.open(tmp_path / "j", writes=oracle.writes)
    check_prefix(journal, SEED, SHAPE, 7)
    assert journal.last == 7
    journal.close()


def test_folder_that_is_deleted(tmp_path: Path):
    journal = create(tmp_path / "j")
    fill(journal, 5)
    shutil.rmtree(tmp_path / "j")
    journal.append(b"lost?")
    assert not journal.saved.wait(5)
    with pytest.raises(StorageError, match="last 1 edits could not be saved"):
        journal.close(5)
    assert not (tmp_path / "j").exists()


def test_folder_that_is_replaced_by_an_older_copy(tmp_path: Path):
    told: list[StorageError | None] = []
    journal = create(tmp_path / "j")
    fill(journal, 5)
    shutil.copytree(tmp_path / "j", tmp_path / "old", ignore=shutil.ignore_patterns("lock"))
    fill(journal, 5)
    journal.trouble.connect(told.append)
    shutil.rmtree(tmp_path / "j")
    (tmp_path / "old").rename(tmp_path / "j")
    journal.append(b"eleven")
    assert not journal.saved.wait(5)
    assert not journal.saved.wait(5)
    assert "replaced" in str(told[-1])
    with pytest.raises(StorageError):
        journal.close(5)


def test_damage_is_put_aside_once(tmp_path: Path):
    journal = create(tmp_path)
    fill(journal, 20)
    journal.close()
    connection = sqlite3.connect(tmp_path / "journal.sqlite")
    with connection:
        connection.execute("UPDATE record SET payload = x'00' WHERE number = 15")
    connection.close()
    journal = Journal.open(tmp_path, writes=oracle.writes)
    assert journal.last == 14
    check_prefix(journal, SEED, SHAPE, 14)
    assert "14 records" in journal.notices[0]
    fill(journal, 3)
    journal.close()
    aside = sqlite3.connect(tmp_path / "damaged-1" / "journal.sqlite")
    assert aside.execute("SELECT count(*) FROM record").fetchone() == (20,)
    aside.close()
    journal = Journal.open(tmp_path, writes=oracle.writes)
    assert journal.notices == ()
    check_prefix(journal, SEED, SHAPE, 17)
    journal.close()
    assert not (tmp_path / "damaged-2").exists()


@pytest.mark.parametrize("instant", range(8))
def test_repair_that_is_cut_short(instant: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    journal = create(tmp_path)
    fill(journal, 20)
    journal.close()
    connection = sqlite3.connect(tmp_path / "journal.sqlite")
    with connection:
        connection.execute("DELETE FROM record WHERE number = 15")
    connection.close()
    left = [instant]
    replace = os.replace

    def failing(source: Path, target: Path) -> None:
        if left[0] == 0:
            raise OSError("the power is gone")
        left[0] -= 1
        replace(source, target)
        if left[0] == 0:
            raise OSError("the power is gone")
        left[0] -= 1

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", failing)
        try:
            Journal.open(tmp_path, writes=oracle.writes).close()
        except StorageError as error:
            notice = str(error)
        else:
            notice = "damaged"
        assert "damaged" in notice or "power" in notice
    journal = Journal.open(tmp_path, writes=oracle.writes)
    check_prefix(journal, SEED, SHAPE, 14)
    assert journal.last == 14
    journal.close()
    kept = list(tmp_path.glob("damaged-*/journal.sqlite"))
    assert len(kept) == 1
