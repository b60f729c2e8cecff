"""Wall time, processor time and peak memory of a call."""

import contextlib
import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

Result = TypeVar("Result")
_STATUS = Path("/proc/self/status")
_MIB = 1 / 1024


@dataclass(frozen=True)
class Cost:
    """Medians over `runs`.

    Attributes
    ----------
    wall, cpu : float
        Seconds; processor time is that of all threads together.
    peak : float
        Largest resident memory of the process in MiB; what it was before the call is included.
    added : float
        How much of that the call added.
    runs : int
    """

    wall: float
    cpu: float
    peak: float
    added: float
    runs: int


def measure(
    call: Callable[[], Result], runs: int = 1, prepare: Callable[[], object] | None = None
) -> tuple[Result, Cost]:
    """Call `runs` times, each time after `prepare`; return the last result and the median cost."""
    rows: list[tuple[float, float, float, float]] = []
    for _ in range(runs):
        result = None
        if prepare is not None:
            prepare()
        gc.collect()
        forget_peak()
        before = resident_memory()
        cpu, wall = time.process_time(), time.perf_counter()
        result = call()
        spent_wall, spent_cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = peak_memory()
        rows.append((spent_wall, spent_cpu, peak, peak - before))
    medians = [statistics.median(column) for column in zip(*rows, strict=True)]
    return result, Cost(*medians, runs=runs)


def forget_peak() -> None:
    """Make the kernel start a new peak; other systems keep that of the whole process."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def resident_memory() -> float:
    """Memory that the process has now, in MiB."""
    return psutil.Process().memory_info().rss * _MIB**2


def peak_memory() -> float:
    """Most memory that the process has had since `forget_peak`, in MiB."""
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * _MIB
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MIB**2  # bytes on macOS
    return resident_memory()
