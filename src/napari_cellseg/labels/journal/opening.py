"""Opening a journal: what is intact, what is put aside, and whether it may be written."""

from __future__ import annotations

import logging
import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cellseg.errors import StorageError
from napari_cellseg.labels.journal import repair
from napari_cellseg.labels.journal.database import NAME, Complaint, Database
from napari_cellseg.labels.journal.disk import is_network, sync_folder, sync_path
from napari_cellseg.labels.journal.lock import take
from napari_cellseg.labels.journal.survey import Survey, companions, copy_to, survey

if TYPE_CHECKING:
    from filelock import BaseFileLock

_log = logging.getLogger(__name__)


@dataclass
class Opened:
    """A journal's parts.

    Attributes
    ----------
    database, reader : Database
        To write to and to read from; the same where only one connection is possible.
    found : Survey
        What is intact.
    lock : filelock.BaseFileLock, optional
        Held where the journal may be written.
    notices : list of str
        What the user should know.
    cleanup : ExitStack
        To be closed last.
    """

    database: Database
    reader: Database
    found: Survey
    lock: BaseFileLock | None
    notices: list[str] = field(default_factory=list)
    cleanup: ExitStack = field(default_factory=ExitStack)


def connections(folder: Path, network: bool) -> tuple[Database, Database]:
    """Return what writes and what reads, not connected yet."""
    writing = Database(folder / NAME, network=network)
    # the exclusive lock of a network file shuts out a second connection of our own, too
    return writing, writing if network else Database(folder / NAME, read_only=True)


def network_notices(folder: Path, kind: str) -> list[str]:
    """Return what is said about a journal on this kind of file system."""
    if not is_network(kind):
        return []
    return [
        f"{folder} lies on a network file system ({kind}): saving is slower there, and safe only "
        "as long as no other machine opens it; a folder on this machine is better."
    ]


def open_parts(folder: Path, file_system: Callable[[Path], str]) -> Opened:
    """Open the intact part of the journal in a folder.

    Parameters
    ----------
    folder : Path
        Where the journal is.
    file_system : callable
        Says what kind of file system a path lies on.

    Raises
    ------
    StorageError
        There is no journal, or nothing of it can be used; it was left as it is.
    """
    if not folder.is_dir() or not any((folder / n).is_file() for n in (NAME, repair.READY)):
        raise StorageError(f"There is no journal in {folder}; choose a folder that has one.")
    lock, notice = _take(folder)
    try:
        if lock is None:
            opened = _open_to_read(folder, notice)
        else:
            opened = _open_to_write(folder, lock, file_system(folder))
    except BaseException as error:
        if lock is not None:
            lock.release()
        if isinstance(error, (*Complaint, OSError)):
            raise StorageError(
                f"The journal in {folder} cannot be opened ({error}); it was left as it is: check "
                "the disk and the rights, and try again."
            ) from error
        raise
    return opened


def _take(folder: Path) -> tuple[BaseFileLock | None, str]:
    try:
        lock = take(folder)
    except (OSError, NotImplementedError):
        return None, f"{folder} cannot be written, so its journal can only be read."
    if lock is None:
        return None, f"Another process has the journal in {folder} open, so it can only be read."
    if not os.access(folder / NAME, os.W_OK) and (folder / NAME).exists():
        lock.release()
        return None, f"{folder / NAME} cannot be written, so the journal can only be read."
    return lock, ""


def _open_to_write(folder: Path, lock: BaseFileLock, kind: str) -> Opened:
    network = is_network(kind)
    notices = network_notices(folder, kind)
    aside = repair.finish(folder)
    repair.clean(folder)
    database, reader = connections(folder, network)
    try:
        # what a killed process wrote may be in memory only; it is shown as saved from here on.
        # Done before connecting: closing a file gives up the locks that SQLite has on it
        for path in companions(folder):
            if not path.name.endswith("-shm"):
                sync_path(path)
        sync_folder(folder)
        source, found = _best(folder, reader)
        if found.damaged:
            reader.close()
            aside = repair.repair(folder, source, found)
        if found.strange:
            aside = aside or repair.new_aside(folder)
            repair.move_aside(found.strange, aside)
    except BaseException:
        reader.close()
        raise
    if aside is not None:
        notices.append(
            f"The journal in {folder} was damaged: the {found.last} records that are intact were "
            f"kept, and the damaged files were moved to {aside.name} in it."
        )
    return Opened(database, reader, found, lock, notices)


def _best(folder: Path, reader: Database) -> tuple[Database, Survey]:
    """Survey the database with its log, or without where more can be read then.

    Where a log is damaged in a part that was moved into the file already, its intact beginning
    lays old pages over newer ones.
    """
    found: Survey | None = None
    problem: StorageError | None = None
    try:
        found = survey(reader, folder)
    except StorageError as error:
        problem = error
    log = folder / f"{NAME}-wal"
    if log.is_file() and log.stat().st_size:
        alone = Database(folder / NAME, alone=True)
        try:
            if found is None or alone.last() > found.last:
                other = survey(alone, folder)
                if found is None or other.last > found.last:
                    other.damaged = True
                    return alone, other
        except (StorageError, *Complaint) as error:
            _log.info("the database without its log cannot be used: %s", error)
        alone.close()
    if found is None:
        assert problem is not None
        raise problem
    return reader, found


def _open_to_read(folder: Path, notice: str) -> Opened:
    reader = Database(folder / NAME, read_only=True)
    cleanup = ExitStack()
    try:
        found = survey(reader, folder, thorough=False)
    except (sqlite3.OperationalError, OSError):
        # SQLite needs to write beside its file, or the other process has it for itself
        reader.close()
        place = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="cellseg-journal-"))
        try:
            copy_to(folder, Path(place))
            reader = Database(Path(place) / NAME)
            found = survey(reader, folder, thorough=False)
        except BaseException:
            reader.close()
            cleanup.close()
            raise
    except BaseException:
        reader.close()
        raise
    notices = [notice]
    if found.damaged:
        notices.append(
            f"The journal in {folder} is damaged: the {found.last} records before the damage are "
            "shown."
        )
    return Opened(reader, reader, found, None, notices, cleanup)
