"""Files of a folder that are replaced all together or not at all, whenever the process ends.

New content is staged beside the old. A record of what is to be renamed and removed, itself renamed
into its place, is the one moment that decides: what ended before it has changed nothing, what ended
after it is finished by whoever comes next.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from napari_cellseg.errors import StorageError
from napari_cellseg.volume.atomic import _sync_file, _sync_folder

FOLDER = ".cellseg-patch"
"""Where new content is staged, inside the folder that is changed."""
_LOCK = ".cellseg-patch.lock"
_RECORD = "commit.json"
_PATIENCE = 60.0
"""Seconds to wait for another writer."""


@contextmanager
def writing(root: Path) -> Iterator[Path]:
    """Hold a folder for writing, and yield an empty staging folder inside it.

    What a former writer had decided on is finished first.

    Parameters
    ----------
    root : Path
        The folder whose files will be replaced.

    Raises
    ------
    StorageError
        It cannot be written, or another program writes into it for longer than a minute.
    """
    with _held(root):
        _settle(root)
        staging = root / FOLDER
        try:
            staging.mkdir()
        except OSError as error:
            raise _unwritten(root, error) from error
        try:
            yield staging
        except BaseException:
            if not (staging / _RECORD).exists():
                shutil.rmtree(staging, ignore_errors=True)
            raise
        shutil.rmtree(staging, ignore_errors=True)


def commit(root: Path, names: Iterable[str]) -> None:
    """Put staged files into their places, all or none.

    Parameters
    ----------
    root : Path
        Held by `writing`.
    names : iterable of str
        Files under `root`, as relative POSIX paths. One that is staged under the same name is
        replaced by that; one that is not is removed.

    Raises
    ------
    StorageError
        Something cannot be written; unless it says otherwise nothing has changed.
    """
    staging, changes = root / FOLDER, list(names)
    staged = [name for name in changes if (staging / name).is_file()]
    record = {"version": 1, "replace": staged, "remove": sorted(set(changes) - set(staged))}
    try:
        for name in staged:
            _sync_file(staging / name)
        for folder in _folders(staging, staged):
            _sync_folder(folder)
        part = staging / f"{_RECORD}.part"
        part.write_text(json.dumps(record), encoding="utf-8")
        _sync_file(part)
        _sync_folder(staging)
        os.replace(part, staging / _RECORD)
    except OSError as error:
        raise _unwritten(root, error) from error
    _sync_folder(staging)
    _carry_out(root)


def settle(root: Path) -> None:
    """Finish what a writer that has ended had decided on, and drop what one had not.

    Costs nothing where nobody was interrupted, and needs no right to write then.

    Raises
    ------
    StorageError
        It must be finished and cannot be written.
    """
    if not (root / FOLDER).is_dir():
        return
    if (root / FOLDER / _RECORD).is_file():
        with _held(root):
            _settle(root)
        return
    # Nothing is decided: what is there counts. Whoever stages it still lives, or it is dropped.
    with suppress(StorageError), _held(root, patience=0):
        _settle(root)


def _settle(root: Path) -> None:
    staging = root / FOLDER
    if (staging / _RECORD).is_file():
        _carry_out(root)
    if staging.is_dir():
        shutil.rmtree(staging, ignore_errors=True)


def _carry_out(root: Path) -> None:
    staging = root / FOLDER
    record = _read(staging / _RECORD)
    try:
        for name in record["replace"]:
            if (staging / name).is_file():  # else it was renamed before the interruption
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(staging / name, root / name)
        for name in record["remove"]:
            (root / name).unlink(missing_ok=True)
        for folder in _folders(root, [*record["replace"], *record["remove"]]):
            if folder.is_dir():
                _sync_folder(folder)
        os.unlink(staging / _RECORD)
    except OSError as error:
        raise StorageError(
            f"{str(root)!r} is written only in part ({error.strerror or error}): make it writable; "
            "the rest is done when it is next opened here."
        ) from error


def _read(path: Path) -> dict[str, list[str]]:
    """A record, whose names must stay inside: a store may come from anywhere."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        record = {key: [str(name) for name in found[key]] for key in ("replace", "remove")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{str(path)!r}, which says how an interrupted change is to be finished, is damaged: "
            f"restore {path.parent.parent.name!r} from a copy."
        ) from error
    for name in (*record["replace"], *record["remove"]):
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts or "\\" in name or ":" in name:
            raise StorageError(f"{str(path)!r} names a file outside its folder: delete it.")
    return record


def _folders(root: Path, names: Iterable[str]) -> list[Path]:
    """Folders of files, and those above up to the root, the deepest first."""
    found = {root}
    for name in names:
        folder = (root / name).parent
        while folder not in found:
            found.add(folder)
            folder = folder.parent
    return sorted(found, key=lambda folder: -len(folder.parts))


@contextmanager
def _held(root: Path, patience: float = _PATIENCE) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(root / _LOCK, timeout=patience, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise StorageError(
            f"{str(root)!r} is being written by another program: wait until it is done."
        ) from error
    except OSError as error:
        raise _unwritten(root, error) from error
    try:
        yield
    finally:
        lock.release()


def _unwritten(root: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{str(root)!r} cannot be written ({error.strerror or error}): free space or make it "
        "writable; nothing was changed."
    )
