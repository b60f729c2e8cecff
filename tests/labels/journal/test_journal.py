"""The journal in daily use: appending, reading back, facts, snapshots, closing."""

import gc
import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from labels.journal import oracle
from labels.journal.crashing import check_prefix
from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.labels.journal import Journal, writer

SHAPE = (4, 24, 32)
SEED = 8


def create(folder: Path, records: int = 10_000, **more: object) -> Journal:
    labels = oracle.base_labels(SEED, SHAPE)
    journal = Journal.create(
        folder, SHAPE, lambda box: labels[box].copy(), {"mark": 0},
        writes=oracle.writes, records=records, block=1024, **more,
    )  # fmt: skip
    return journal


def fill(journal: Journal, count: int) -> None:
    for _ in range(count):
        journal.append(oracle.payload(SEED, journal.last + 1, SHAPE))


def snapshots(folder: Path) -> list[int]:
    return sorted(int(path.stem.removeprefix("base-")) for path in folder.glob("base-*.labels"))


def until(said: object, seconds: float = 10) -> None:
    """Wait until a callable says yes."""
    end = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_records_come_back_in_order(tmp_path: Path):
    journal = create(tmp_path / "new" / "folder")
    fill(journal, 30)
    assert journal.last == 30
    check_prefix(journal, SEED, SHAPE, 0) if journal.saved.wait(10) else pytest.fail("not saved")
    assert journal.saved.number == 30
    assert journal.saved.all
    assert journal.saved.when is not None
    journal.close()
    journal.close()

    journal = Journal.open(tmp_path / "new" / "folder", writes=oracle.writes)
    assert journal.saved.number == 30
    assert not journal.read_only
    assert journal.notices == ()
    check_prefix(journal, SEED, SHAPE, 30)
    assert [number for number, _ in journal.records(after=27)] == [28, 29, 30]
    assert journal.append(b"") == 31
    journal.close()
    journal = Journal.open(tmp_path / "new" / "folder")
    assert journal.read(31) == b""
    journal.close()


def test_nothing_is_saved_before_the_first_snapshot(tmp_path: Path):
    go = threading.Event()
    labels = oracle.base_labels(SEED, SHAPE)

    def read_block(box: tuple[slice, ...]) -> oracle.Labels:
        assert go.wait(10)
        return labels[box].copy()

    journal = Journal.create(tmp_path, SHAPE, read_block, {}, writes=oracle.writes, block=1024)
    fill(journal, 3)
    assert not journal.saved.wait(0.1)
    assert (journal.saved.number, journal.saved.all, journal.saved.when) == (0, False, None)
    assert journal.read(2) == oracle.payload(SEED, 2, SHAPE)
    with pytest.raises(StorageError, match="No whole snapshot"):
        journal.base()
    go.set()
    assert journal.saved.wait(10)
    check_prefix(journal, SEED, SHAPE, 3)
    journal.close()


def test_appending_is_acknowledged_while_a_snapshot_is_written(tmp_path: Path):
    journal = create(tmp_path, records=5)
    assert journal.saved.wait(10)
    slow = threading.Event()

    def writes(payload: bytes, read: object):
        slow.wait(0.1)
        yield from oracle.writes(payload, read)

    journal._writer._writes = writes
    fill(journal, 5)
    assert journal.saved.wait(10)
    waits = []
    for _ in range(5):
        fill(journal, 1)
        begun = time.perf_counter()
        assert journal.saved.wait(10)
        waits.append(time.perf_counter() - begun)
    assert snapshots(tmp_path) == [0], "it would have been too quick to show anything"
    assert max(waits) < 1
    slow.set()
    until(lambda: len(snapshots(tmp_path)) > 1)
    check_prefix(journal, SEED, SHAPE, 10)
    journal.close()


def test_closing_does_not_wait_for_a_snapshot(tmp_path: Path):
    journal = create(tmp_path, records=5)
    assert journal.saved.wait(10)

    def writes(payload: bytes, read: object):
        time.sleep(0.05)
        yield from oracle.writes(payload, read)

    journal._writer._writes = writes
    fill(journal, 40)
    begun = time.perf_counter()
    journal.close()
    assert time.perf_counter() - begun < 1
    assert snapshots(tmp_path) == [0]
    assert not list(tmp_path.glob("*.part"))
    journal = Journal.open(tmp_path, writes=oracle.writes)
    check_prefix(journal, SEED, SHAPE, 40)
    journal.close()


def test_the_first_and_the_two_newest_snapshots_stay(tmp_path: Path):
    journal = create(tmp_path, records=10)
    for upto in (10, 20, 30, 40):
        fill(journal, 10)
        until(lambda upto=upto: upto in snapshots(tmp_path))
    until(lambda: snapshots(tmp_path) == [0, 30, 40])
    check_prefix(journal, SEED, SHAPE, 40)
    labels, number = journal.base()
    assert number == 40
    assert labels.flags.c_contiguous
    assert labels.flags.writeable
    assert labels.dtype == np.uint32
    journal.close()


