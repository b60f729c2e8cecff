"""The process that is killed: edits, and prints what it may rely on.

``crash_child.py KIND FOLDER SEED SHAPE [INSTANT]``; prints ``go`` when it begins, then the number
of each record that it was told is saved.
"""

import logging
import os
import random
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from labels.journal import oracle
from napari_cellseg.labels.journal import Journal

#: Small enough that a snapshot has many blocks and becomes due often.
BLOCK, RECORDS = 8192, 15


def say(word: object) -> None:
    os.write(1, f"{word}\n".encode())


def opened(folder: Path, seed: int, shape: tuple[int, ...]) -> Journal:
    if (folder / "journal.sqlite").exists() or (folder / "journal.sqlite.new").exists():
        return Journal.open(folder, writes=oracle.writes, records=RECORDS)
    labels = oracle.base_labels(seed, shape)
    return Journal.create(
        folder, shape, lambda box: labels[box].copy(), {"seed": seed, "mark": 0},
        writes=oracle.writes, records=RECORDS, block=BLOCK,
    )  # fmt: skip


def append(journal: Journal, seed: int, shape: tuple[int, ...]) -> int:
    number = journal.last + 1
    if number % 5 == 0:
        journal.set_meta("mark", number)
    assert journal.append(oracle.payload(seed, number, shape)) == number
    return number


def edit(folder: Path, seed: int, shape: tuple[int, ...]) -> None:
    """Edit until killed; now and then close and open again."""
    chance = random.Random(os.urandom(8))
    while True:
        journal = opened(folder, seed, shape)
        assert not journal.read_only
        if journal.saved.wait():
            say(journal.last)
        for _ in range(chance.randrange(80)):
            number = append(journal, seed, shape)
            if chance.random() < 0.4:
                assert journal.saved.wait()
                say(number)
        journal.close()
        say(journal.last)


def steps(folder: Path, seed: int, shape: tuple[int, ...]) -> None:
    """Edit far enough for two new snapshots, waiting for each."""
    journal = opened(folder, seed, shape)
    if journal.saved.wait():
        say(journal.last)
    for _ in range(2 * RECORDS + 2):
        number = append(journal, seed, shape)
        assert journal.saved.wait()
        say(number)
        while journal.last % RECORDS == 0 and not (folder / _name(journal.last)).exists():
            os.sched_yield()
    journal.close()


def hold(folder: Path, seed: int, shape: tuple[int, ...]) -> None:
    """Edit until killed, and keep the journal open."""
    journal = opened(folder, seed, shape)
    while True:
        number = append(journal, seed, shape)
        assert journal.saved.wait()
        say(number)
        time.sleep(0.002)


def _name(number: int) -> str:
    return f"base-{number:08d}.labels"


def naive(folder: Path, seed: int, shape: tuple[int, ...]) -> None:
    """What must fail: the whole array saved in place after each edit."""
    folder.mkdir(exist_ok=True)
    labels = oracle.base_labels(seed, shape)
    number = 0
    while True:
        np.save(folder / "labels.npy", labels)
        say(number)
        number += 1
        record = oracle.payload(seed, number, shape)
        oracle.replay(labels, record, lambda of: oracle.payload(seed, of, shape))


def full(folder: Path, seed: int, shape: tuple[int, ...], room: int) -> None:
    """Edit on a disk that becomes full, then has room again."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    labels = oracle.base_labels(seed, shape)
    limited = threading.Event()

    def read_block(box: tuple[slice, ...]) -> oracle.Labels:
        limited.wait()  # a journal that cannot even be created says so at once
        return labels[box].copy()

    journal = Journal.create(
        folder, shape, read_block, {"seed": seed, "mark": 0},
        writes=oracle.writes, records=RECORDS, block=BLOCK,
    )  # fmt: skip
    journal.trouble.connect(lambda error: say(f"trouble {error}"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    limited.set()
    misses = 0
    while misses < 4:  # the log may be full first, and go on once it is moved into the database
        append(journal, seed, shape)
        if journal.saved.wait():
            say(journal.last)
            misses = 0
        else:
            misses += 1
    assert not journal.saved.all
    say("full")
    if sys.stdin.readline().strip() == "room":
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        assert journal.saved.wait(20)
        say(journal.last)
        journal.close()
        say("closed")


def die_at(instant: int) -> None:
    """Be killed before or after the n-th call that changes what a folder shows."""
    left = [instant]

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            result = call(*arguments, **named)
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapped

    import imagecodecs

    for module, name in (
        (os, "fsync"), (os, "replace"), (os, "unlink"), (imagecodecs, "zstd_encode"),
        (imagecodecs, "zstd_decode"),
    ):  # fmt: skip
        setattr(module, name, counted(getattr(module, name)))


def main() -> None:
    kind, folder, seed, shape, *more = sys.argv[1:]
    sizes = tuple(int(size) for size in shape.split("x"))
    if kind == "steps" and more:
        die_at(int(more[0]))
    logging.disable()  # what it writes to stderr is taken for a failure
    say("go")
    if kind == "full":
        full(Path(folder), int(seed), sizes, int(more[0]))
    else:
        kinds = {"edit": edit, "hold": hold, "steps": steps, "naive": naive}
        kinds[kind](Path(folder), int(seed), sizes)


if __name__ == "__main__":
    main()
