"""The document of a session: its labels, their history, and where its journal is."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from psygnal import Signal

from napari_cellseg.errors import CellsegError, InputError, StorageError
from napari_cellseg.labels import Change, Edit, LabelDocument, documents_folder, new_folder
from napari_cellseg.session.records import JournalState, Run
from napari_cellseg.session.state import SessionState

if TYPE_CHECKING:
    from napari_cellseg.labels import Key
    from napari_cellseg.session.state import Labels

OURS = frozenset({"segment"})
"""Kinds of steps that are no work of a hand."""
RESTING = 2**30
"""Bytes of labels of other images that are kept open, so that one can turn back to them."""
_NUMBERS = re.compile(r"[\d,]+")


@dataclass(frozen=True, eq=False)
class Standing:
    """What goes with the labels, besides themselves, at a moment of their history."""

    baseline: Labels | None
    told_edited: bool
    applied: Run | None
    source: Run | None
    count: int
    committed: dict[int, Any]


class SessionDocuments(SessionState):
    """State with a document: every change of the labels is a step of it."""

    document_changed: ClassVar[Signal] = Signal(object)
    """The document is another one (or None)."""
    stepped: ClassVar[Signal] = Signal(Change)
    """A step was made, undone or made again."""
    labels_written: ClassVar[Signal] = Signal(object)
    """A box of the labels was written."""
    journal_changed: ClassVar[Signal] = Signal(JournalState)
    """What is durable has changed."""
    selection_changed: ClassVar[Signal] = Signal(tuple)
    """Other objects are selected: (t, id) of each."""

    def __init__(self) -> None:
        super().__init__()
        self.documents: Path | None = documents_folder()
        self.journal = JournalState()
        self.selected: tuple[Key, ...] = ()
        self._standings: dict[int, Standing] = {}
        self._after: dict[int, Standing] = {}
        self._remembered: WeakKeyDictionary[LabelDocument, Any] = WeakKeyDictionary()
        self._resting: list[LabelDocument] = []
        self._trouble: CellsegError | None = None
        self._no_journal = False

    # -- changing --------------------------------------------------------------------------------

    def change(self, verb: str, *arguments: Any, **options: Any) -> Any:
        """Call a verb of the document, for whoever cannot handle its errors.

        Parameters
        ----------
        verb : str
            "merge", "split", "delete", "lock", "undo", ...
        *arguments, **options
            Of the verb.

        Returns
        -------
        object
            What the verb returns; None where it was refused, which is told by `failed`.
        """
        with self._lock:
            self.last_error = None
            try:
                if self.document is None:
                    raise InputError(self.can("edit").reason)
                return getattr(self._given_document(), verb)(*arguments, **options)
            except CellsegError as error:
                self._fail(error)
                return None
            finally:
                self._refresh()

    def stroke(
        self,
        indices: tuple[np.ndarray, ...],
        values: Any,
        *,
        kind: str = "paint",
        gather: bool = True,
    ) -> None:
        """Write what a brush painted; locked objects stay.

        Parameters
        ----------
        indices : tuple of array of int
            Voxels, an array for each label axis.
        values : int or array of int
            Their ids, one or one each.
        kind : str
        gather : bool
            Whether more of the same stroke follows; `end_stroke` closes it.
        """
        if self.document is None or not indices or not indices[0].size:
            return
        from napari_cellseg.labels.indexed import patches_of

        try:
            patches = patches_of(self.document.labels, indices, values)
            edits = [Edit(*patch, kind=kind) for patch in patches]
        except InputError as error:
            self.refuse(error)
            return
        self.change("apply", *edits, gather=gather)

    def refuse(self, error: CellsegError) -> None:
        """Tell an error as if a verb had been refused with it."""
        with self._lock:
            self._fail(error)
            self._refresh()

    def end_stroke(self) -> None:
        """Close the stroke in progress: it is one step."""
        if self.document is not None:
            self.change("end_stroke")

    def select(self, keys: Iterable[Key]) -> None:
        """Select objects, for whoever shows or edits them; what is not there is left out."""
        with self._lock:
            objects = None if self.document is None else self.document.objects
            chosen = tuple(k for k in dict.fromkeys(keys) if objects is not None and k in objects)
            if chosen != self.selected:
                self.selected = chosen
                self.selection_changed.emit(chosen)

    def locked_ids(self) -> frozenset[int]:
        """Ids of objects that may not be changed, at any time point."""
        if self.document is None:
            return frozenset()
        return frozenset(label for _, label in self.document.objects.marked("locked"))

    # -- the document ----------------------------------------------------------------------------

    def _given_document(self) -> LabelDocument:
        assert self.document is not None
        return self.document

    def _made_document(self, labels: Labels) -> LabelDocument:
        spacing = self.parameters.spacing if self._spacing_stated else None
        meta = self._document_meta()
        return LabelDocument(labels, spacing, self.label_axes, copy=False, meta=meta)

    def _document_meta(self) -> dict[str, Any]:
        volume = self.volume
        if volume is None:
            return {}
        source = getattr(volume, "source", None)
        path = None if source is None else str(source)
        return {"image": volume.name, "path": path, "source": "adopted labels"}

    def _use_document(self, document: LabelDocument | None) -> None:
        """Turn to another document; the former one rests, to be found again by its array."""
        former = self.document
        if document is former:
            return
        if former is not None:
            former.changed.disconnect(self._on_change)
            former.trouble.disconnect(self._on_trouble)
            former.saved.changed.disconnect(self._on_saved)
            former.end_stroke()
            self._resting.append(former)
        self._standings, self._after = {}, {}
        self._trouble, self._no_journal = None, False
        self.document = document
        if document is not None:
            self._standings, self._after = self._remembered.setdefault(document, ({}, {}))
            if document in self._resting:
                self._resting.remove(document)
            document.guard_by(self._lock)  # whoever edits it, and from wherever, waits its turn
            document.changed.connect(self._on_change)
            document.trouble.connect(self._on_trouble)
            document.saved.changed.connect(self._on_saved)
        self._rest()
        self.select(())
        self.document_changed.emit(document)
        self._tell_journal()

    def _set_document(
        self, document: LabelDocument | None, baseline: Labels | None, applied: Run | None
    ) -> None:
        """Take other labels; what was there can come back."""
        if self.document is not None:
            self._previous.append((self.document, self._standing()))
        self._drop_notices(None)
        self._baseline, self._told_edited = baseline, False
        self._edits += 1
        self._applied = applied
        self._use_document(document)
        self.labels_changed.emit(self.labels)
        self.result_changed.emit(self.result)

    def _set_labels(
        self, labels: Labels | None, baseline: Labels | None, applied: Run | None
    ) -> None:
        """Take an array as the labels, with the document that it belongs to, or a new one."""
        document = None
        if labels is not None:
            document = self.document_of(labels) or self._made_document(labels)
        self._set_document(document, baseline, applied)

    def document_of(self, labels: Any) -> LabelDocument | None:
        """Return the document, of this or a former image, that an array belongs to, if any."""
        known = [*self._resting, *([self.document] if self.document is not None else [])]
        for one in known:
            if one.labels is labels or (
                isinstance(labels, np.ndarray)
                and labels.size == one.labels.size
                and labels.dtype == one.labels.dtype
                and np.shares_memory(labels[(slice(0, 1),) * labels.ndim], one.labels)
            ):
                return one
        return None

    def _rest(self) -> None:
        """Close the documents that have rested longest, where they take too much."""
        while sum(one.labels.nbytes for one in self._resting) > RESTING:
            tired = self._resting.pop(0)
            self._previous = [one for one in self._previous if one[0] is not tired]
            _close_later(tired)

    def _close_documents(self) -> None:
        self._use_document(None)
        for one in self._resting:
            _close_later(one)
        self._resting.clear()

    # -- steps -----------------------------------------------------------------------------------

    def _on_change(self, change: Change) -> None:
        with self._lock:
            step, number = change.step, change.step.number
            history = () if self.document is None else self.document.history
            if change.direction == "do":
                if step.kind == "foreign" and step not in history:  # history ends with it
                    self._standings.clear()
                    self._told_edited = True
                elif number not in self._standings:
                    self._standings[number] = self._standing()
                    self._forget_baselines()
                if self.document is not None and not self.document.undone:
                    self._after.clear()
                if step.count and step.kind not in OURS:
                    self._told_edited = True
            elif change.direction == "undo":
                self._after[number] = self._standing()
                self._stand(self._standings.pop(number, None))
            else:
                self._standings[number] = self._standing()
                self._stand(self._after.pop(number, None))
            if self.document is not None:
                self._count = len(self.document.objects)
            self._edits += 1
            self._journalise()
            self.select(self.selected)  # what is gone is selected no more
            replaced = step.kind in OURS and change.direction == "do"  # told as other labels
            if change.region is not None and not replaced:
                self.labels_written.emit(change.region)
            self.stepped.emit(change)
            self._set_saved(self.saved_path, True)
            self._tell_journal()
            self._refresh()

    def _standing(self) -> Standing:
        return Standing(
            self._baseline,
            self._told_edited,
            self._applied,
            self._source,
            self._count,
            self._committed(),
        )

    def _stand(self, standing: Standing | None) -> None:
        """Take up what went with the labels at another moment; None: nobody remembers."""
        if standing is None:
            self._baseline, self._told_edited = None, True
            return
        applied = self._applied
        self._baseline, self._told_edited = standing.baseline, standing.told_edited
        self._applied, self._source, self._count = standing.applied, standing.source, standing.count
        self._set_committed(standing.committed)
        if self._applied is not applied:
            if self._applied is not None:
                self._restore(self._applied.settings)
            self.result_changed.emit(self.result)

    def _forget_baselines(self) -> None:
        """A baseline takes as much as the labels: one that is not in use is kept, no more."""
        kept = {id(self._baseline)}
        for number in sorted(self._standings, reverse=True):
            one = self._standings[number]
            if one.baseline is None or id(one.baseline) in kept:
                continue
            if len(kept) < 2:
                kept.add(id(one.baseline))
            else:
                self._standings[number] = replace(one, baseline=None, told_edited=True)

    def _committed(self) -> dict[int, Any]:
        return {}

    def _set_committed(self, committed: dict[int, Any]) -> None:
        """Take up which objects have prompts; see `Session`."""

    def _restore(self, settings: dict[str, Any]) -> None:
        """Take up the parameters of a former run; see `SessionRecipes`."""

    # -- journal ---------------------------------------------------------------------------------

    def _journalise(self) -> None:
        """Begin the journal with the first step, where documents are kept."""
        document = self.document
        if (
            document is None
            or document.folder is not None
            or self.documents is None
            or self._no_journal
            or document.read_only
        ):
            return
        former = document.saved
        try:
            document.attach(new_folder(self.documents, document.meta.get("image") or "labels"))
        except CellsegError as error:
            self._no_journal, self._trouble = True, error  # said once, and shown as not saved
            self._notice(f"Your edits are not being saved as you go: {error}")
            return
        former.changed.disconnect(self._on_saved)
        document.saved.changed.connect(self._on_saved)
        for sentence in document.notices:
            self._notice(sentence)

    def _on_saved(self) -> None:
        # told by the journal's own thread
        self.deliver_call(self._tell_journal)

    def _on_trouble(self, error: StorageError | None) -> None:
        def tell() -> None:
            with self._lock:
                told = "" if self._trouble is None else str(self._trouble)
                # what is so now: messages may overtake each other
                self._trouble = None if self.document is None else self.document.problem
                now = "" if self._trouble is None else str(self._trouble)
                # the room that is left is part of the sentence, and changes
                if now and _NUMBERS.sub("", now) != _NUMBERS.sub("", told) and not self.is_closed:
                    self._notice(now)
            self._tell_journal()

        # In a thread of its own: the journal's holds its signal while it tells, and somebody who
        # holds this session may be waiting for that very signal.
        threading.Thread(target=self.deliver_call, args=(tell,), daemon=True).start()

    def deliver_call(self, call: Callable[[], None]) -> None:
        """Take a call to the thread that may use results; see `SessionJobs`."""
        call()

    def _tell_journal(self) -> None:
        """Say what is durable now; called from the journal's thread, too, so it takes no lock."""
        document, error = self.document, self._trouble
        if document is None or not (document.history or document.undone or document.folder):
            state = JournalState()
        else:
            saved, trouble = document.saved, "" if error is None else str(error)
            state = JournalState(
                document.folder, saved.all, saved.when, len(document.history), trouble
            )
        if state != self.journal:
            self.journal = state
            self.journal_changed.emit(state)


def _close_later(document: LabelDocument) -> None:
    """Close a document in a thread of its own: what is not saved yet takes its time."""

    def close() -> None:
        try:
            document.close()
        except StorageError as error:  # nobody is there any more to be told
            logging.getLogger("napari_cellseg").warning("%s", error)

    threading.Thread(target=close, name="close document", daemon=False).start()
