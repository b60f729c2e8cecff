"""A label document: labels that are edited in steps, and journaled so that nothing is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.labels.accept import accept_labels, axes_of
from napari_cellseg.labels.boxes import touch, write_into
from napari_cellseg.labels.core import LabelCore
from napari_cellseg.labels.edit import Direction, Key, Labels, Slices, Step
from napari_cellseg.labels.packing import Patch, header_of, pack, pack_patches, patches_of
from napari_cellseg.labels.reopening import History, replay, whole
from napari_cellseg.labels.step_record import header_from
from napari_cellseg.labels.table_frame import table_frame
from napari_cellseg.labels.unsaved import Unsaved
from napari_cellseg.labels.verbs import Verbs

if TYPE_CHECKING:
    import pandas as pd

    from napari_cellseg.labels.journal import Journal, Saved

_Follower: TypeAlias = tuple[Labels, list[tuple[Step, Direction]]]
"""An array that is being copied, and the steps made to it since."""

PAYLOADS = 256 * 2**20
"""Memory that steps may take which the journal holds, too."""

PATIENCE = 60.0
"""Seconds to wait for the first snapshot, where what it holds must be known."""

VERSION = 1


class LabelDocument(Verbs, LabelCore):
    """Labels, their objects, every step that was made, and a journal of them.

    Whatever happens to the process or the computer, `open` brings back all that `saved` had shown
    as saved, and the history with it.

    Parameters
    ----------
    labels : array, ([t,] [z,] y, x)
        Whole numbers that are not negative; ids above 2³² - 2 are renumbered, see `original_ids`.
    spacing : sequence of float or None
        (z, y, x) in µm; None: unknown.
    axes : str, optional
        "yx", "zyx", "tyx" or "tzyx"; by the number of axes otherwise.
    copy : bool
        False: an array that can be edited as it is, is edited itself.
    meta : mapping, optional
        What else should be known when it is recovered, ready for JSON: the image's path and name,
        what made the labels ("source").

    Attributes
    ----------
    original_ids : array of uint64 or None
        By id, what it was in the array that was given; None where ids are those.
    folder : Path or None
        Where the journal is.
    problem : StorageError or None
        What keeps the journal from saving now.

    Raises
    ------
    InputError
        Labels that cannot be edited, or axes or spacing that do not fit.

    Examples
    --------
    >>> document = LabelDocument.create(folder, labels, spacing=(2, 0.4, 0.4))
    >>> document.merge([3, 7])
    >>> document.undo()
    >>> document.saved.wait()
    True
    """

    trouble: ClassVar[Signal] = Signal(object)
    """Emitted with the StorageError that keeps the journal from saving, and None once it can."""

    def __init__(
        self,
        labels: Any,
        spacing: Sequence[float] | None = None,
        axes: str | None = None,
        *,
        copy: bool = True,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        array, self.original_ids = accept_labels(labels, copy=copy)
        super().__init__(array, axes_of(array.ndim, axes), _checked_spacing(spacing))
        self.spacing_known = spacing is not None
        self.meta: dict[str, Any] = dict(meta or {})
        self.folder: Path | None = None
        self.notices: tuple[str, ...] = ()
        self._journal: Journal | None = None
        self._unsaved = Unsaved()
        self._copying: list[_Follower] = []
        self._closing = threading.Lock()
        self._quality: pd.DataFrame | None = None
        self._judged: list[Step] = []
        self._held = 0  # bytes of steps in memory, or more
        self.problem: StorageError | None = None
        self._frame: tuple[int, pd.DataFrame] | None = None

    # -- life ------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        folder: str | Path,
        labels: Any,
        spacing: Sequence[float] | None = None,
        axes: str | None = None,
        *,
        copy: bool = True,
        meta: Mapping[str, Any] | None = None,
    ) -> LabelDocument:
        """Begin a journaled document in a new folder; see the class for the other parameters.

        Raises
        ------
        InputError
            Labels that cannot be edited.
        StorageError
            A folder that cannot be written, or that holds a document already.
        """
        document = cls(labels, spacing, axes, copy=copy, meta=meta)
        document.attach(folder)
        return document

    def attach(self, folder: str | Path) -> None:
        """Begin the journal of a document that had none, in a new folder.

        Steps made before are journaled, too, and a stroke in progress goes on. The labels as they
        were before the first step are written in the background; nothing waits for that but
        `saved`.

        Raises
        ------
        StorageError
            As of `create`.
        """
        from napari_cellseg.labels.journal import Journal

        with self._lock:
            if self._journal is not None:
                raise StorageError(f"The document has its journal in {str(self.folder)!r} already.")
            original = None if self.original_ids is None else self.original_ids.tolist()
            meta = {
                **self.meta,
                "version": VERSION,
                "axes": self.axes,
                "spacing": list(self.spacing) if self.spacing_known else None,
                "original_ids": original,
                "marks": self._first_marks,
            }
            journal = Journal.create(Path(folder), self._labels.shape, self._base_block, meta)
            self._connect(journal, Path(folder))
            for step, direction in list(self._log):
                self._append(step, direction)

    @classmethod
    def open(cls, folder: str | Path) -> LabelDocument:
        """Open a document from its folder, after a crash, too.

        Where another process has it open, it is `read_only` here (a sentence that says so).

        Raises
        ------
        StorageError
            No document, or none that can be read.
        """
        from napari_cellseg.labels.journal import Journal

        journal = Journal.open(Path(folder))
        try:
            return cls._opened(journal, Path(folder))
        except BaseException:
            journal.close()
            raise

    @classmethod
    def _opened(cls, journal: Journal, folder: Path) -> LabelDocument:
        meta = dict(journal.meta)
        if meta.pop("version", None) != VERSION:
            raise StorageError(
                f"{str(folder)!r} was made by another version of napari-cellseg: open it with that."
            )
        labels, included = journal.base()
        history = History(meta.pop("marks", []))
        for number, payload in journal.records():
            header, keys = header_of(payload)
            if number > included:
                replay(labels, payload, header, journal.read)
            history.follow(header, keys, number, payload)
        axes, spacing, original = meta.pop("axes"), meta.pop("spacing"), meta.pop("original_ids")
        document = cls(labels, spacing, axes, copy=False, meta=meta)
        document.original_ids = None if original is None else np.array(original, np.uint64)
        document.history, document.undone = history.done, history.undone
        for key, name, value in history.marks():
            document.objects.set_mark(key, name, value)
        document._number = history.number
        known = [key for step in (*history.done, *history.undone) for key in step.keys]
        document.objects.remember(max((label for _, label in known), default=0))
        document._connect(journal, folder)
        if journal.read_only:
            document.read_only = (
                f"{str(folder)!r} is open in another window or program: "
                "close it there to edit it here."
            )
        return document

    def close(self, timeout: float | None = None) -> None:
        """Save what is not saved yet and let go of the folder; the labels can still be read.

        Whoever closes it while somebody else does waits until that is done.
        """
        with self._closing:
            with self._lock:
                journal = self._journal
                if journal is None:
                    return
                if not self.read_only:
                    self.end_stroke()
                self.read_only = self.read_only or "The document is closed: open it again to edit."
            # without that lock: the journal may still have to read what the labels were at first
            self._unsaved.all = journal.read_only or journal.saved.wait(timeout)
            self._journal = None
            journal.trouble.disconnect(self._on_trouble)
            journal.close(timeout)

    @property
    def saved(self) -> Saved | Unsaved:
        """What is durable: ``saved.wait(timeout)``, ``saved.all``, ``saved.when``."""
        return self._unsaved if self._journal is None else self._journal.saved

    # -- what is known ---------------------------------------------------------------------------

    @property
    def table(self) -> pd.DataFrame:
        """One row per object, indexed by ``t`` and ``id``; see `table_frame` for the columns."""
        with self._lock:
            if self._frame is None or self._frame[0] != self._version:
                now = set(self.history).symmetric_difference(self._judged)
                stale = {key for step in now if step.count for key in step.keys}
                self._frame = (self._version, table_frame(self, self._quality, stale))
            return self._frame[1].copy()

    def set_quality(self, quality: pd.DataFrame) -> None:
        """Keep quality numbers of objects beside the table, indexed by ``t`` and ``id``.

        They describe the objects as they are now: the table leaves them out for those that are
        edited later.
        """
        with self._lock:
            self._quality = quality.copy()
            self._judged = list(self.history)
            self._frame = None

    def edited_keys(self, since: int = 0) -> set[Key]:
        """Objects whose voxels steps after a number have changed, among those still done."""
        return {
            key for step in self.history if step.count and step.number > since for key in step.keys
        }

    def original_labels(self) -> NDArray[np.integer[Any]]:
        """Return the labels with the ids that they were given with; new objects lie above them."""
        from napari_cellseg.labels.formats import restore_ids

        if self.original_ids is None:
            return self._labels
        return restore_ids(self._labels, self.original_ids)

    def note_exported(self, path: Path, number: int) -> None:
        """Remember that the labels were written to a file, up to a record's number."""
        with self._lock:
            self.meta.update(exported=number, exported_to=str(path))
            if self._journal is not None and not self.read_only:
                self._journal.set_meta("exported", number)
                self._journal.set_meta("exported_to", str(path))

    def set_meta(self, key: str, value: Any) -> None:
        """Remember a fact beside the labels: durable where there is a journal, and no step.

        Parameters
        ----------
        key : str
            Its name in `meta`.
        value : object
            Ready for JSON.

        Raises
        ------
        InputError
            JSON cannot hold it, or the name is one that the document itself needs.
        """
        if key in ("version", "axes", "spacing", "original_ids"):
            raise InputError(f"{key!r} is a fact of the document itself: choose another name.")
        with self._lock:
            if self._journal is not None and not self.read_only:
                self._journal.set_meta(key, value)
            self.meta[key] = value

    # -- journal ---------------------------------------------------------------------------------

    def _connect(self, journal: Journal, folder: Path) -> None:
        self._journal, self.folder = journal, folder
        self.notices = tuple(getattr(journal, "notices", ()))
        journal.trouble.connect(self._on_trouble)

    def _on_trouble(self, error: StorageError | None) -> None:
        self.problem = error
        self.trouble.emit(error)

    def _base_block(self, region: Slices) -> Labels:
        """Return a copy of a box of the labels as they were before the first step."""
        with self._lock:
            block = self._labels[region].copy()
            log = list(self._log)
            open_patches = [] if self._open is None else list(self._open.patches)
        self._go_back(block, region, log, open_patches)
        return block

    def copy_of_labels(self) -> tuple[Labels, int]:
        """Return a copy of the labels as they are now, and the number of the last record.

        Takes its time in any thread; edits that are made meanwhile wait for nothing and are not in
        it.
        """
        with self._lock:
            self.end_stroke()
            number, source = self._number, self._labels
            follower: _Follower = (source, [])
            self._copying.append(follower)
        try:
            copy = source.copy()
        finally:
            with self._lock:
                self._copying = [one for one in self._copying if one is not follower]
                drawn = self._open if self._labels is source else None
                open_patches = [] if drawn is None else list(drawn.patches)
        whole = tuple(slice(0, size) for size in source.shape)
        self._go_back(copy, whole, follower[1], open_patches)
        return copy, number

    def _go_back(
        self,
        block: Labels,
        region: Slices,
        log: list[tuple[Step, Direction]],
        open_patches: list[Patch],
    ) -> None:
        """Take back, in a copy of a box, what was done since something was so."""
        for patch in reversed(open_patches):
            write_into(block, region, patch.region, patch.mask, patch.before)
        for step, direction in reversed(log):
            if step.region is None or not touch(step.region, region):
                continue
            patches = list(patches_of(self._payload(step)))
            for patch in patches if direction == "undo" else reversed(patches):
                values = patch.after if direction == "undo" else patch.before
                write_into(block, region, patch.region, patch.mask, values)

    def _record(self, step: Step, direction: Direction) -> None:
        super()._record(step, direction)
        for source, log in self._copying:
            if source is self._labels:
                log.append((step, direction))
        if self._journal is not None:
            self._append(step, direction)

    def _append(self, step: Step, direction: Direction) -> None:
        assert self._journal is not None
        if direction == "do":
            self._journal.append(self._payload(step))
        else:
            header = {**header_from(step), "do": direction, "of": step.number}
            self._journal.append(pack(header, (), (0, b"")))
        durable = self._journal.saved.number
        if durable:  # and so is what the first step found
            self._log.clear()
        self._held += step.nbytes if direction == "do" else 0
        if self._held > PAYLOADS:
            self._drop_payloads(durable)

    def _drop_payloads(self, durable: int) -> None:
        """Let go of what the journal has, the oldest first, until the rest is small enough."""
        self._held = sum(one.nbytes for one in self.history)
        for one in self.history:
            if self._held <= PAYLOADS or one.number > durable:
                break
            self._held -= one.nbytes
            one.payload = None

    def _payload(self, step: Step) -> bytes:
        if step.payload is not None:
            return step.payload
        if self._journal is None:
            raise StorageError("The document is closed: open it again to undo.")
        return self._journal.read(step.number)

    def _settle(self) -> None:
        from napari_cellseg.labels.journal.snapshot import snapshot_paths

        if self._journal is None:
            return
        # the first snapshot is made of the labels, by a thread that needs the lock for it
        turn = threading.Condition(self._lock)
        end = time.monotonic() + PATIENCE
        while self.folder is not None and not snapshot_paths(self.folder):
            if self.problem is not None or time.monotonic() > end:
                return
            turn.wait(0.02)

    def _cut(self, step: Step, marks: list[tuple[Key, str, Any, Any]]) -> None:
        self._quality = None  # nobody knows which objects it still describes
        if self._journal is None:
            super()._cut(step, marks)
            return
        header = {**header_from(step), "do": "cut", "marks": marks}
        step.payload = pack(header, (), pack_patches(list(whole(self._labels))))
        self._record(step, "do")

    def _expected(self) -> Labels | None:
        journal = self._journal
        if journal is None:
            return None
        try:
            labels, included = journal.base()
        except StorageError:  # there is none yet, or none that is whole
            return None
        for _, payload in journal.records(included):
            replay(labels, payload, header_of(payload)[0], journal.read)
        return labels


def _checked_spacing(spacing: Sequence[float] | None) -> tuple[float, float, float]:
    from napari_cellseg.volume.spacing import check_spacing

    return (1.0, 1.0, 1.0) if spacing is None else check_spacing(spacing)
