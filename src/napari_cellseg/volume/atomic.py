"""Write beside the target, then rename: a file or folder appears whole or not at all."""

from __future__ import annotations

import ctypes
import glob
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_cellseg.errors import StorageError

_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
_ABANDONED = 86_400  # seconds


@contextmanager
def replacing(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary sibling of `path` that takes its place when the block succeeds.

    Parameters
    ----------
    path : Path
        File or folder to be written; its parent must exist.
    overwrite : bool
        Whether something at `path` may be replaced.

    Yields
    ------
    Path
        A name that does not exist yet: create a file or a folder there.

    Raises
    ------
    StorageError
        If `path` exists and may not be replaced, or something cannot be written. Then, and after
        any exception in the block, nothing is left behind and what was at `path` is untouched.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        if not path.parent.is_dir():
            raise StorageError(f"{str(path)!r} cannot be written: its folder does not exist.")
        _check_free(path, overwrite)
        _clear_abandoned(path)
        yield temporary
        _sync(temporary)
        _check_free(path, overwrite)
        _take_place(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise StorageError(
            f"{str(path)!r} cannot be written ({error.strerror or error}): free space or choose "
            "another place; nothing was changed."
        ) from error
    finally:
        _remove(temporary)


def _check_free(path: Path, overwrite: bool) -> None:
    if not overwrite and os.path.lexists(path):
        raise StorageError(f"{str(path)!r} exists: pass overwrite=True to replace it.")


def _clear_abandoned(path: Path) -> None:
    """Remove what writers of `path` left behind that were killed more than a day ago."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        with suppress(OSError):
            if time.time() - left.lstat().st_mtime > _ABANDONED:
                _remove(left)


def _take_place(temporary: Path, path: Path) -> None:
    if not os.path.lexists(path) or not (path.is_dir() or temporary.is_dir()):
        os.replace(temporary, path)
    elif not _exchange(temporary, path):
        # A folder cannot be renamed over another: for an instant there is neither, and the old
        # one is put back if the new one cannot be named.
        aside = path.with_name(f"{temporary.name}.old")
        os.rename(path, aside)
        try:
            os.rename(temporary, path)
        except BaseException:
            os.rename(aside, path)
            raise
        _remove(aside)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step where the system can (Linux); the old content is then `one`."""
    if sys.platform != "linux":
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:  # a C library without it
        return False
    status = rename(
        _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), ctypes.c_uint(_RENAME_EXCHANGE)
    )
    return bool(status == 0)


def _sync(path: Path) -> None:
    """Flush a file, or every file of a folder, to the disk."""
    if path.is_dir():
        for folder, _, names in os.walk(path):
            for name in names:
                _sync_file(Path(folder, name))
            _sync_folder(Path(folder))
    else:
        _sync_file(path)


def _sync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    if os.name != "posix":  # other systems cannot open folders
        return
    descriptor = os.open(path, os.O_RDONLY)
    # Some network file systems refuse to flush folders; the files themselves are flushed.
    with suppress(OSError):
        os.fsync(descriptor)
    os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        # zarr writes chunks at the same time: after one has failed, others still land for a
        # moment and make the folder anew, so it is removed until it stays away
        absent, until = 0, time.monotonic() + 5
        while absent < 4 and time.monotonic() < until:
            shutil.rmtree(path, ignore_errors=True)
            time.sleep(0.05)
            absent = 0 if path.exists() else absent + 1
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
