"""From appending an edit to the journal until the disk has it, by fsync.

Edits come one at a time, as from a user, and in bursts, as from a program: a burst is saved in
one transaction. Beside it: the same bytes appended to a plain file with fsync, which no journal
on this disk can beat.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

SHAPE = (200, 1024, 1024)
PAYLOAD = 6_000
BURST = 50


def run_journal_append(runs: int = 300, folder: Path | None = None) -> dict[str, Any]:
    """Time how long an edit is on its way to the disk.

    Parameters
    ----------
    runs : int
        Edits one at a time; as many bursts as a tenth of it.
    folder : Path, optional
        On the disk that is meant; default a temporary folder.

    Returns
    -------
    dict
        ``payload`` (bytes); ``append_ms`` (until `append` returns), ``saved_ms`` (until it is
        saved), ``burst_ms`` (per edit of a burst) and ``file_ms`` (plain file): ``median`` and
        ``p95`` each; ``snapshot_s``: the first snapshot of 200×1024×1024 labels, in the
        background; ``open_ms``: opening the journal again.
    """
    from napari_cellseg.labels.journal import Journal

    payloads = [np.random.default_rng(i).bytes(PAYLOAD) for i in range(8)]
    plane = np.repeat(np.arange(64, dtype=np.uint32), 64 * 256).reshape(SHAPE[1:])

    def read_block(box: tuple[slice, ...]) -> np.ndarray:
        block = np.empty([s.stop - s.start for s in box], np.uint32)
        block[:] = plane[box[1:]]
        return block

    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        place = Path(temporary) / "journal"
        begun = time.perf_counter()
        journal = Journal.create(place, SHAPE, read_block, {}, records=10**9, size=10**12)
        journal.saved.wait()
        snapshot = time.perf_counter() - begun
        appended, saved, bursts = [], [], []
        for run in range(runs):
            start = time.perf_counter()
            journal.append(payloads[run % 8])
            middle = time.perf_counter()
            assert journal.saved.wait()
            saved.append(time.perf_counter() - start)
            appended.append(middle - start)
        for _ in range(max(1, runs // 10)):
            start = time.perf_counter()
            for number in range(BURST):
                journal.append(payloads[number % 8])
            assert journal.saved.wait()
            bursts.append((time.perf_counter() - start) / BURST)
        journal.close()
        begun = time.perf_counter()
        Journal.open(place).close()
        opened = time.perf_counter() - begun
        plain = _plain_file(Path(temporary) / "plain", payloads, runs)
    return {
        "payload": PAYLOAD,
        "append_ms": _spread(appended),
        "saved_ms": _spread(saved),
        "burst_ms": _spread(bursts),
        "file_ms": _spread(plain),
        "snapshot_s": snapshot,
        "open_ms": 1000 * opened,
    }


def _plain_file(path: Path, payloads: list[bytes], runs: int) -> list[float]:
    """Times of appending to a file with fsync."""
    times = []
    with path.open("wb") as file:
        for run in range(runs):
            start = time.perf_counter()
            file.write(payloads[run % 8])
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - start)
    return times


def _spread(seconds: list[float]) -> dict[str, float]:
    """Median and 95th percentile, in milliseconds."""
    ordered = sorted(seconds)
    return {
        "median": 1000 * statistics.median(ordered),
        "p95": 1000 * ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))],
    }


def describe(found: dict[str, Any]) -> str:
    """Return the figures as lines of text."""
    lines = [f"journal, {found['payload']:,} bytes an edit: median (p95), ms"]
    for name, key in (
        ("append returns", "append_ms"), ("saved on the disk", "saved_ms"),
        (f"saved, each of a burst of {BURST}", "burst_ms"), ("plain file with fsync", "file_ms"),
    ):  # fmt: skip
        lines.append(f"  {name}: {found[key]['median']:.3f} ({found[key]['p95']:.3f})")
    lines.append(
        f"  first snapshot of 200×1024×1024, in the background: {found['snapshot_s']:.2f} s; "
        f"opening again: {found['open_ms']:.0f} ms"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    print(describe(run_journal_append()))
