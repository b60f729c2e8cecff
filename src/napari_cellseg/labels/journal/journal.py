"""The journal: records in order, snapshots that they build on, and what of it is saved."""

from __future__ import annotations

import json
import os
import sqlite3
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from psygnal import SignalInstance

from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.labels.journal import disk, repair
from napari_cellseg.labels.journal.compact import Writes
from napari_cellseg.labels.journal.database import NAME, Complaint, build, is_damage, link
from napari_cellseg.labels.journal.lock import take
from napari_cellseg.labels.journal.opening import connections, network_notices, open_parts
from napari_cellseg.labels.journal.saved import Saved
from napari_cellseg.labels.journal.snapshot import BLOCK, Labels, Slices, Snapshot, snapshot_paths
from napari_cellseg.labels.journal.writer import Writer

#: A new snapshot is made behind so many records, or so many bytes of them.
RECORDS, SIZE = 2000, 64 * 1024 * 1024


class Journal:
    """Records of what was done to labels, in a folder that survives a kill at any instant.

    Use `create` or `open`. A record counts as saved once it, every record before it and a
    snapshot to replay them onto are on the disk itself. All methods may be called from any
    thread; signals are emitted from the journal's own thread.
    """

    def __init__(self, folder: Path, writer: Writer, notices: list[str], cleanup: ExitStack):
        self.folder = folder
        self._writer = writer
        self._notices = notices
        self._cleanup = cleanup
        # the thread must not keep the journal alive, nor a forgotten journal the interpreter
        finalizer = weakref.finalize(self, _forget, writer, cleanup)
        finalizer.atexit = False

    @classmethod
    def create(
        cls,
        folder: Path,
        shape: tuple[int, ...],
        read_block: Callable[[Slices], Labels],
        meta: dict[str, Any],
        *,
        writes: Writes | None = None,
        records: int = RECORDS,
        size: int = SIZE,
        block: int = BLOCK,
        file_system: Callable[[Path], str] = disk.file_system,
    ) -> Journal:
        """Begin a journal; its first snapshot is written in the background.

        Parameters
        ----------
        folder : Path
            Created where it does not exist; other files in it are left alone.
        shape : tuple of int
            Shape of the labels, over all axes.
        read_block : callable
            Gives the labels of a box as they are before the first record, uint32, a copy. It is
            called from the journal's thread until `saved` says that the journal is saved.
        meta : dict
            Facts that JSON can hold.
        writes : callable, optional
            ``writes(payload, read)`` yields what a record writes, as (region, mask, values);
            default `napari_cellseg.labels.replay.writes`. Snapshots are made with it.
        records, size : int
            Records, and bytes of them, behind the newest snapshot that make the next one due.
        block : int
            Voxels of a snapshot that are in memory at a time.
        file_system : callable
            Says what kind of file system a path lies on.

        Raises
        ------
        InputError
            JSON cannot hold the facts.
        StorageError
            The folder has a journal, or cannot be written; nothing is left behind.
        """
        folder = Path(folder)
        facts = {key: _fact(key, value) for key, value in meta.items()}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = take(folder)
        except (OSError, NotImplementedError) as error:
            raise StorageError(
                f"The folder {folder} cannot be written ({error}); choose another one for edits."
            ) from error
        try:
            if lock is None or any((folder / n).exists() for n in (NAME, repair.READY)):
                raise StorageError(
                    f"There is a journal in {folder} already; open it, or choose another folder."
                )
            building = folder / repair.BUILDING
            try:
                repair.clean(folder)
                build(building, (), facts)
                disk.sync_path(building)
                os.replace(building, folder / NAME)
                disk.sync_folder(folder)
                disk.sync_folder(folder.parent)
                kind = file_system(folder)
            except (OSError, sqlite3.Error) as error:
                building.unlink(missing_ok=True)
                raise StorageError(
                    f"No journal could be written in {folder} ({error}); free some space there or "
                    "choose another folder."
                ) from error
        except BaseException:
            if lock is not None:
                lock.release()
            raise
        database, reader = connections(folder, disk.is_network(kind))
        writer = Writer(
            folder,
            database,
            reader,
            last=0,
            crc=0,
            meta=facts,
            writes=writes or _replay_writes,
            limits=(records, size),
            snapshot=None,
            first=(tuple(int(n) for n in shape), read_block),
            lock=lock,
            voxels=block,
        )
        journal = cls(folder, writer, network_notices(folder, kind), ExitStack())
        writer.start()
        return journal

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        writes: Writes | None = None,
        records: int = RECORDS,
        size: int = SIZE,
        file_system: Callable[[Path], str] = disk.file_system,
    ) -> Journal:
        """Open a journal with all that is intact of it, up to the first damage.

        What lies behind damage is never replayed: the damaged files are moved into a folder
        ``damaged-1`` (…) in the journal's, and `notices` says so. Where another process has the
        journal, or the folder cannot be written, it is opened for reading as it is now.

        Parameters
        ----------
        folder : Path
            Where the journal is.
        writes, records, size, file_system
            As for `create`.

        Raises
        ------
        StorageError
            There is no journal, or nothing of it can be used; it was left as it is.
        """
        folder = Path(folder)
        parts = open_parts(folder, file_system)
        newest = Snapshot(parts.found.snapshots[0]).number
        writer = Writer(
            folder,
            parts.database,
            parts.reader,
            last=parts.found.last,
            crc=parts.found.crc,
            meta=parts.found.meta,
            writes=writes or _replay_writes,
            limits=(records, size),
            snapshot=newest,
            lock=parts.lock,
            voxels=BLOCK,
        )
        return cls(folder, writer, parts.notices, parts.cleanup)

    @property
    def read_only(self) -> bool:
        """Whether nothing can be appended, because another process has the journal."""
        return self._writer.read_only

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know about this journal, one sentence each."""
        return tuple(self._notices)

    @property
    def last(self) -> int:
        """Number of the last record, saved or not; 0 where there is none."""
        return self._writer.last

    @property
    def saved(self) -> Saved:
        """What the disk has."""
        return self._writer.saved

    @property
    def trouble(self) -> SignalInstance:
        """Emits a StorageError when saving does not work, and None when it works again."""
        return self._writer.trouble

    @property
    def meta(self) -> dict[str, Any]:
        """The facts, with those that are still to be saved; a copy."""
        return dict(self._writer.meta)

    def set_meta(self, key: str, value: Any) -> None:
        """Set a fact, outside the order of records.

        Parameters
        ----------
        key : str
            Its name.
        value
            Anything that JSON can hold.

        Raises
        ------
        InputError
            JSON cannot hold it.
        StorageError
            The journal is read only or closed.
        """
        self._writer.set_fact(key, _fact(key, value))

    def append(self, payload: bytes) -> int:
        """Append a record; returns at once, `saved` says when the disk has it.

        Parameters
        ----------
        payload : bytes
            The record.

        Returns
        -------
        int
            Its number: 1, 2, ...

        Raises
        ------
        StorageError
            The journal is read only or closed. Trouble with the disk is told by `trouble`.
        """
        return self._writer.append(bytes(payload))

    def read(self, number: int) -> bytes:
        """Return a record.

        Parameters
        ----------
        number : int
            From 1 to `last`.

        Raises
        ------
        InputError
            There is no record of this number.
        StorageError
            It cannot be read, or is not what was written.
        """
        if not 1 <= number <= self._writer.last:
            raise InputError(f"There is no record {number}; they are 1 to {self._writer.last}.")
        waiting = self._writer.pending(number)
        if waiting is not None:
            return waiting
        self._must_be_open()
        reader = self._writer.reader
        try:
            previous, row = reader.crc(number - 1), reader.row(number)
        except (*Complaint, OSError) as error:
            raise self._unreadable(number, error) from error
        if row is None or previous is None or not isinstance(row[2], bytes):
            raise self._unreadable(number, None)
        if link(number, row[2], previous) != row[3]:
            raise self._unreadable(number, None)
        return row[2]

    def records(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield (number, payload) of the records after a number, up to the last one as of now."""
        for number in range(after + 1, self._writer.last + 1):
            yield number, self.read(number)

    def base(self) -> tuple[Labels, int]:
        """Return the labels of the newest intact snapshot.

        Returns
        -------
        labels : array of uint32
            All axes; C-contiguous, writable.
        number : int
            The record that they include; those after it are to be replayed onto them.

        Raises
        ------
        StorageError
            No snapshot is intact, or the first one is not written yet.
        """
        self._must_be_open()
        for _ in range(2):  # once more, where snapshots were replaced while looking
            for number, path in snapshot_paths(self.folder):
                try:
                    snapshot = Snapshot(path)
                    if number == snapshot.number and self._fits(snapshot):
                        return snapshot.labels(), number
                except FileNotFoundError:
                    continue
                except (StorageError, OSError, *Complaint):
                    notice = f"The snapshot {path.name} is damaged; an older one was used."
                    if notice not in self._notices:
                        self._notices.append(notice)
        raise StorageError(f"No whole snapshot of the labels can be read in {self.folder}.")

    def _fits(self, snapshot: Snapshot) -> bool:
        inside = snapshot.number <= self._writer.last
        return inside and self._writer.reader.crc(snapshot.number) == snapshot.chain

    def close(self, timeout: float | None = None) -> None:
        """Save what waits, and give the journal back for others to open.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait; None waits as long as it takes. Saving goes on behind a timeout.

        Raises
        ------
        StorageError
            Something could not be saved: not in this time, or not at all.
        """
        done = self._writer.close(timeout)
        self._cleanup.close()
        if not done:
            left = self._writer.last - self._writer.durable
            raise StorageError(
                f"The last {left} edits could not be saved in {self.folder} while closing it; free "
                "some space there, and export the labels before leaving."
            )

    def _must_be_open(self) -> None:
        if self._writer.closed:
            raise StorageError(f"The journal in {self.folder} is closed; open it again to read it.")

    def _unreadable(self, number: int, error: Exception | None) -> StorageError:
        damaged = error is None or is_damage(error)
        what = "is damaged" if damaged else f"cannot be read ({error})"
        return StorageError(
            f"Record {number} of the journal in {self.folder} {what}; close and open it again."
        )


def _fact(key: str, value: Any) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False))  # a copy, independent of the given
    except (TypeError, ValueError) as error:
        raise InputError(f"The fact {key!r} cannot be kept as JSON ({error}).") from error


def _replay_writes(payload: bytes, read: Callable[[int], bytes]) -> Iterator[Any]:
    from napari_cellseg.labels.replay import writes

    return writes(payload, read)


def _forget(writer: Writer, cleanup: ExitStack) -> None:
    writer.request_close()
    cleanup.close()
