"""What of a journal's folder is intact."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_cellseg.errors import StorageError
from napari_cellseg.labels.journal.database import (
    APPLICATION,
    BESIDE,
    NAME,
    VERSION,
    Complaint,
    Database,
    Row,
    is_damage,
    link,
)
from napari_cellseg.labels.journal.snapshot import Snapshot, snapshot_paths


@dataclass
class Survey:
    """The intact part of a journal.

    Attributes
    ----------
    last, crc : int
        The last record before the first damage, and its CRC.
    damaged : bool
        Whether something is wrong with the file or behind that record.
    meta : dict
        The facts that are intact.
    snapshots : list of Path
        Whole descriptions that belong to these records, newest first; blocks are not read yet.
    strange : list of Path
        Snapshots that cannot be used.
    """

    last: int = 0
    crc: int = 0
    damaged: bool = False
    meta: dict[str, Any] = field(default_factory=dict)
    snapshots: list[Path] = field(default_factory=list)
    strange: list[Path] = field(default_factory=list)


def intact(database: Database) -> Iterator[Row]:
    """Yield the records up to the first that is missing or damaged."""
    expected, previous = 1, 0
    try:
        for number, at, payload, crc in database.rows():
            whole = isinstance(payload, bytes) and isinstance(at, int)
            if number != expected or not whole or link(number, payload, previous) != crc:
                return
            yield number, at, payload, crc
            expected, previous = number + 1, crc
    except Complaint as error:
        if not is_damage(error):
            raise


def survey(database: Database, folder: Path, *, thorough: bool = True) -> Survey:
    """Read all records once and say what of the journal is intact; nothing is changed.

    Parameters
    ----------
    database : Database
        A connection.
    folder : Path
        Where the snapshots are.
    thorough : bool
        Check the structure of the file, too, so that it can be written on.

    Raises
    ------
    StorageError
        The file is no journal, is a later version's, or nothing in it can be used.
    """
    _must_be_ours(database, folder)
    found = Survey()
    kept: dict[int, int] = {0: 0}
    candidates, found.strange = _candidates(folder)
    wanted = {snapshot.number for snapshot in candidates}
    for number, _, _, crc in intact(database):
        found.last, found.crc = number, crc
        if number in wanted:
            kept[number] = crc
    try:
        found.damaged = database.last() != found.last
    except Complaint as error:
        if not is_damage(error):
            raise
        found.damaged = True
    if thorough and not found.damaged:
        found.damaged = not database.sound()
    found.meta, lost = database.meta()
    found.damaged = found.damaged or lost > 0
    for snapshot in candidates:
        fits = kept.get(snapshot.number) == snapshot.chain
        (found.snapshots if fits else found.strange).append(snapshot.path)
    if not found.snapshots:
        raise StorageError(_no_snapshot(folder, found))
    return found


def _must_be_ours(database: Database, folder: Path) -> None:
    try:
        application, version = database.numbers()
    except Complaint as error:
        if is_damage(error):
            raise StorageError(
                f"The journal {folder / NAME} is damaged and cannot be read; it was left as it "
                "is: restore it from a backup, or use the newest base-….labels beside it."
            ) from error
        raise
    if application != APPLICATION:
        raise StorageError(
            f"{folder / NAME} is not a journal of napari-cellseg, or was never finished; choose "
            "another folder."
        )
    if version > VERSION:
        raise StorageError(
            f"The journal in {folder} was made by a newer napari-cellseg; open it with that one."
        )


def _candidates(folder: Path) -> tuple[list[Snapshot], list[Path]]:
    whole, strange = [], []
    for _, path in snapshot_paths(folder):
        try:
            whole.append(Snapshot(path))
        except FileNotFoundError:
            continue  # the process that writes has just replaced it by a newer one
        except StorageError:
            strange.append(path)
    return whole, strange


def _no_snapshot(folder: Path, found: Survey) -> str:
    if found.strange:
        return (
            f"The journal in {folder} is damaged: none of its snapshots fits the "
            f"{found.last} records that can be read; everything was left as it is."
        )
    return (
        f"The journal in {folder} was left before its first snapshot was whole, so nothing in it "
        "had been saved; start again from the original labels."
    )


def copy_to(folder: Path, place: Path) -> None:
    """Copy the database to a place in which SQLite can work; the log first, as it is the newer."""
    for end in ("-wal", "-journal", ""):
        source = folder / f"{NAME}{end}"
        if source.is_file():
            shutil.copyfile(source, place / source.name)


def companions(folder: Path) -> list[Path]:
    """Return the database's files that exist, the main one first."""
    names = (NAME, *(f"{NAME}{end}" for end in BESIDE))
    return [folder / name for name in names if (folder / name).is_file()]
