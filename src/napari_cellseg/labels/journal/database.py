"""The records of a journal in SQLite: one file, one transaction per group, a chain of CRCs."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

NAME = "journal.sqlite"
#: What SQLite may keep beside its file.
BESIDE = ("-wal", "-shm", "-journal")
APPLICATION = 0x4E43534A
VERSION = 1

_SCHEMA = (
    "CREATE TABLE record (number INTEGER PRIMARY KEY, at INTEGER, payload BLOB, crc INTEGER)",
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB, crc INTEGER) WITHOUT ROWID",
    f"PRAGMA application_id={APPLICATION}",
    f"PRAGMA user_version={VERSION}",
)
_NUMBER = struct.Struct("<QI")
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_TOOBIG}

#: number, microseconds since 1970 (UTC), payload, CRC of the chain.
Row = tuple[int, int, bytes, int]


def link(number: int, payload: bytes, previous: int) -> int:
    """Return the CRC-32 of a record, which also depends on every record before it."""
    return zlib.crc32(payload, zlib.crc32(_NUMBER.pack(number, previous)))


#: What Python raises for SQLite's complaints; one that quotes garbled text cannot be decoded.
Complaint = (sqlite3.Error, UnicodeDecodeError)


def is_damage(error: Exception) -> bool:
    """Whether SQLite complains about what is in the file, not about reaching it."""
    if isinstance(error, UnicodeDecodeError):
        return True
    code = getattr(error, "sqlite_errorcode", None)  # absent where Python could not decode text
    return isinstance(error, sqlite3.DatabaseError) and (code is None or code & 0xFF in _DAMAGED)


class Database:
    """One connection to a journal's file, usable from any thread, one at a time.

    Parameters
    ----------
    path : Path
        The file; connecting never creates it.
    read_only : bool
        Nothing is written, not even when the connection is closed.
    network : bool
        The file lies on a network file system: no shared memory, no write-ahead log.
    alone : bool
        The file is read without its log, as the last checkpoint left it.
    """

    def __init__(
        self, path: Path, *, read_only: bool = False, network: bool = False, alone: bool = False
    ) -> None:
        self.path = path
        self.read_only = read_only or alone
        self.network = network
        self.alone = alone
        self._logged = False
        self.lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    def connect(self) -> sqlite3.Connection:
        """Return the connection, opened where there is none."""
        with self.lock:
            if self._connection is None:
                mode = "ro" if self.read_only else "rw"
                if self.alone:
                    mode += "&immutable=1"
                connection = sqlite3.connect(
                    f"{self.path.resolve().as_uri()}?mode={mode}",
                    uri=True,
                    isolation_level=None,  # transactions are begun and ended here, by hand
                    check_same_thread=False,
                    timeout=1.0 if self.read_only else 5.0,
                )
                try:
                    self._configure(connection)
                    self._identity = _identity(self.path)
                except BaseException:
                    connection.close()
                    raise
                self._connection = connection
            return self._connection

    def _configure(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA trusted_schema=OFF")
        if self.read_only:
            connection.execute("PRAGMA query_only=ON")
            return
        connection.execute("PRAGMA fullfsync=ON")
        connection.execute("PRAGMA checkpoint_fullfsync=ON")
        if self.network:
            # without shared memory; set before the first access, or SQLite would map it
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("PRAGMA journal_mode=TRUNCATE").fetchone()
            connection.execute("PRAGMA synchronous=EXTRA")
        else:
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            # where a file system cannot do WAL, the removal of the journal must reach it, too
            self._logged = mode == "wal"
            connection.execute(f"PRAGMA synchronous={'FULL' if self._logged else 'EXTRA'}")
            connection.execute("PRAGMA journal_size_limit=16777216")

    def close(self) -> None:
        """Close the connection; a later call opens another."""
        with self.lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def in_place(self) -> None:
        """Raise FileNotFoundError where the file is no longer where it was when connecting.

        SQLite goes on writing into a file that was deleted or moved, and says nothing.
        """
        if _identity(self.path) != self._identity:
            raise FileNotFoundError(f"{self.path} was replaced")
        if self._logged:
            os.stat(f"{self.path}-wal")

    def add(self, rows: Iterable[Row], meta: Mapping[str, Any]) -> None:
        """Write records and facts in one transaction; the disk has them when this returns."""
        with self.lock:
            connection = self.connect()
            connection.execute("BEGIN IMMEDIATE")
            try:
                _insert(connection, rows, meta)
                connection.execute("COMMIT")
            except BaseException:
                # SQLite has often rolled back by itself, and then says that there is nothing to do
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
            self.in_place()

    def checkpoint(self) -> None:
        """Move what is in the write-ahead log into the file itself, and that to the disk."""
        if not self.network:
            with self.lock:
                self.connect().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def sound(self) -> bool:
        """Whether the structure of the file is as SQLite left it (reads the whole file)."""
        with self.lock:
            try:
                found = self.connect().execute("PRAGMA quick_check(1)").fetchone()
            except Complaint as error:
                if is_damage(error):
                    return False
                raise
            return bool(found and found[0] == "ok")

    def numbers(self) -> tuple[int, int]:
        """Return application id and version, which say what the file is."""
        with self.lock:
            connection = self.connect()
            application = connection.execute("PRAGMA application_id").fetchone()
            version = connection.execute("PRAGMA user_version").fetchone()
            return int(application[0]), int(version[0])

    def row(self, number: int) -> Row | None:
        """Return one record, unchecked."""
        with self.lock:
            found = self.connect().execute(
                "SELECT number, at, payload, crc FROM record WHERE number = ?", (number,)
            )
            row: Row | None = found.fetchone()
            return row

    def crc(self, number: int) -> int | None:
        """Return the CRC of a record (0 before the first); None where there is no such record."""
        if number == 0:
            return 0
        with self.lock:
            found = self.connect().execute("SELECT crc FROM record WHERE number = ?", (number,))
            return next((crc for (crc,) in found), None)

    def last(self) -> int:
        """Return the number of the last record; 0 where there is none."""
        with self.lock:
            found = self.connect().execute("SELECT max(number) FROM record").fetchone()
            return int(found[0] or 0)

    def size_after(self, number: int, last: int) -> int:
        """Bytes of the payloads after a record up to another."""
        with self.lock:
            found = self.connect().execute(
                "SELECT total(length(payload)) FROM record WHERE number > ? AND number <= ?",
                (number, last),
            )
            return int(found.fetchone()[0])

    def rows(self) -> Iterator[Row]:
        """Yield all records in order, unchecked, as they lie in the file."""
        cursor = self.connect().execute(
            "SELECT number, at, payload, crc FROM record ORDER BY number"
        )
        with contextlib.closing(cursor):
            yield from cursor

    def meta(self) -> tuple[dict[str, Any], int]:
        """Return the facts that are intact, and how many are not."""
        facts: dict[str, Any] = {}
        lost = 0
        with self.lock:
            try:
                for key, value, crc in self.connect().execute("SELECT key, value, crc FROM meta"):
                    if isinstance(value, bytes) and _meta_crc(key, value) == crc:
                        facts[key] = json.loads(value)
                    else:
                        lost += 1
            except Complaint as error:
                if not is_damage(error):
                    raise
                lost += 1
        return facts, lost


def build(path: Path, rows: Iterable[Row], meta: Mapping[str, Any]) -> None:
    """Create a database with records and facts; the disk has it, but perhaps not its name.

    Parameters
    ----------
    path : Path
        A file that does not exist.
    rows, meta
        What it holds from the start.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA fullfsync=ON")
        connection.execute("PRAGMA synchronous=EXTRA")
        connection.execute("BEGIN")
        for statement in _SCHEMA:
            connection.execute(statement)
        _insert(connection, rows, meta)
        connection.execute("COMMIT")
    finally:
        connection.close()


def _insert(connection: sqlite3.Connection, rows: Iterable[Row], meta: Mapping[str, Any]) -> None:
    connection.executemany("INSERT INTO record VALUES (?, ?, ?, ?)", rows)
    for key, fact in meta.items():
        value = json.dumps(fact).encode()
        connection.execute(
            "INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", (key, value, _meta_crc(key, value))
        )


def _meta_crc(key: object, value: bytes) -> int:
    return zlib.crc32(value, zlib.crc32(str(key).encode("utf-8", "replace")))


def _identity(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino
