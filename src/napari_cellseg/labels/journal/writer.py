"""The thread that owns the database: it saves what waits, and says when it cannot."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import Signal

from napari_cellseg.errors import StorageError
from napari_cellseg.labels.journal.compact import Writes
from napari_cellseg.labels.journal.database import Database, Row, link
from napari_cellseg.labels.journal.leaving import running
from napari_cellseg.labels.journal.renew import renew
from napari_cellseg.labels.journal.saved import Saved
from napari_cellseg.labels.journal.snapshot import Labels, Slices, snapshot_path, write_snapshot
from napari_cellseg.labels.journal.trouble import told

if TYPE_CHECKING:
    from filelock import BaseFileLock

_log = logging.getLogger(__name__)

#: Seconds between attempts to save while it does not work: first, and at most.
PAUSE, LONGEST_PAUSE = 0.25, 5.0


class _Abandoned(Exception):  # noqa: N818 - not a fault: the journal is being closed
    """A new snapshot is not worth waiting for."""


class _Unsaved(Exception):  # noqa: N818 - carries the fault as its cause
    """Records could not be saved while a snapshot was being written."""


def now() -> datetime:
    """Return the time, for people only; the order of records is that of their numbers."""
    return datetime.now(UTC)


class Writer:
    """Queue, thread and database of one journal.

    Parameters
    ----------
    folder : Path
        The journal's.
    database, reader : Database
        What is written to, and what other threads read from (may be the same).
    last, crc : int
        The last record in the database and its CRC.
    meta : dict
        The facts in the database.
    writes : callable
        What a record writes.
    limits : (int, int)
        Records, and bytes of them, behind a snapshot that make the next one due.
    snapshot : int, optional
        Number of the newest snapshot; None where the first is still to be written.
    first : (shape, read_block), optional
        What the first snapshot is made of.
    lock : filelock.BaseFileLock, optional
        Held while the journal is open; None where it is only read.
    voxels : int
        Largest block of the first snapshot.
    """

    trouble: ClassVar[Signal] = Signal(object)

    def __init__(
        self,
        folder: Path,
        database: Database,
        reader: Database,
        *,
        last: int,
        crc: int,
        meta: dict[str, Any],
        writes: Writes,
        limits: tuple[int, int],
        snapshot: int | None,
        first: tuple[tuple[int, ...], Callable[[Slices], Labels]] | None = None,
        lock: BaseFileLock | None = None,
        voxels: int,
    ) -> None:
        self.folder = folder
        self.saved = Saved(self)
        self.when: datetime | None = None
        self.last = last
        self.meta = meta
        self.reader = reader
        self._database = database
        self._writes = writes
        self._limits = limits
        self._voxels = voxels
        self._first = first
        self._lock = lock
        self._state = threading.Condition()  # over a reentrant lock: finalizers may run inside
        self._pending: dict[int, tuple[int, bytes]] = {}
        self._facts: dict[str, Any] = {}
        self._asked = self._kept = 0  # how many facts were set, and how many the disk has
        self._committed, self._crc = last, crc
        self._snapshot = snapshot
        self._behind = 0 if snapshot is None else reader.size_after(snapshot, last)
        self._compact_from = 0
        self._attempt = self._failed = 0
        self._kicked = self._closing = self._stopped = False
        self._problem: StorageError | None = None
        self._thread: threading.Thread | None = None
        self.process = os.getpid()

    # what other threads call

    @property
    def read_only(self) -> bool:
        """Whether nothing can be appended."""
        return self._lock is None

    @property
    def closed(self) -> bool:
        """Whether the journal was closed."""
        return self._closing

    @property
    def durable(self) -> int:
        """The last record that the disk has, with all that it builds on."""
        return 0 if self._snapshot is None else self._committed

    @property
    def all_durable(self) -> bool:
        """Whether nothing waits to be saved."""
        with self._state:
            return self._reached(self.last, self._asked)

    def start(self) -> None:
        """Start the thread where it does not run."""
        with self._state:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="cellseg-journal", daemon=True
                )
                running.add(self)
                self._thread.start()

    def append(self, payload: bytes) -> int:
        """Queue a record and return its number."""
        with self._state:
            self._must_be_open()
            self.last += 1
            self._pending[self.last] = (int(now().timestamp() * 1e6), payload)
            self._wake()
            return self.last

    def set_fact(self, key: str, value: Any) -> None:
        """Queue a fact."""
        with self._state:
            self._must_be_open()
            self.meta[key] = value
            self._facts[key] = value
            self._asked += 1
            self._wake()

    def pending(self, number: int) -> bytes | None:
        """Return the payload of a record that is not in the database yet."""
        with self._state:
            found = self._pending.get(number)
        return None if found is None else found[1]

    def wait(self, timeout: float | None) -> bool:
        """Wait until what was queued before is durable; see `Saved.wait`."""
        with self._state:
            last, asked, begun = self.last, self._asked, self._attempt
            self._kicked = True
            self._state.notify_all()
            self._state.wait_for(
                lambda: self._reached(last, asked) or self._stopped or self._failed > begun,
                timeout,
            )
            return self._reached(last, asked)

    def request_close(self) -> None:
        """Let the thread save what waits and end; do not wait for it."""
        with self._state:
            self._closing = True
            self._state.notify_all()
            if self._thread is None and not self._stopped:
                self._finish()

    def close(self, timeout: float | None) -> bool:
        """Save what waits and end; return whether the disk has everything."""
        self.request_close()
        if self._thread is not None:
            self._thread.join(timeout)
        return self.all_durable

    def _must_be_open(self) -> None:
        if self._closing:
            raise StorageError(f"The journal in {self.folder} is closed; open it again to edit.")
        if self.read_only:
            raise StorageError(
                f"The journal in {self.folder} is open for reading only, because another process "
                "has it open or the folder cannot be written; edit there, or close it there first."
            )

    def _wake(self) -> None:
        self._kicked = True
        self.start()
        self._state.notify_all()

    def _reached(self, last: int, asked: int) -> bool:
        return self._snapshot is not None and self._committed >= last and self._kept >= asked

    # the thread

    def _run(self) -> None:
        pause = PAUSE
        while True:
            with self._state:
                self._state.wait_for(lambda: self._work() or self._closing)
                if not self._work():
                    break
                self._attempt += 1
                self._kicked = False
                final = self._closing
            try:
                self._save()
            except _Abandoned:
                continue
            except Exception as error:  # the thread must live: what waits is only in memory
                cause = error.__cause__ if isinstance(error, _Unsaved) else error
                self._fail(cause if isinstance(cause, Exception) else error)
                if final:
                    break
                with self._state:
                    self._state.wait_for(lambda: self._kicked or self._closing, pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                pause = PAUSE
        self._finish()

    def _work(self) -> bool:
        return bool(self._pending or self._facts) or self._snapshot is None or self._due()

    def _due(self) -> bool:
        if self._closing or self._snapshot is None or self._committed < self._compact_from:
            return False
        records, size = self._limits
        return self._committed - self._snapshot >= records or self._behind >= size

    def _save(self) -> None:
        self._connect()
        self._drain()
        if self._snapshot is None:
            self._write_first()
        self._tell(None)
        if self._due():
            self._compact()

    def _connect(self) -> None:
        """Connect again after trouble, and find out what of the last attempt arrived."""
        if self._database.connected:
            return
        self._database.connect()
        last = self._database.last()
        if last < self._committed or self._database.crc(self._committed) != self._crc:
            raise StorageError(
                f"The journal in {self.folder} was replaced by another one while it was open; put "
                "the right one back: what was edited since is kept in memory."
            )
        arrived = last - self._committed
        if arrived:
            crc = self._crc
            with self._state:
                mine = [self._pending.get(self._committed + 1 + i) for i in range(arrived)]
            for number, record in enumerate(mine, self._committed + 1):
                if record is not None:
                    crc = link(number, record[1], crc)
            if crc != self._database.crc(last):
                raise StorageError(
                    f"Something else wrote into the journal in {self.folder} while it was open; "
                    "close the other program: what was edited since is kept in memory."
                )
            # an fsync that failed may have dropped the log's pages: move them to the file itself
            self._database.checkpoint()
            self._arrived(last, crc, {}, self._kept)

    def _drain(self) -> None:
        """Save everything that waits, in one transaction."""
        with self._state:
            waiting = list(self._pending.items())
            facts, asked = dict(self._facts), self._asked
        if not waiting and not facts:
            return
        rows: list[Row] = []
        crc = self._crc
        for number, (at, payload) in waiting:
            crc = link(number, payload, crc)
            rows.append((number, at, payload, crc))
        self._database.add(rows, facts)
        self._arrived(rows[-1][0] if rows else self._committed, crc, facts, asked)

    def _arrived(self, last: int, crc: int, facts: dict[str, Any], asked: int) -> None:
        with self._state:
            for number in range(self._committed + 1, last + 1):
                self._behind += len(self._pending.pop(number)[1])
            self._committed, self._crc = last, crc
            for key, value in facts.items():
                if self._facts.get(key) is value:  # else it was set again meanwhile
                    del self._facts[key]
            self._kept = asked
        self._say_saved()

    def _between(self) -> None:
        """Save what came in while a snapshot is written; give that up where it may be given up."""
        if self._closing and self._snapshot is not None:
            raise _Abandoned
        if self._pending or self._facts:
            try:
                self._drain()
            except Exception as error:
                raise _Unsaved from error

    def _write_first(self) -> None:
        assert self._first is not None
        shape, read_block = self._first
        path = snapshot_path(self.folder, 0)
        write_snapshot(path, shape, 0, 0, read_block, self._between, self._voxels)
        with self._state:
            self._snapshot = 0
        self._first = None  # the labels need not be kept for it any longer
        self._say_saved()

    def _compact(self) -> None:
        """Make a newer snapshot; without one, everything works, too."""
        number, crc = self._committed, self._crc
        try:
            renew(self.folder, self._database, number, crc, self._writes, self._between)
            behind = self._database.size_after(number, self._committed)
        except (_Abandoned, _Unsaved):
            raise
        except Exception as error:
            self._compact_from = self._committed + max(1, self._limits[0])
            _log.warning("no new snapshot in %s: %s", self.folder, error)
            return
        with self._state:
            self._snapshot, self._behind = number, behind

    # saying so

    def _fail(self, error: Exception) -> None:
        # what the connections hold may be wrong from now on; the next attempt looks again
        self._database.close()
        self.reader.close()
        self._tell(told(error, self.folder))
        with self._state:
            self._failed = self._attempt
            self._state.notify_all()

    def _tell(self, problem: StorageError | None) -> None:
        before, self._problem = self._problem, problem
        if str(before) != str(problem):
            if problem is not None:
                _log.warning("%s", problem)
            _emit(self.trouble.emit, problem)

    def _say_saved(self) -> None:
        with self._state:
            if self._snapshot is not None:
                self.when = now()
            self._state.notify_all()
        _emit(self.saved.changed.emit)

    def _finish(self) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(self._end)
            if self._lock is not None:
                stack.callback(self._lock.release)
            # the one that writes goes last: it then moves the log into the file
            stack.callback(self._database.close)
            stack.callback(self.reader.close)

    def _end(self) -> None:
        with self._state:
            self._stopped = True
            self._state.notify_all()


def _emit(emit: Callable[..., Any], *arguments: Any) -> None:
    """Tell listeners; one that fails must not keep edits from being saved."""
    try:
        emit(*arguments)
    except Exception:
        _log.exception("a listener of the journal failed")
