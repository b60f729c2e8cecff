"""What a session is at any moment, how it says so, and what may be done next."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import Signal

from napari_cellseg.session.parameters import Parameters
from napari_cellseg.session.records import Availability, Proposal, Run, Status

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_cellseg.flows import Segmentation
    from napari_cellseg.labels import LabelDocument
    from napari_cellseg.volume import Volume
    from napari_cellseg.worker import Job

    Labels = NDArray[np.uint32]

_YES = Availability(True)
_NO_IMAGE = Availability(False, "Open an image first.")
_RUNS = Availability(False, "A segmentation is running; wait for it or cancel it.")

RUNNING = {"segment", "segment_region", "segment_store"}
"""Verbs that take the network for long."""
DOING = {
    "open": "opening",
    "try": "trying",
    "segment": "segmenting",
    "relabel": "labelling",
    "apply": "applying",
    "save": "saving",
    "adopt": "reading labels",
    "recover": "recovering",
    "review": "ranking",
    "estimate_diameter": "measuring",
    "through z": "through z",
    "everything": "finding everything",
    "picture": "drawing",
    "download": "downloading",
    "open_region": "opening the region",
    "write_back": "writing back",
    "segment_region": "segmenting the region",
    "segment_store": "blockwise",
    "save_field": "saving the field",
    "open_field": "opening the field",
}


class SessionState:
    """Evented state; `Session` adds the verbs that change it.

    State changes only where results are delivered (a GUI's thread, or else the worker's threads
    and the caller's, one at a time behind a lock).
    """

    volume_changed: ClassVar[Signal] = Signal(object)
    labels_changed: ClassVar[Signal] = Signal(object)
    result_changed: ClassVar[Signal] = Signal(object)
    proposal_changed: ClassVar[Signal] = Signal(object)
    status_changed: ClassVar[Signal] = Signal(Status)
    availability_changed: ClassVar[Signal] = Signal()
    noticed: ClassVar[Signal] = Signal(str)
    notices_changed: ClassVar[Signal] = Signal(tuple)
    failed: ClassVar[Signal] = Signal(Exception)
    saved_changed: ClassVar[Signal] = Signal(object, bool)
    closed: ClassVar[Signal] = Signal()

    def __init__(self) -> None:
        self.parameters = Parameters()
        self.volume: Volume | None = None
        self.document: LabelDocument | None = None
        self.proposal: Proposal | None = None
        self.notices: tuple[str, ...] = ()
        self.last_error: Exception | None = None
        self.saved_path: Path | None = None
        self.dirty = False
        self.status = Status()
        self.is_closed = False
        self._applied: Run | None = None
        self._source: Run | None = None
        self._spacing_stated = False
        self._baseline: Labels | None = None
        self._told_edited = False
        self._edits = 0
        self._count = 0
        self._passing: dict[str, Proposal | None] = {}
        self._of_run: tuple[str, ...] = ()
        self._previous: list[tuple[LabelDocument, Any]] = []
        self._jobs: dict[str, Job] = {}
        self._progress: dict[str, tuple[float, str]] = {}
        self._idle_text = self.status.text
        self._available: dict[str, Availability] = {}
        self._lock = threading.RLock()

    @property
    def labels(self) -> Labels | None:
        """The working labels, of the document; None where there are none."""
        return None if self.document is None else self.document.labels

    @property
    def result(self) -> Segmentation | None:
        """What produced the labels; None where they were adopted."""
        return None if self._applied is None else self._applied.segmentation

    @property
    def segmentation(self) -> Segmentation | None:
        """The newest run with a kept field (of everything or of a try), which `relabel` uses."""
        return None if self._source is None else self._source.segmentation

    @property
    def unit(self) -> str:
        """Unit of lengths that the user sees: "µm" where spacing is known, else "voxels"."""
        return "µm" if self._spacing_stated else "voxels"

    @property
    def label_axes(self) -> str:
        """Axes of labels of the image, "" without one."""
        return "" if self.volume is None else self.volume.label_axes

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Shape of labels of the image, () without one."""
        return () if self.volume is None else self.volume.label_shape

    @property
    def label_scale(self) -> tuple[float, ...]:
        """Size of a voxel along each label axis: µm (or relative), 1 along t."""
        spacing = self.parameters.spacing or (1.0, 1.0, 1.0)
        lengths = dict(zip("tzyx", (1.0, *spacing), strict=True))
        return tuple(lengths[axis] for axis in self.label_axes)

    @property
    def edited(self) -> bool:
        """Whether the labels hold work of a hand, as far as the session was told."""
        return self.labels is not None and (self._told_edited or self._baseline is None)

    @property
    def busy(self) -> bool:
        """Whether a job of this session waits or runs."""
        return bool(self._jobs)

    def can(self, verb: str) -> Availability:
        """Whether a verb can be used now, and the reason if not.

        Parameters
        ----------
        verb : str
            "open", "try", "segment", "relabel", "apply", "discard", "undo", "redo", "edit",
            "save", "adopt", "cancel", "estimate_diameter", "segment_region", "open_region",
            "write_back", "segment_store", "save_field" or "open_field".

        Raises
        ------
        KeyError
            There is no such verb.
        """
        return self._availability()[verb]

    def _availability(self) -> dict[str, Availability]:
        def need(present: bool, reason: str) -> Availability:
            return _YES if present else Availability(False, reason)

        image = _YES if self.volume is not None else _NO_IMAGE
        network = _RUNS if image and RUNNING & self._jobs.keys() else image
        applying, document = "apply" in self._jobs, self.document
        proposed = need(self.proposal is not None, "There is no proposal: try or segment first.")
        if applying:
            proposed = Availability(False, "The proposal is being applied.")
        settled = network if not applying else Availability(False, "A proposal is being applied.")
        save = need(self.labels is not None, "There are no labels yet: segment or adopt some.")
        if "save" in self._jobs:
            save = Availability(False, "The labels are being saved.")
        return {
            "open": _YES,
            "try": network,
            "segment": settled,
            "relabel": image
            and need(self._source is not None, "Try or segment first, then adjust."),
            "apply": proposed,
            "discard": proposed,
            "undo": need(
                bool(self._previous) or (document is not None and document.can_undo),
                "There is nothing to undo.",
            ),
            "redo": need(
                document is not None and document.can_redo, "There is nothing to make again."
            ),
            "edit": need(document is not None, "There are no cells yet: segment or adopt some."),
            "save": save,
            "adopt": settled,
            "cancel": need(self.busy, "Nothing is running."),
            "estimate_diameter": network,
        }

    def _refresh(self) -> None:
        """Announce status and availability if they changed."""
        status = self._status()
        if status != self.status:
            self.status = status
            self.status_changed.emit(status)
        available = self._availability()
        if available != self._available:
            self._available = available
            self.availability_changed.emit()

    def _status(self) -> Status:
        if not self._jobs:
            return Status(text=self._idle_text)
        verb = next(reversed(self._jobs))
        fraction, message = self._progress.get(verb, (None, ""))
        text = f"{DOING[verb]} · {message}" if message else DOING[verb]
        return Status(text=text, fraction=fraction, busy=True, operation=verb)

    def _notice(self, sentence: str) -> None:
        if sentence in self.notices:
            return  # said already of this image
        self.notices = (*self.notices, sentence)
        self.noticed.emit(sentence)
        self.notices_changed.emit(self.notices)

    def _notices_of_run(self, sentences: tuple[str, ...]) -> None:
        """Say what a run found, in place of what the run before it found."""
        gone = set(self._of_run) - set(sentences)
        self._of_run = sentences
        if gone & set(self.notices):
            self.notices = tuple(said for said in self.notices if said not in gone)
            self.notices_changed.emit(self.notices)
        for sentence in sentences:
            self._notice(sentence)

    def _notice_for_now(self, sentence: str) -> None:
        """Say something of the present proposal, or else of the present labels, while it lasts."""
        self._notice(sentence)
        self._passing[sentence] = self.proposal

    def _drop_notices(self, of: Proposal | None) -> None:
        """Take back what was said of a proposal, or (None) of labels, that are there no more."""
        gone = {said for said, about in self._passing.items() if about is of}
        if gone:
            self._passing = {said: x for said, x in self._passing.items() if said not in gone}
            self.notices = tuple(said for said in self.notices if said not in gone)
            self.notices_changed.emit(self.notices)

    def _fail(self, error: Exception) -> None:
        self.last_error = error
        self._idle_text = str(error) or type(error).__name__
        self.failed.emit(error)

    def _set_saved(self, path: Path | None, dirty: bool) -> None:
        if (path, dirty) != (self.saved_path, self.dirty):
            self.saved_path, self.dirty = path, dirty
            self.saved_changed.emit(path, dirty)

    def _set_proposal(self, proposal: Proposal | None) -> None:
        if proposal is not self.proposal:
            former, self.proposal = self.proposal, proposal
            if former is not None:
                self._drop_notices(former)
            self.proposal_changed.emit(proposal)
