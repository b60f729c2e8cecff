"""A newer snapshot in a journal's folder, and which of the older ones stay."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from napari_cellseg.errors import StorageError
from napari_cellseg.labels.journal.compact import Replay, Writes
from napari_cellseg.labels.journal.database import Database
from napari_cellseg.labels.journal.snapshot import (
    Snapshot,
    snapshot_path,
    snapshot_paths,
    write_snapshot,
)

_log = logging.getLogger(__name__)


def renew(
    folder: Path,
    database: Database,
    number: int,
    crc: int,
    writes: Writes,
    between: Callable[[], None],
) -> None:
    """Write a snapshot of the records so far, then remove those that are not needed any more.

    The two newest stay, each read back whole, and the first: with it, all records can be replayed
    whatever else is lost.

    Parameters
    ----------
    folder : Path
        The journal's.
    database : Database
        Where the records are.
    number, crc : int
        The record to include, and its CRC.
    writes : callable
        What a record writes.
    between : callable
        Called often; what it raises stops the work, which then leaves nothing.

    Raises
    ------
    StorageError
        No older snapshot could be used.
    OSError, sqlite3.Error
        The disk did not take it.
    """
    # a log that is damaged later must not take records that the snapshot includes
    database.checkpoint()
    source = _write(folder, database, number, crc, writes, between)
    for old, path in snapshot_paths(folder):
        if old not in (0, source, number):
            with contextlib.suppress(OSError):
                path.unlink()


def _write(
    folder: Path,
    database: Database,
    number: int,
    crc: int,
    writes: Writes,
    between: Callable[[], None],
) -> int:
    """Write it from the newest snapshot that is intact; return that one's number."""

    def read(wanted: int) -> bytes:
        found = database.row(wanted)
        if found is None:
            raise StorageError(f"Record {wanted} is missing in {folder}.")
        return found[2]

    path = snapshot_path(folder, number)
    for old, older in snapshot_paths(folder):
        if old >= number:
            continue
        try:
            source = Snapshot(older)
            if source.chain != database.crc(old):
                continue
            block = Replay(source, number, read, writes, between).block
            write_snapshot(path, source.shape, number, crc, block, between, source.voxels)
        except StorageError as error:
            _log.warning("%s", error)
        else:
            return old
    raise StorageError(f"No snapshot in {folder} could be used.")