def test_many_bytes_make_a_snapshot_due(tmp_path: Path):
    journal = create(tmp_path, size=4000)
    fill(journal, 20)
    until(lambda: len(snapshots(tmp_path)) == 2)
    journal.close()


def test_a_record_that_cannot_be_replayed_is_still_saved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    journal = create(tmp_path, records=2)
    for _ in range(7):
        journal.append(b"not one of ours")
        assert journal.saved.wait(10)
    journal.close()
    assert snapshots(tmp_path) == [0]
    assert "no new snapshot" in caplog.text
    journal = Journal.open(tmp_path)
    assert journal.read(7) == b"not one of ours"
    journal.close()


def test_facts(tmp_path: Path):
    journal = create(tmp_path)
    given = {"spacing": [2.0, 0.4, 0.4], "name": "embryo ünd so"}
    journal.set_meta("about", given)
    given["name"] = "changed behind its back"
    assert journal.meta["about"]["name"] == "embryo ünd so"
    assert journal.saved.wait(10)
    journal.set_meta("about", 3)
    journal.set_meta("about", [4])
    with pytest.raises(InputError, match="'array'"):
        journal.set_meta("array", np.zeros(3))
    journal.close()
    journal = Journal.open(tmp_path)
    assert journal.meta == {"mark": 0, "about": [4]}
    journal.close()


def test_many_threads_append(tmp_path: Path):
    journal = create(tmp_path, records=50)
    numbers: list[int] = []

    def work(name: int) -> None:
        numbers.extend(journal.append(b'{"of": 1}') for _ in range(50))

    journal.append(oracle.payload(SEED, 1, SHAPE))
    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert journal.saved.wait(10)
    assert sorted(numbers) == list(range(2, 202))
    journal.close()


def test_wrong_requests(tmp_path: Path):
    with pytest.raises(StorageError, match="no journal in"):
        Journal.open(tmp_path / "nowhere")
    with pytest.raises(InputError, match="'labels'"):
        Journal.create(tmp_path / "j", SHAPE, lambda box: np.zeros(1), {"labels": {1, 2}})
    assert not (tmp_path / "j").exists()
    journal = create(tmp_path / "j")
    for number in (0, 1, -1):
        with pytest.raises(InputError, match=f"no record {number}"):
            journal.read(number)
    with pytest.raises(StorageError, match="already"):
        create(tmp_path / "j")
    journal.close()
    with pytest.raises(StorageError, match="already"):
        create(tmp_path / "j")
    for call in (lambda: journal.append(b"late"), lambda: journal.set_meta("a", 1), journal.base):
        with pytest.raises(StorageError, match="closed"):
            call()


def test_a_journal_that_nobody_closes_is_saved(tmp_path: Path):
    journal = create(tmp_path)
    fill(journal, 20)
    threads = [t for t in threading.enumerate() if t.name == "cellseg-journal"]
    del journal
    gc.collect()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    journal = Journal.open(tmp_path, writes=oracle.writes)
    assert not journal.read_only
    check_prefix(journal, SEED, SHAPE, 20)
    journal.close()


def test_the_end_of_the_program_saves(tmp_path: Path):
    code = f"""
from pathlib import Path
import numpy as np
from napari_cellseg.labels.journal import Journal
journal = Journal.create(Path({str(tmp_path)!r}), (40, 400, 400),
                         lambda box: np.ones([s.stop - s.start for s in box], np.uint32), {{}})
for _ in range(500):
    journal.append(b"x" * 1000)
"""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
    assert time.perf_counter() - begun < 8
    journal = Journal.open(tmp_path)
    assert journal.last == 500
    journal.close()


def test_a_listener_that_fails_keeps_nothing_from_being_saved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    journal = create(tmp_path)

    def fail() -> None:
        raise RuntimeError("a widget is gone")

    journal.saved.changed.connect(fail)
    with caplog.at_level(logging.ERROR):
        fill(journal, 3)
        assert journal.saved.wait(10)
        journal.close()
    assert "listener" in caplog.text


def test_order_does_not_depend_on_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from datetime import UTC, datetime, timedelta

    clock = [datetime(2030, 1, 1, tzinfo=UTC)]

    def backwards() -> datetime:
        clock[0] -= timedelta(days=400)
        return clock[0]

    monkeypatch.setattr(writer, "now", backwards)
    journal = create(tmp_path, records=10)
    for _ in range(25):
        fill(journal, 1)
        assert journal.saved.wait(10)
    assert journal.saved.when is not None
    assert journal.saved.when.year < 2010
    journal.close()
    journal = Journal.open(tmp_path, writes=oracle.writes)
    check_prefix(journal, SEED, SHAPE, 25)
    journal.close()


def test_labels_without_voxels(tmp_path: Path):
    journal = Journal.create(tmp_path, (0, 5), lambda box: np.zeros((0, 5), np.uint32), {})
    assert journal.saved.wait(10)
    assert journal.base()[0].shape == (0, 5)
    journal.close()
