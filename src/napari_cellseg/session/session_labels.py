"""What a session does with its labels: take, undo, save, and follow whoever else writes them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellseg.labels import LabelDocument, Mark
from napari_cellseg.session.operations import Adopted, as_labels
from napari_cellseg.session.recovery import SessionRecovery

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cellseg.labels import Replacement
    from napari_cellseg.session.merge import Merged
    from napari_cellseg.session.records import Run
    from napari_cellseg.session.state import Labels
    from napari_cellseg.volume import Volume
    from napari_cellseg.worker import Job


class SessionLabels(SessionRecovery):
    """The part of a session that takes, brings back and writes labels."""

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
            former, standing = self._previous.pop()
            earlier = list(self._previous)
            self._set_document(former, standing.baseline, standing.applied)
            self._previous = earlier
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
        return cells(self._count) if self._applied is not None else "labels adopted"

    def remove_labels(self) -> None:
        """Start afresh without labels; `undo` brings them back."""
        with self._lock:
            if self.labels is None:
                return
            self._set_labels(None, None, None)
            if self.proposal is None:
                self._source = None
            self._set_saved(self.saved_path, False)
            self._idle_text = "The cells were removed; Undo brings them back."
            self._refresh()

    def save(self, path: str | Path, overwrite: bool = False) -> Job:
        """Write the labels (``.tif`` or ``.ome.zarr``), whole or not at all.

        A proposal is no part of them, which is said. Closing the session does not stop it;
        `cancel` does.
        """
        self._need("save")
        self._check_target(Path(path))
        if self.proposal is not None:
            self._notice_for_now(
                "The proposal is not part of the saved file: press Apply first to save it."
            )
        document = self._given_document()
        if not document.read_only and document.absorb() is not None:
            self._notice_for_now(
                "Something else had written into the cells: it is a step that you can undo."
            )
        edits = self._edits
        arguments = {
            "path": Path(path),
            "document": document,
            "like": self._spaced(),
            "overwrite": overwrite,
            "metadata": {**self.layer_metadata(), **_known(document)},
        }

        def land(written: Path) -> None:
            self._set_saved(written, self._edits != edits)
            self._idle_text = f"saved {written.name}"

        return self._submit("save", "save document", arguments, land, lane="files", finish=True)

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
                self._mark_as(read.marks)
                for sentence in read.notices:
                    self._notice_for_now(sentence)

            return self._submit("adopt", "read labels to adopt", arguments, land, lane="files")
        with self._lock:
            self._adopt(
                *as_labels(labels, self.label_shape, self.label_axes, "The labels of the layer")
            )
            self._refresh()
        return None

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
                taken, original = as_labels(
                    labels, shape, self.label_axes, "The labels of the layer"
                )
                if self.document is None:
                    self._adopt(taken, original)
                    return
                if taken is not self.labels:
                    self.document.replace(np.ascontiguousarray(taken), "foreign", "another tool")
            if self.document is not None and self.document.absorb() is None:
                self._refresh()

    def _check_target(self, path: Path) -> None:
        """Refuse to save to a place; see `SessionRegions`."""

    def _land(self, merged: Merged, prepared: LabelDocument | Replacement, run: Run) -> None:
        """Make merged labels the working ones: of a new document, or as a step of the present."""
        self._notices_of_run(run.segmentation.notices)
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
        self._idle_text = cells(merged.count)

    def _mark_as(self, marks: dict[str, Any]) -> None:
        """Give objects the locks, classes and the like that their file has for them."""
        document = self._given_document()
        given = [
            Mark(int(t), int(label), name, value)
            for name, rows in marks.items()
            for t, label, value in rows
            if (int(t), int(label)) in document.objects
        ]
        if given:
            document.apply(*given, kind="marks", source="file")

    def _adopt(self, labels: Labels, original: NDArray[np.uint64] | None = None) -> None:
        self._set_proposal(None)
        self._set_labels(labels, None, None)
        if original is not None:
            self._given_document().original_ids = original
        self._source = None
        self._set_saved(self.saved_path, False)
        self._idle_text = "labels adopted"

    def _spaced(self) -> Volume:
        """Return the image with the spacing that the user has settled on."""
        volume = self._given(self.volume)
        if not self._spacing_stated:
            return volume
        if volume.spacing_known and volume.spacing == self.parameters.spacing:
            return volume
        return volume.with_spacing(self.parameters.spacing)


def _known(document: LabelDocument) -> dict[str, Any]:
    """What a label file says of its objects: how they came to be, and their original ids."""
    from napari_cellseg.labels.provenance import provenance_summary

    original = document.original_ids
    marks = {
        name: [[t, label, value] for (t, label), value in sorted(column.items())]
        for name, column in document.objects.marks.items()
        if column
    }
    return {
        "provenance": provenance_summary(document),
        "marks": marks,
        **({} if original is None else {"original_ids": original.tolist()}),
    }


def cells(count: int) -> str:
    """Return a number of cells in words."""
    return "1 cell" if count == 1 else f"{count} cells"
