"""Copies of a living journal's folder whose files are damaged in all ways that disks know."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from labels.journal import oracle
from napari_cellseg.labels.journal import Journal

SHAPE = (4, 24, 32)
SEED = 21
WAL = "journal.sqlite-wal"
SECTOR = 512


def log_end(path: Path) -> tuple[bytes, int]:
    """The salt of a log, and where its last frame of this salt ends; older frames lie behind."""
    log = path.read_bytes() if path.exists() else b""
    page, salt = int.from_bytes(log[8:12]), log[16:24]
    end = 32
    while end < len(log) and log[end + 8 : end + 16] == salt:
        end += 24 + page
    return salt, end


def grow(folder: Path, records: int, due: int) -> tuple[Journal, list[int]]:
    """Return a journal that lives, and where in its log each record ends.

    That is 0 for records which were moved from the log into the database before, as is done
    ahead of a snapshot.
    """
    labels = oracle.base_labels(SEED, SHAPE)
    journal = Journal.create(
        folder, SHAPE, lambda box: labels[box].copy(), {"mark": 0},
        writes=oracle.writes, records=due, block=1024,
    )  # fmt: skip
    assert journal.saved.wait(10)
    ends = [log_end(folder / WAL)]
    for number in range(1, records + 1):
        if number % 5 == 0:
            journal.set_meta("mark", number)
        journal.append(oracle.payload(SEED, number, SHAPE))
        assert journal.saved.wait(10)
        ends.append(log_end(folder / WAL))
        while number % due == 0 and journal._writer._work():
            time.sleep(0.002)
    if records % due == 0:
        return journal, [0] * (records + 1)
    return journal, [end if salt == ends[-1][0] else 0 for salt, end in ends]


def copy(folder: Path, place: Path, *, memory: bool) -> None:
    """Copy a folder as a power cut leaves it; with ``memory`` as a kill does."""
    ignored = ["lock"] if memory else ["lock", "*-shm"]
    shutil.copytree(folder, place, ignore=shutil.ignore_patterns(*ignored))


def truncate(content: bytearray, chance: random.Random) -> int:
    """Cut the end off; return the first byte that is no longer what it was."""
    at = chance.randrange(len(content))
    del content[at:]
    return at


def flip(content: bytearray, chance: random.Random) -> int:
    """Change up to eight bytes."""
    places = [chance.randrange(len(content)) for _ in range(chance.randrange(1, 9))]
    for at in places:
        content[at] ^= chance.randrange(1, 256)
    return min(places)


def blank(content: bytearray, chance: random.Random) -> int:
    """Zero a sector, as where a disk had not written it."""
    at = chance.randrange(len(content)) // SECTOR * SECTOR
    content[at : at + SECTOR] = bytes(len(content[at : at + SECTOR]))
    return at


def garble(content: bytearray, chance: random.Random) -> int:
    """Fill up to three pages with noise."""
    at = chance.randrange(len(content))
    end = min(len(content), at + chance.randrange(1, 12_288))
    content[at:end] = chance.randbytes(end - at)
    return at


def duplicate(content: bytearray, chance: random.Random) -> int:
    """Write a piece twice, over what follows it or between."""
    at = chance.randrange(len(content))
    piece = content[at : at + chance.randrange(1, 12_288)]
    after = at + len(piece)
    content[after : after + (len(piece) if chance.random() < 0.5 else 0)] = piece
    return after


def exchange(content: bytearray, chance: random.Random) -> int:
    """Let two sectors change places."""
    first, second = (chance.randrange(-(-len(content) // SECTOR)) * SECTOR for _ in range(2))
    a, b = content[first : first + SECTOR], content[second : second + SECTOR]
    content[first : first + SECTOR], content[second : second + SECTOR] = b, a
    return min(first, second)


Harm = Callable[[bytearray, random.Random], int]
HARMS: tuple[Harm, ...] = (truncate, flip, blank, garble, duplicate, exchange)


def damage(path: Path, harm: Harm, chance: random.Random) -> int:
    """Damage a file; return the first byte that may differ."""
    content = bytearray(path.read_bytes())
    at = harm(content, chance)
    path.write_bytes(content)
    return at
