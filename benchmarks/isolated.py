"""Measure work in a process of its own: nothing of what ran before counts.

An allocator keeps what it was given, so the memory of a second run in one process is not what that
run needs. Here every run has a fresh process, which imports and compiles on a small corner of the
arrays first, and begins to measure when the whole arrays are in memory.
"""

import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.meter import Cost, forget_peak, peak_memory, resident_memory

_ROOT = Path(__file__).resolve().parents[1]
_CORNER = (24, 64, 64)
#: What a process exits with where a package is missing.
_MISSING = 3

Arrays = dict[str, NDArray[Any]]
#: Work that names its steps: ``work(arrays, step, **options)``, with ``step(name, call)``.
Work = Callable[..., Arrays]


@dataclass(frozen=True)
class Trial:
    """What one way of doing the work cost, by step.

    Attributes
    ----------
    steps : dict of str to Cost
        Medians. Memory is what a step added to what the process held before the first one.
    whole : Cost
        All steps that count together; its memory is that of the greediest.
    outputs : dict of str to array
        What the last run returned.
    """

    steps: dict[str, Cost]
    whole: Cost
    outputs: Arrays


class Step:
    """Calls functions and notes their cost, memory above that before the first of them."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, float]] = {}
        self._before: float | None = None

    def __call__(self, name: str, call: Callable[[], Any], counts: bool = True) -> Any:
        """Call, and note it under a name; `counts` says whether it is a part of the whole."""
        gc.collect()
        if self._before is None:
            self._before = resident_memory()
        forget_peak()
        cpu, wall = time.process_time(), time.perf_counter()
        result = call()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = peak_memory()
        row = {"wall": wall, "cpu": cpu, "peak": peak, "added": peak - self._before}
        self.rows[name] = {**row, "counts": float(counts)}
        return result


def run_isolated(
    work: str, arrays: Mapping[str, NDArray[Any]], runs: int = 1, **options: Any
) -> Trial | None:
    """Do the work in a fresh process, `runs` times.

    Parameters
    ----------
    work : str
        ``"module:function"`` of a `Work`.
    arrays : mapping of str to array
        Their last three axes are cut to a corner for warming up.
    runs : int
    **options
        For the work; plain data.

    Returns
    -------
    Trial or None
        None where a package that the work needs is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        job = {"work": work, "options": options}
        (Path(folder) / "job.json").write_text(json.dumps(job))
        for name, array in arrays.items():
            np.save(Path(folder) / f"in-{name}.npy", array)
        rows = []
        for _ in range(runs):
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.isolated", folder],
                cwd=_ROOT,
                capture_output=True,
                text=True,
            )
            if done.returncode == _MISSING:
                return None
            if done.returncode:
                raise RuntimeError(f"{work} failed:\n{done.stderr[-3000:]}")
            rows.append(json.loads((Path(folder) / "rows.json").read_text()))
        return Trial(*_medians(rows), _arrays(Path(folder), "out-"))


def _medians(rows: list[dict[str, dict[str, float]]]) -> tuple[dict[str, Cost], Cost]:
    steps = {
        name: Cost(
            *(
                statistics.median(row[name][key] for row in rows)
                for key in ("wall", "cpu", "peak", "added")
            ),
            runs=len(rows),
        )
        for name in rows[0]
    }
    counted = [[step for step in row.values() if step["counts"]] for row in rows]
    whole = Cost(
        wall=statistics.median(sum(step["wall"] for step in row) for row in counted),
        cpu=statistics.median(sum(step["cpu"] for step in row) for row in counted),
        peak=statistics.median(max(step["peak"] for step in row) for row in counted),
        added=statistics.median(max(step["added"] for step in row) for row in counted),
        runs=len(rows),
    )
    return steps, whole


def _arrays(folder: Path, prefix: str) -> Arrays:
    return {
        file.stem.removeprefix(prefix): np.load(file, allow_pickle=False)
        for file in sorted(folder.glob(f"{prefix}*.npy"))
    }


def _corner(array: NDArray[Any]) -> NDArray[Any]:
    spatial = tuple(slice(0, n) for n in _CORNER[-min(3, array.ndim) :])
    return np.ascontiguousarray(array[(..., *spatial)])


def _main(folder: Path) -> int:
    job = json.loads((folder / "job.json").read_text())
    module, _, function = job["work"].partition(":")
    work: Work = getattr(import_module(module), function)
    arrays = _arrays(folder, "in-")
    try:
        work({name: _corner(one) for name, one in arrays.items()}, Step(), **job["options"])
    except ModuleNotFoundError as error:
        print(error, file=sys.stderr)
        return _MISSING
    step = Step()
    for name, array in work(arrays, step, **job["options"]).items():
        np.save(folder / f"out-{name}.npy", array)
    (folder / "rows.json").write_text(json.dumps(step.rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(_main(Path(sys.argv[1])))
