"""One process at a time writes a journal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock


def take(folder: Path) -> BaseFileLock | None:
    """Take the folder's lock, which the system gives back when the process ends in any way.

    Parameters
    ----------
    folder : Path
        The journal's.

    Returns
    -------
    filelock.BaseFileLock or None
        Held; None where another process (or another journal in this one) holds it.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / "lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock
