"""The verbs of a session: each submits to the worker and returns at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_cellseg.labels import LabelDocument
from napari_cellseg.session.merge import Merged
from napari_cellseg.session.operations import Adopted, Applied, Landed, as_labels, inside
from napari_cellseg.session.prompting import Prompting
from napari_cellseg.session.records import Proposal, Run
from napari_cellseg.session.recovery import SessionRecovery
from napari_cellseg.worker import Deliver, InferenceWorker, Job, Priority

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cellseg.flows import Segmentation
    from napari_cellseg.labels import Replacement
    from napari_cellseg.session.state import Labels
    from napari_cellseg.volume import Volume


class Session(SessionRecovery):
    """The state of one viewer (or of one headless run) and what can be done with it.

    `deliver` takes a call to the thread that may use results: by default the worker's own, in a
    GUI its queue. `worker` is the process-wide one by default.
    """

    def __init__(
        self, deliver: Deliver | None = None, worker: InferenceWorker | None = None
    ) -> None:
        super().__init__(deliver, worker)
        self.parameters.events.spacing.connect(self._on_spacing)
        self.prompts = Prompting(self)
        self.closed.connect(self.prompts.close)
        self._refresh()

    def open(
        self,
        path: str | Path,
        spacing: Sequence[float] | None = None,
        axes: str | None = None,
    ) -> Job:
        """Read an image file or store; `use_volume` follows.

        Parameters
        ----------
        path : path
        spacing : sequence of float, optional
            (z, y, x) in µm, where the file does not state it or is wrong.
        axes : str, optional
            Likewise, for example "zyx".
        """
        return self._submit(
            "open",
            "read",
            {"path": Path(path), "spacing": spacing, "axes": axes},
            self.use_volume,
            lane="files",
            priority=Priority.VIEW,
        )

    def use_volume(
        self,
        volume: Any,
        axes: str | None = None,
        spacing: Sequence[float] | None = None,
    ) -> None:
        """Take an image, a `Volume` or an array; labels and results of the former one go.

        Raises
        ------
        InputError
            It is no image that can be segmented; nothing changes then.
        """
        if not (hasattr(volume, "label_axes") and axes is None and spacing is None):
            from napari_cellseg.volume import as_volume

            volume = as_volume(volume, spacing=spacing, axes=axes)
        with self._lock:
            if self._used_worker is not None:
                self._used_worker.advance(self._id)
            unit = self.unit
            self.volume = volume
            self._forget()
            self.notices, self.last_error = (), None
            self._passing.clear()
            self.notices_changed.emit(())
            self._idle_text = f"{volume.name} is ready."
            self.parameters.spacing = volume.spacing
            self._spacing_stated = volume.spacing_known
            if self.unit != unit:
                self.parameters.diameter = None  # a length in the other unit
            if self.parameters.channel >= volume.n_channels:
                self.parameters.channel = 0
            self.parameters.region = None
            self.volume_changed.emit(volume)
            self.proposal_changed.emit(None)
            self.labels_changed.emit(None)
            self.result_changed.emit(None)
            self._set_saved(None, False)
            for sentence in volume.notices:
                self._notice(sentence)
            self._refresh()

    def try_region(self, region: Sequence[slice]) -> Job:
        """Segment a region only, with the intensity limits of the whole image, as a proposal.

        Parameters
        ----------
        region : sequence of slice
            Over the label axes; one plane is ``slice(z, z + 1)``.
        """
        self._need("try")
        where = self._checked(region)
        arguments = {**self._run_arguments(), "region": where}
        settings = {**self.parameters.as_dict(), "region": where}

        def land(segmentation: Segmentation) -> None:
            self._source = Run(segmentation, where, settings)
            self._propose(self._source, "try")

        return self._submit(
            "try", "try", arguments, land, priority=Priority.VIEW, replace_running=True
        )

    def segment(self) -> Job:
        """Segment the image, or the region that the parameters name.

        Labels that a hand has changed, or that were adopted, are not replaced: the outcome is
        a proposal then, which `apply` merges.
        """
        self._need("segment")
        region = self.parameters.region
        where = None if region is None else self._checked(region)
        arguments = {
            **self._run_arguments(),
            "region": where,
            "current": self.labels,
            "baseline": self._baseline,
            "shape": self.label_shape,
            "timed": self.label_axes.startswith("t"),
            "locked": (locked := tuple(sorted(self.locked_ids()))),
            "document": self.document,
            "make": self._made_document,
        }
        settings = {**self.parameters.as_dict(), "region": where}

        def land(landed: Landed) -> None:
            self._source = Run(landed.segmentation, where, settings)
            others = tuple(sorted(self.locked_ids())) != locked
            if landed.merged is None or landed.prepared is None or self.edited or others:
                self._propose(self._source, "segment")
                self._notice_for_now(
                    "The labels were edited, so the new ones are a proposal; "
                    "applying it keeps what you changed."
                )
                return
            self._land(landed.merged, landed.prepared, self._source)

        return self._submit("segment", "segment to edit", arguments, land)

    def relabel(self) -> Job:
        """Label the kept field anew with the present thresholds, as a proposal; latest wins."""
        self._need("relabel")
        source = self._given(self._source)
        thresholds = {
            "probability": self.parameters.probability,
            "min_size": self.parameters.min_size,
            "flow_error": self.parameters.flow_error,
        }
        arguments = {"segmentation": source.segmentation, **thresholds}
        settings = {**source.settings, **thresholds}

        def land(segmentation: Segmentation) -> None:
            if self._source is source:  # else a newer run has taken its place
                self._propose(Run(segmentation, source.region, settings), "relabel")

        return self._submit(
            "relabel", "relabel", arguments, land, lane="decode", priority=Priority.CLICK
        )

    def apply(self) -> Job:
        """Make the proposal the labels; instances changed by hand stay as they are."""
        self._need("apply")
        proposal = self._given(self.proposal)
        edits = self._edits
        arguments = {
            "current": self.labels,
            "baseline": self._baseline,
            "proposed": proposal.labels,
            "region": proposal.region,
            "shape": self.label_shape,
            "timed": self.label_axes.startswith("t"),
            "locked": tuple(sorted(self.locked_ids())),
            "document": self.document,
            "make": self._made_document,
        }

        def land(applied: Applied) -> None:
            merged = applied.merged
            if self.proposal is not proposal:
                return
            if self._edits != edits:  # a stroke fell meanwhile: merge again, with it
                self._jobs.pop("apply", None)
                self.apply()
                return
            run = Run(proposal.segmentation, proposal.region, proposal.settings)
            self._land(merged, applied.prepared, run)
            if merged.kept:
                objects = "object" if merged.kept == 1 else "objects"
                self._notice_for_now(f"Kept {merged.kept} {objects} that you changed.")

        return self._submit(
            "apply", "apply", arguments, land, lane="decode", priority=Priority.CLICK
        )

    def discard(self) -> None:
        """Drop the proposal, and what would become one."""
        with self._lock:
            for verb in ("try", "relabel"):
                if verb in self._jobs:
                    self._jobs[verb].cancel()
            self._set_proposal(None)
            if self._applied is not None:
                self._source = self._applied
            self._refresh()

    def undo(self) -> None:
        """Take the last step back: an edit, an acceptance, or a segmentation.

        Where the labels were others as a whole before (adopted, or removed), these come back. The
        parameters that made the labels come back with them.
        """
        self._need("undo")
        with self._lock:
            if "relabel" in self._jobs:
                self._jobs["relabel"].cancel()
            self._set_proposal(None)
            document = self.document
            if document is not None and document.can_undo:
                document.undo()
                self._drop_notices(None)
                self._idle_text = self._counted()
                self._refresh()
                return
            former, standing = self._given(self._previous)
            self._set_document(former, standing.baseline, standing.applied)
            self._previous = None
            self._stand(standing)
            self._idle_text = self._counted()
            if standing.applied is not None:
                self._restore(standing.applied.settings)
            self._set_saved(self.saved_path, True)
            self._refresh()

    def redo(self) -> None:
        """Make the step again that was taken back last."""
        self._need("redo")
        with self._lock:
            self._given_document().redo()
            self._idle_text = self._counted()
            self._refresh()

    def _counted(self) -> str:
        return _cells(self._count) if self._applied is not None else "labels adopted"

    def remove_labels(self) -> None:
        """Start afresh without labels; `undo` brings them back until others take their place."""
        with self._lock:
            if self.labels is None:
                return
            self._set_labels(None, None, None)
            if self.proposal is None:
                self._source = None
            self._set_saved(self.saved_path, False)
            self._idle_text = "The cells were removed."
            self._refresh()

    def save(self, path: str | Path, overwrite: bool = False) -> Job:
        """Write the labels (``.tif`` or ``.ome.zarr``), whole or not at all.

        A proposal is no part of them, which is said. Closing the session does not stop it;
        `cancel` does.
        """
        self._need("save")
        if self.proposal is not None:
            self._notice_for_now(
                "The proposal is not part of the saved file: press Apply first to save it."
            )
        document = self._given_document()
        if document.absorb() is not None:
            self._notice_for_now(
                "Something else had written into the cells: it is a step that you can undo."
            )
        edits, number = self._edits, document.number
        arguments = {
            "path": Path(path),
            "labels": self.labels,
            "like": self._spaced(),
            "overwrite": overwrite,
            "metadata": {**self.layer_metadata(), **_known(document)},
        }

        def land(written: Path) -> None:
            self._set_saved(written, self._edits != edits)
            document.note_exported(written, number)
            self._idle_text = f"saved {written.name}"

        return self._submit("save", "write", arguments, land, lane="files", finish=True)

    def adopt(self, labels: Any) -> Job | None:
        """Start from existing labels; every instance in them counts as the user's own.

        Parameters
        ----------
        labels : array or path
            An array is taken at once (a writable native uint32 one itself, not a copy) and None
            is returned; a file is read in the background.

        Raises
        ------
        InputError
            An array that does not fit the image.
        """
        self._need("adopt")
        if isinstance(labels, str | Path):
            arguments = {"path": Path(labels), "shape": self.label_shape, "axes": self.label_axes}

            def land(read: Adopted) -> None:
                self._adopt(read.labels, read.original_ids)
                for sentence in read.notices:
                    self._notice_for_now(sentence)

            return self._submit("adopt", "read labels to adopt", arguments, land, lane="files")
        with self._lock:
            self._adopt(*as_labels(labels, self.label_shape, self.label_axes, "The labels of the layer"))
            self._refresh()
        return None

    def estimate_diameter(self) -> Job:
        """Estimate the cells' diameter and set it as the parameter."""
        self._need("estimate_diameter")
        names = ("volume", "channel", "model", "checkpoint", "device")
        arguments = {name: self._run_arguments()[name] for name in names}

        def land(diameter: float) -> None:
            self.parameters.diameter = round(diameter, 2)
            self._idle_text = f"cells of about {diameter:.3g} {self.unit}"

        return self._submit(
            "estimate_diameter", "estimate_diameter", arguments, land, priority=Priority.VIEW
        )

    def note_edit(self, labels: Labels | None = None) -> None:
        """Tell the session that something else than it has written the labels.

        What was written is found and becomes a step that can be undone.

        Parameters
        ----------
        labels : ndarray, optional
            The array that is edited from now on, if it is another one.

        Raises
        ------
        InputError
            Another array that does not fit the image.
        """
        with self._lock:
            if labels is not None:
                shape = self.label_shape
                if labels.size == math.prod(shape):
                    labels = labels.reshape(shape)  # a viewer may add axes of length one
                taken, original = as_labels(labels, shape, self.label_axes, "The labels of the layer")
                if self.document is None:
                    self._adopt(taken, original)
                    return
                if taken is not self.labels:
                    self.document.replace(np.ascontiguousarray(taken), "foreign", "another tool")
            if self.document is not None and self.document.absorb() is None:
                self._refresh()

    def _committed(self) -> dict[int, Any]:
        return self.prompts.commits.committed

    def _set_committed(self, committed: dict[int, Any]) -> None:
        self.prompts.commits.committed = committed

    def _on_spacing(self, spacing: tuple[float, float, float] | None) -> None:
        self._spacing_stated = spacing is not None
        self._refresh()

    def _spaced(self) -> Volume:
        """Return the image with the spacing that the user has settled on."""
        volume = self._given(self.volume)
        if not self._spacing_stated:
            return volume
        if volume.spacing_known and volume.spacing == self.parameters.spacing:
            return volume
        return volume.with_spacing(self.parameters.spacing)

    def _run_arguments(self) -> dict[str, Any]:
        values = self.parameters.as_dict()
        del values["spacing"], values["region"]
        return {**values, "volume": self._spaced()}

    def _propose(self, run: Run, kind: Literal["try", "relabel", "segment"]) -> None:
        region, segmentation = run.region, run.segmentation
        offset = tuple(part.start for part in region) if region else (0,) * len(self.label_shape)
        labels = inside(segmentation.labels, region)
        for sentence in segmentation.notices:
            self._notice(sentence)
        self._set_proposal(Proposal(labels, offset, region, kind, segmentation, run.settings))
        self._idle_text = f"proposal: {_cells(len(segmentation.table))}"

    def _land(self, merged: Merged, prepared: LabelDocument | Replacement, run: Run) -> None:
        """Make merged labels the working ones: of a new document, or as a step of the present."""
        for sentence in run.segmentation.notices:
            self._notice(sentence)
        self._set_proposal(None)
        if isinstance(prepared, LabelDocument) or self.document is None:
            document = prepared if isinstance(prepared, LabelDocument) else None
            document = document or self._made_document(merged.labels)
            document.meta["source"] = f"model {run.settings['model']}"
            document.meta["parameters"] = dict(run.segmentation.parameters)
            self._set_document(document, merged.baseline, run)
        else:
            settings = {k: v for k, v in run.settings.items() if k != "region"}
            source = f"model {run.settings['model']}"
            self.document.replace(prepared, "segment", source, settings)
            self._drop_notices(None)
            self._baseline, self._told_edited, self._applied = merged.baseline, False, run
            self._edits += 1
            self.labels_changed.emit(self.labels)
            self.result_changed.emit(self.result)
        if run.region is None:
            self._given_document().set_quality(run.segmentation.table)
        self._set_saved(self.saved_path, True)
        self._count = merged.count
        self._idle_text = _cells(merged.count)

    def _adopt(self, labels: Labels, original: NDArray[np.uint64] | None = None) -> None:
        self._set_proposal(None)
        self._set_labels(labels, None, None)
        if original is not None:
            self._given_document().original_ids = original
        self._source = None
        self._set_saved(self.saved_path, False)
        self._idle_text = "labels adopted"


def _known(document: LabelDocument) -> dict[str, Any]:
    """What a label file says of its objects: how they came to be, and their original ids."""
    from napari_cellseg.labels.provenance import provenance_summary

    original = document.original_ids
    return {
        "provenance": provenance_summary(document),
        **({} if original is None else {"original_ids": original.tolist()}),
    }


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"
