"""Work that was left unfinished is offered when the first dock of a viewer opens."""

from __future__ import annotations

import weakref
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_cellseg.errors import CellsegError
from napari_cellseg.worker import JobContext, Priority, operation

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_cellseg.labels import LabelDocument, Shelved
    from napari_cellseg.session import Session, Status
    from napari_cellseg.volume import Volume


@operation("list unfinished documents")
def list_unfinished(
    context: JobContext, *, find: Callable[[], list[Shelved]]
) -> tuple[Shelved, ...]:
    """Look through the documents on disk."""
    return tuple(find())


@operation("delete document")
def delete_document(
    context: JobContext, *, forget: Callable[[Path], None], folder: Path
) -> tuple[()]:
    """Delete a document for good."""
    forget(folder)
    return ()


class Recovery:
    """What was left unfinished, and taking it up; all docks of a viewer share one.

    See `recovery_for`.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    found : tuple of Shelved
        Documents that are offered, the newest first; none after `later`.
    hint : str
        What the user has to do first, as one sentence.
    """

    changed: ClassVar[Signal] = Signal()
    failed: ClassVar[Signal] = Signal(Exception)

    def __init__(self, session: Session) -> None:
        self._session = session
        self._users = 0
        self._listed = self._put_off = self._landing = False
        self._waiting: Path | None = None
        self._taken: Path | None = None
        self._all: tuple[Shelved, ...] = ()
        self.hint = ""

    @property
    def found(self) -> tuple[Shelved, ...]:
        """Documents that are offered."""
        return () if self._put_off else self._all

    @property
    def busy(self) -> bool:
        """Whether something is being taken up."""
        return self._waiting is not None

    def join(self) -> None:
        """Follow the session for one more dock; the first one looks what there is."""
        self._users += 1
        if self._users > 1:
            return
        session = self._session
        session.document_changed.connect(self._on_document)
        session.volume_changed.connect(self._on_volume)
        session.failed.connect(self._on_failed)
        session.status_changed.connect(self._on_status)
        if not self._listed:
            self.look()

    def leave(self) -> None:
        """Follow it for one dock less."""
        self._users -= 1
        if self._users:
            return
        session = self._session
        session.document_changed.disconnect(self._on_document)
        session.volume_changed.disconnect(self._on_volume)
        session.failed.disconnect(self._on_failed)
        session.status_changed.disconnect(self._on_status)

    def look(self) -> None:
        """Look through the documents on disk, in the background."""
        self._background("list unfinished documents", {"find": self._session.unfinished})

    def later(self) -> None:
        """Offer nothing more to this viewer; the next one is asked again."""
        self._put_off = True
        self.changed.emit()

    def recover(self, one: Shelved) -> None:
        """Take up a document, with its image if that has to be opened."""
        volume = self._session.volume
        self.hint = ""
        if volume is None or not _is_of(one, volume):
            if one.path is not None and one.path.exists():
                self._open(one.path, one.folder)
                return
            if volume is None:
                self.hint = _missing(one)
                self.changed.emit()
                return
        self._take_up(one.folder)  # which checks that it fits what is open

    def delete(self, one: Shelved) -> None:
        """Delete a document from disk, as the user has agreed to."""
        self._all = tuple(other for other in self._all if other.folder != one.folder)
        self.changed.emit()
        arguments = {"forget": self._session.forget, "folder": one.folder}
        self._background("delete document", arguments)

    # -- steps -----------------------------------------------------------------------------------

    def _open(self, path: Path, folder: Path) -> None:
        self._waiting, self._taken = folder, None
        try:
            self._session.open(path)
        except CellsegError as error:
            self._waiting = None
            self.failed.emit(error)
        self.changed.emit()

    def _on_volume(self, volume: Volume | None) -> None:
        if not self._listed:
            self.look()  # another image ends what was under way for the former one
        folder = self._waiting
        # a region brings its own image along, when it is taken up already
        if folder is not None and volume is not None and folder != self._taken:
            self._landing = True  # the docks first make layers of it, in their own time
            QTimer.singleShot(0, lambda: self._take_up(folder))

    def _take_up(self, folder: Path) -> None:
        self._waiting, self._taken, self._landing = folder, folder, False
        try:
            self._session.recover(folder)
        except CellsegError as error:
            self._waiting = None
            self.failed.emit(error)
        self.changed.emit()

    def _on_document(self, document: LabelDocument | None) -> None:
        if document is None or document.folder is None:
            return
        self._waiting = None if document.folder == self._waiting else self._waiting
        self._all = tuple(one for one in self._all if one.folder != document.folder)
        self.changed.emit()

    def _on_failed(self, error: Exception) -> None:
        self._stop_waiting()

    def _on_status(self, status: Status) -> None:
        if not status.busy and not self._landing:
            self._stop_waiting()  # it was cancelled

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting = self._taken = None
            self.changed.emit()

    def _background(self, name: str, arguments: dict[str, Any]) -> None:
        def land(found: tuple[Shelved, ...]) -> None:
            if name == "list unfinished documents":
                self._all, self._listed = found, True
            self.changed.emit()

        self._session.background(
            name,
            arguments,
            key=(name, arguments.get("folder")),
            lane="files",
            priority=Priority.VIEW,
            land=land,
            fail=self.failed.emit,
            end=lambda job: None,
        )


def described(one: Shelved, now: datetime | None = None) -> str:
    """Return what a document is, in a few words: the image, how many changes, when.

    Parameters
    ----------
    one : Shelved
    now : datetime, optional
        The time now, with its zone.
    """
    changes = "1 change" if one.steps == 1 else f"{one.steps:,} changes"
    if one.when is None:
        return f"{one.image}, {changes}"
    here, today = one.when.astimezone(), now or datetime.now().astimezone()
    day = "" if here.date() == today.date() else f"{here:%d %b} "
    return f"{one.image}, {changes}, {day}{here:%H:%M}"


def _is_of(one: Shelved, volume: Volume) -> bool:
    """Whether the image that is open is the document's, as far as names tell."""
    source = getattr(volume, "source", None)
    if one.path is not None and source is not None:
        return Path(source) == one.path
    return volume.name == one.image


def _missing(one: Shelved) -> str:
    if one.path is None:
        return f"Open the image “{one.image}” first, as you did then, and press Recover again."
    return (
        f"{one.path} is not there any more: open the image from where it is now, and press "
        "Recover again."
    )


_recoveries: weakref.WeakValueDictionary[int, Recovery] = weakref.WeakValueDictionary()


def recovery_for(session: Session) -> Recovery:
    """Return the recovery that all docks of a session share; they keep it, this does not."""
    recovery = _recoveries.get(id(session))
    if recovery is None or recovery._session is not session:
        recovery = _recoveries[id(session)] = Recovery(session)
    return recovery
