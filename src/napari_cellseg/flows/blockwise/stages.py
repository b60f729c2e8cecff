"""A stage of blockwise work: one job per block, its result kept on disk as its done-marker."""

import os
import secrets
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import StorageError
from napari_cellseg.flows.blockwise.executor import Executor
from napari_cellseg.flows.progress import Progress

Result = dict[str, NDArray[Any]]

#: Held while arrays are read: numpy parses their headers by `ast`, which before Python 3.11.8 fails
#: now and then in several threads at once.
READING = threading.Lock()


class Job(Protocol):
    """What a block function is given: small, frozen, picklable."""

    @property
    def key(self) -> str:
        """Name of the job, unique in its stage; a file name."""


def run_stage(
    executor: Executor,
    work: Path,
    stage: str,
    function: Callable[[Any], Result],
    jobs: Sequence[Any],
    progress: Progress | None = None,
    message: str | None = None,
) -> None:
    """Do the jobs that are not done yet, and keep what each gives.

    Parameters
    ----------
    executor : Executor
    work : Path
        Folder of the run. A job is done once ``work/stage/KEY.npz`` is there, written whole and
        renamed; whatever else the function wrote was written before that.
    stage : str
        Name of the stage, a folder name.
    function : callable
        Top-level function ``(job) -> dict of arrays``; doing it twice must be the same as once.
    jobs : sequence of Job
    progress : Progress, optional
        Told after every job; stops the work when cancelled.
    message : str, optional
        What to say is being done; by default the stage's name.

    Raises
    ------
    StorageError
        If a result cannot be written.
    Cancelled
        If `progress` was cancelled. What is done stays done.
    """
    folder = work / stage
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    waiting = [job for job in jobs if not _file(work, stage, job.key).is_file()]
    done, total = len(jobs) - len(waiting), max(1, len(jobs))

    def tell() -> None:
        if progress is not None:
            progress(done / total, f"{message or stage}, block {done} of {total}")

    tell()
    if not waiting:
        return
    check = None if progress is None else progress.check
    results = executor.run(function, waiting, check)
    for job, result in results:
        _save(_file(work, stage, job.key), result)
        done += 1
        tell()


def load_result(work: Path, stage: str, key: str) -> Result:
    """What the job `key` of a stage gave.

    Raises
    ------
    StorageError
        If it is not there, or damaged.
    """
    file = _file(work, stage, key)
    try:
        with READING, file.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
            return {name: kept[name] for name in kept.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise StorageError(
            f"{str(file)!r} is missing or damaged: delete the folder {work.name!r} and run again."
        ) from error


def results(work: Path, stage: str, jobs: Iterable[Any]) -> Iterator[tuple[Any, Result]]:
    """Every job with what it gave, in the order of `jobs`, one in memory at a time."""
    for job in jobs:
        yield job, load_result(work, stage, job.key)


def _file(work: Path, stage: str, key: str) -> Path:
    return work / stage / f"{key}.npz"


def _save(file: Path, result: Result) -> None:
    part = file.with_name(f".{file.stem}.{secrets.token_hex(4)}.part")
    try:
        with part.open("wb") as stream:
            np.savez(stream, **result)  # type: ignore[arg-type]
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise _unwritable(file, error) from error


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{str(path)!r} cannot be written ({error.strerror or error}): free space and run the "
        "same again, which goes on where it stopped."
    )
