"""What a journal is about, without opening it for good."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_cellseg.labels.journal.database import NAME, Complaint, Database
from napari_cellseg.labels.journal.lock import take


@dataclass(frozen=True)
class Glance:
    """A journal at a glance.

    Attributes
    ----------
    meta : dict
    last : int
        Number of the last record.
    when : datetime or None
        When that was written, in UTC.
    in_use : bool
        Whether it is open, in this or another process.
    """

    meta: dict[str, Any]
    last: int
    when: datetime | None
    in_use: bool


def glance(folder: Path) -> Glance | None:
    """Look at the journal in a folder; nothing is checked, and nothing is changed.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    Glance or None
        None where there is no journal, or none that can be read.
    """
    if not (folder / NAME).is_file():
        return None
    database = Database(folder / NAME, read_only=True)
    try:
        meta, _ = database.meta()
        last = database.last()
        row = database.row(last) if last else None
    except (*Complaint, OSError):
        return None
    finally:
        database.close()
    when = None if row is None else datetime.fromtimestamp(row[1] / 1e6, UTC)
    return Glance(meta, last, when, _in_use(folder))


def _in_use(folder: Path) -> bool:
    try:
        lock = take(folder)
    except (OSError, NotImplementedError):
        return False  # nobody can write here
    if lock is None:
        return True
    lock.release()
    return False
