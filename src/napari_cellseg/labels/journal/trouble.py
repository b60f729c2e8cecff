"""What keeps a journal from saving, in one sentence that says what to do."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from napari_cellseg.errors import StorageError
from napari_cellseg.labels.journal.disk import free_bytes

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


def told(error: Exception, folder: Path) -> StorageError:
    """Return the error that the user sees for what went wrong while saving.

    Parameters
    ----------
    error : Exception
        What the system said.
    folder : Path
        The journal's folder.
    """
    if isinstance(error, StorageError):
        return error
    number = error.errno if isinstance(error, OSError) else None
    code = getattr(error, "sqlite_errorcode", None)
    if not folder.is_dir() or isinstance(error, FileNotFoundError):
        todo = "its folder was moved or removed: put it back"
    elif code == sqlite3.SQLITE_FULL or number in _FULL:
        todo = f"the disk is full{_free(folder)}: free some space"
    elif (code is not None and code & 0xFF == sqlite3.SQLITE_READONLY) or number in _DENIED:
        todo = "writing there is not allowed: give back the right to write"
    elif code == sqlite3.SQLITE_BUSY:
        todo = "another program holds its files: close that program"
    else:
        todo = f"the disk reports “{error}”{_free(folder)}: check it and free some space"
    found = StorageError(
        f"Edits cannot be saved in {folder} at the moment because {todo}; they are kept in memory "
        "and saved as soon as it works."
    )
    found.__cause__ = error
    return found


def _free(folder: Path) -> str:
    free = free_bytes(folder)
    return "" if free is None else f" ({free / 1e6:,.0f} MB free)"
