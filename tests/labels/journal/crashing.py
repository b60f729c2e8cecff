"""Killing the process that edits, and looking at what it left.

``python -m labels.journal.crashing 500`` (in ``tests/``) kills more often than the tests do.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labels.journal import oracle
from napari_cellseg.errors import StorageError
from napari_cellseg.labels.journal import Journal

CHILD = Path(__file__).with_name("crash_child.py")
SHAPE = (12, 64, 128)
#: How many times as many crashes as by default.
MORE = float(os.environ.get("NAPARI_CELLSEG_CRASHES", "1"))


@dataclass
class Child:
    """A process that edits.

    ``acknowledged`` is the last record that it was told is saved, -1 where not even the start was.
    """

    process: subprocess.Popen[bytes]
    acknowledged: int = -1

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    def kill(self) -> int:
        """Kill it, and return the last record that it had been told is saved."""
        self.process.kill()
        return self.end()

    def end(self) -> int:
        """Read all that it said until it ended."""
        said, complaints = self.process.communicate(timeout=60)
        assert b"Traceback" not in complaints, complaints.decode()
        for word in said.decode().splitlines():
            if word.isdigit():
                self.acknowledged = int(word)
        return self.acknowledged


def start(kind: str, folder: Path, seed: int, shape: tuple[int, ...], *more: object) -> Child:
    """Start a process that edits, and wait until it begins."""
    sizes = "x".join(map(str, shape))
    arguments = [sys.executable, str(CHILD), kind, str(folder), str(seed), sizes, *map(str, more)]
    paths = [str(CHILD.parents[2]), os.environ.get("PYTHONPATH", "")]
    process = subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )  # fmt: skip
    child = Child(process)
    if child.line() != "go":
        raise AssertionError(process.communicate()[1].decode())
    return child


def kill_at_random(
    kind: str, folder: Path, seed: int, shape: tuple[int, ...], chance: random.Random
) -> int:
    """Let a process edit for up to 200 ms, kill it, and return what it had been told is saved."""
    child = start(kind, folder, seed, shape)
    # short times more often: opening, creating and the first snapshot take a few milliseconds
    time.sleep(0.2 * chance.random() ** 2)
    return child.kill()


def check(folder: Path, seed: int, shape: tuple[int, ...], acknowledged: int) -> int:
    """Reopen a journal: it must be a prefix with all that was saved; return its last record."""
    try:
        journal = Journal.open(folder, writes=oracle.writes)
    except StorageError:
        assert acknowledged < 0, "a journal that was saved cannot be opened"
        return -1
    try:
        assert not journal.read_only
        check_prefix(journal, seed, shape, acknowledged)
        # the state in the file is older than that of the records where a fact was saved first
        saved_marks = max(acknowledged, 0) // 5 * 5
        assert journal.meta["mark"] >= saved_marks
        return journal.last
    finally:
        journal.close()


def check_prefix(journal: Journal, seed: int, shape: tuple[int, ...], acknowledged: int) -> None:
    """Every record is the right one, and base and replay give the right labels."""
    assert journal.last >= acknowledged, "a record that was saved is missing"
    for number, record in journal.records():
        assert record == oracle.payload(seed, number, shape), f"record {number} is wrong"
    labels, included = journal.base()
    for _, record in journal.records(included):
        oracle.replay(labels, record, journal.read)
    np.testing.assert_array_equal(labels, oracle.state(seed, journal.last, shape))


def check_naive(folder: Path, seed: int, shape: tuple[int, ...], acknowledged: int) -> int:
    """The same for an array that is saved in place."""
    if acknowledged < 0:
        return -1
    labels = np.load(folder / "labels.npy")
    for last in (acknowledged, acknowledged + 1):  # the next one may have been written, too
        if np.array_equal(labels, oracle.state(seed, last, shape)):
            return last
    raise AssertionError("these labels never were")


Check = Callable[[Path, int, tuple[int, ...], int], int]


@dataclass
class Tally:
    """How many were killed, how far they came, how often nothing was there yet."""

    kills: int = 0
    records: int = 0
    nothing: int = 0


def kill_often(folder: Path, seed: int, kills: int) -> Tally:
    """Kill one process after another; each goes on with what the one before it left."""
    tally = Tally()
    chance = random.Random(seed)
    place, turn = folder / "0", 0
    for _ in range(kills):
        acknowledged = kill_at_random("edit", place, seed, SHAPE, chance)
        last = check(place, seed, SHAPE, acknowledged)
        tally.kills += 1
        if last < 0 or last > 300:  # begin anew: nothing was saved, or replay takes long
            tally.nothing += last < 0
            turn += 1
            place = folder / str(turn)
        tally.records = max(tally.records, last)
    return tally


if __name__ == "__main__":
    import tempfile

    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as temporary:
        begun = time.perf_counter()
        print(kill_often(Path(temporary), int(time.time()), wanted))
        print(f"{time.perf_counter() - begun:.0f} s")
