"""Embeddings on disk: one file each, bounded in bytes, shared by any number of processes."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from napari_cellseg.prompts.cache_entry import LARGEST, EntryError, read_entry, write_entry
from napari_cellseg.prompts.cache_key import EmbeddingKey
from napari_cellseg.prompts.cache_packed import Packed

DEFAULT_LIMIT = 10 * 2**30

_ENTRY = re.compile(r"[0-9a-f]{64}\.embedding")
_PART = re.compile(r"\.[0-9a-f]{64}\.[0-9a-f]{16}\.part")
_ABANDONED = 3600.0  # seconds; a write takes a fraction of one
_RECOUNT = 64  # writes after which the folder is read anew, for other processes write there too
_KEPT = 0.9  # of the limit, after making room: else every further write would read the folder
_OPEN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def default_folder() -> Path:
    """Return the user's cache folder for embeddings."""
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("napari-cellseg", appauthor=False)) / "embeddings"


class DiskCache:
    """A folder of entries, each whole or absent; those used longest ago leave first.

    An entry is written under a temporary name, flushed and renamed, so that neither a killed
    process nor a full disk leaves half of one under its name. What cannot be read is no entry.
    When an entry was last used is kept as its modification time, which needs no index that
    processes could disagree about. Nothing here raises for what the disk does: a failing disk
    costs time, never work.

    Parameters
    ----------
    folder : path, optional
        Made when first written to; `default_folder` by default.
    limit : int
        Bytes of all entries; 0 keeps nothing on disk and reads nothing.
    notice : callable, optional
        Told once, in one sentence, of each way in which the folder fails.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        limit: int = DEFAULT_LIMIT,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        self.folder = default_folder() if folder is None else Path(folder)
        self._limit = limit
        self._notice = notice
        self._told: set[int | None] = set()
        self._lock = threading.Lock()
        self._held: int | None = None  # bytes of all entries, as far as this process knows
        self._since = 0  # writes since they were counted

    @property
    def limit(self) -> int:
        """Most bytes that all entries may hold together."""
        return self._limit

    @property
    def nbytes(self) -> int:
        """Bytes of all entries, counted now."""
        return sum(size for _, size, _ in self._entries())

    def __len__(self) -> int:
        return len(self._entries())

    def path(self, key: EmbeddingKey) -> Path:
        """Return where a key's entry lies, if there is one."""
        return self.folder / f"{key.digest}.embedding"

    def __contains__(self, key: EmbeddingKey) -> bool:
        """Whether there is a file for the key; only `read` knows whether it is of use."""
        return self._limit > 0 and os.path.isfile(self.path(key))  # never raises, unlike Path's

    def read(self, key: EmbeddingKey) -> Packed | None:
        """Return the entry, now the most recently used one, or None if there is none of use."""
        if self._limit <= 0:
            return None
        path = self.path(key)
        try:
            data = _read_all(path)
        except OSError:  # no file, no folder, no permission: for a reader all the same
            return None
        try:
            packed = read_entry(data, key)
        except EntryError:
            _remove(path)  # else every later look would read it again
            return None
        with suppress(OSError):  # a folder that we may only read
            os.utime(path)
        return packed

    def write(self, key: EmbeddingKey, packed: Packed) -> bool:
        """Keep an entry, replacing what may be there; return whether it is on disk now."""
        if self._limit <= 0:
            return False
        try:
            pieces = write_entry(key, packed)
        except EntryError as error:
            self._tell(None, f"Embeddings by {key.family} are kept in memory only: {error}.")
            return False
        size = sum(map(len, pieces))
        if size > self._limit:
            return False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room(size)
            self._place(self.path(key), pieces)
        except OSError as error:
            self._tell(
                error.errno,
                f"Embeddings are kept in memory only: {str(self.folder)!r} cannot be written "
                f"({error.strerror or error}); {_advice(error)}.",
            )
            return False
        with self._lock:
            self._since += 1
            if self._held is not None:
                self._held += size
        return True

    def resize(self, limit: int) -> None:
        """Change the limit (bytes) and remove what no longer fits."""
        self._limit = limit
        with self._lock:
            self._held = None
        self._make_room(0)

    def clear(self) -> None:
        """Remove all entries, and what killed processes left; other files stay."""
        for _, _, path in self._entries():
            _remove(path)
        self._sweep()
        with self._lock:
            self._held = None

    def _entries(self) -> list[tuple[int, int, Path]]:
        """List (time of last use in ns, bytes, path) of every entry, oldest use first."""
        found = []
        with suppress(OSError), os.scandir(self.folder) as files:
            for file in files:
                with suppress(OSError):  # another process may have removed it
                    if _ENTRY.fullmatch(file.name) and file.is_file(follow_symlinks=False):
                        facts = file.stat(follow_symlinks=False)
                        found.append((facts.st_mtime_ns, facts.st_size, Path(file.path)))
        return sorted(found)

    def _make_room(self, size: int) -> None:
        """Remove the entries used longest ago until `size` more bytes fit."""
        with self._lock:
            known, recent = self._held, self._since < _RECOUNT
            if known is not None and recent and known + size <= self._limit:
                return
            self._sweep()
            entries = self._entries()
            held = sum(number for _, number, _ in entries)
            if held + size > self._limit:
                room = max(int(self._limit * _KEPT) - size, 0)
                for _, number, path in entries:
                    if held <= room:
                        break
                    if _remove(path):
                        held -= number
            self._held, self._since = held, 0

    def _sweep(self) -> None:
        """Remove temporary files so old that no living process can be writing them."""
        with suppress(OSError), os.scandir(self.folder) as files:
            for file in files:
                if _PART.fullmatch(file.name):
                    with suppress(OSError):
                        age = time.time() - file.stat(follow_symlinks=False).st_mtime
                        if age > _ABANDONED:
                            _remove(Path(file.path))

    def _place(self, path: Path, pieces: Sequence[bytes]) -> None:
        temporary = path.with_name(f".{path.stem}.{secrets.token_hex(8)}.part")
        try:
            descriptor = os.open(temporary, _CREATE, 0o666)
            try:
                for piece in pieces:
                    _write_all(descriptor, piece)
                # The rename may reach the disk first, and a name for nothing would be the result.
                # The folder itself is not flushed: to lose an entry is only to encode again.
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(temporary, path)
        except BaseException:
            _remove(temporary)
            raise

    def _tell(self, cause: int | None, sentence: str) -> None:
        with self._lock:
            if cause in self._told:
                return
            self._told.add(cause)
        if self._notice is not None:
            self._notice(sentence)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _read_all(path: Path) -> bytearray:
    """Read a file at once; anything else that lies there is an error and cannot make us wait."""
    descriptor = os.open(path, _OPEN)
    with open(descriptor, "rb", buffering=0) as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST:
            raise OSError(errno.EINVAL, "not an entry")
        data = bytearray(facts.st_size)
        rest = memoryview(data)
        while rest and (count := file.readinto(rest)):
            rest = rest[count:]
    return data


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return True  # another process was faster
    except OSError:
        return False  # a folder that we may only read, or a file in use on Windows
    return True


def _advice(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return "free space there"
    return "choose another folder in the preferences"
