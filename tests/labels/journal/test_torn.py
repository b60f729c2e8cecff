"""Damaged files: a prefix comes back, never a wrong byte, and nothing is thrown away."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from labels.journal import oracle, torn
from labels.journal.crashing import MORE, check_prefix
from labels.journal.torn import HARMS, SEED, SHAPE, WAL, Harm
from napari_cellseg.errors import StorageError
from napari_cellseg.labels.journal import Journal

TURNS = max(1, round(40 * MORE))


@pytest.fixture(
    scope="module", params=[10_000, 13, 40], ids=["one log", "log begun anew", "log moved"]
)
def alive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """A journal that is open, where its records end in the log, and when snapshots were due."""
    folder = tmp_path_factory.mktemp("alive") / "journal"
    journal, ends = torn.grow(folder, 40, request.param)
    yield folder, ends, request.param
    journal.close()


def reopened(folder: Path, least: int) -> int:
    """Check a journal, and that it goes on; return how far it went."""
    journal = Journal.open(folder, writes=oracle.writes)
    check_prefix(journal, SEED, SHAPE, least)
    told = any("were moved to damaged-1" in notice for notice in journal.notices)
    assert told == (folder / "damaged-1").exists()
    last = journal.last
    journal.append(oracle.payload(SEED, last + 1, SHAPE))
    journal.close()
    journal = Journal.open(folder, writes=oracle.writes)
    check_prefix(journal, SEED, SHAPE, last + 1)
    journal.close()
    return last


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_damaged_log(alive: tuple[Path, list[int], int], harm: Harm, tmp_path: Path):
    folder, ends, due = alive
    chance = random.Random(f"{harm.__name__} {due}")
    lasts = set()
    for turn in range(TURNS):
        place = tmp_path / str(turn)
        torn.copy(folder, place, memory=turn % 2 == 0)
        at = torn.damage(place / WAL, harm, chance)
        lasts.add(reopened(place, sum(end <= at for end in ends) - 1))
        shutil.rmtree(place)
    if due == 40:
        assert lasts == {40}, "all of it is in the database, whatever became of the log"
    elif due == 13:
        assert lasts <= {39, 40}, "only the last record is not in the database yet"
    else:
        assert len(lasts) > 1


def test_log_gone(alive: tuple[Path, list[int], int], tmp_path: Path):
    folder, ends, _ = alive
    torn.copy(folder, tmp_path / "copy", memory=False)
    (tmp_path / "copy" / WAL).unlink()
    assert reopened(tmp_path / "copy", 0) == ends.count(0) - (ends[0] == 0)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.is_file() and path.name != "lock" and not path.name.endswith(("-shm", "-wal"))
    }


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_damaged_database(alive: tuple[Path, list[int], int], harm: Harm, tmp_path: Path):
    folder, _, _ = alive
    chance = random.Random(harm.__name__)
    complaints: list[str] = []
    for turn in range(max(1, TURNS // 3)):
        place = tmp_path / str(turn)
        torn.copy(folder, place, memory=False)
        Journal.open(place, writes=oracle.writes, records=10_000).close()
        # appended and closed: all records are in the database itself, the log is gone
        journal = Journal.open(place, writes=oracle.writes, records=10_000)
        journal.append(oracle.payload(SEED, 41, SHAPE))
        journal.close()
        assert not (place / WAL).exists()
        torn.damage(place / "journal.sqlite", harm, chance)
        before = files(place)
        try:
            reopened(place, 0)
        except StorageError as error:
            complaints.append(str(error))
            assert files(place) == before
        shutil.rmtree(place)
    assert len(complaints) < TURNS // 3
    assert all(str(tmp_path) in complaint for complaint in complaints)


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_damaged_snapshot(alive: tuple[Path, list[int], int], harm: Harm, tmp_path: Path):
    folder, _, due = alive
    chance = random.Random(harm.__name__)
    for turn in range(max(1, TURNS // 5)):
        place = tmp_path / str(turn)
        torn.copy(folder, place, memory=False)
        newest = max(place.glob("base-*.labels"))
        before = newest.read_bytes()
        torn.damage(newest, harm, chance)
        changed = newest.read_bytes() != before
        try:
            reopened(place, 40)
        except StorageError:
            assert due > 40, "an older snapshot is there"
            assert changed
        shutil.rmtree(place)


def test_no_snapshot_is_ever_wrong(tmp_path: Path):
    from napari_cellseg.labels.journal.snapshot import Snapshot, write_snapshot

    labels = oracle.base_labels(1, (5, 30, 40))
    path = tmp_path / "base-00000000.labels"
    write_snapshot(path, labels.shape, 0, 0, lambda box: labels[box], voxels=500)
    whole = path.read_bytes()
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        with pytest.raises(StorageError):
            Snapshot(path).labels()
    path.write_bytes(whole)
    np.testing.assert_array_equal(Snapshot(path).labels(), labels)
