"""Where the cells come from and go to, in the Edit dock: empty, a layer, a label file."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QMenu, QWidget

from napari_cellseg.errors import CellsegError, InputError
from napari_cellseg.widgets import dialogs
from napari_cellseg.widgets.alive import while_alive
from napari_cellseg.widgets.form import ActionButton
from napari_cellseg.widgets.session_layers import METADATA
from napari_cellseg.worker import JobContext, Priority, operation

if TYPE_CHECKING:
    from napari.viewer import ViewerModel

    from napari_cellseg.labels import LabelDocument
    from napari_cellseg.session import Session
    from napari_cellseg.widgets.session_layers import SessionLayers

_READ = "Labels (*.tif *.tiff *.npy *.zip *.roi *.h5 *.hdf5);;All files (*)"
_WRITE = {
    "OME-Zarr (*.ome.zarr *.zarr)": ".ome.zarr",
    "OME-TIFF (*.ome.tif *.tif *.tiff)": ".ome.tif",
    "Cellpose (*_seg.npy)": "_seg.npy",
    "ImageJ ROIs (*.zip)": ".zip",
    "HDF5 (*.h5)": ".h5",
}
_OF_SESSION = (".zarr", ".tif", ".tiff")
_OF_ROIS = (".zip", ".roi")


@operation("write label file")
def write_file(
    context: JobContext, *, path: Path, document: LabelDocument, options: dict[str, Any]
) -> Path:
    """Write the labels of a document as they are now to a label file, whole or not at all."""
    from napari_cellseg.labels.formats import write_label_file

    context.check()
    labels, number = document.copy_of_labels()  # edits go on meanwhile
    written = write_label_file(path, labels, **options)
    document.note_exported(written, number)
    return written


@operation("look at labels")
def look_at(context: JobContext, *, labels: Any, axes: str) -> LabelDocument:
    """Find the objects of labels that others are to be taken over from; they are copied."""
    from napari_cellseg.labels import LabelDocument

    context.check()
    return LabelDocument(labels, None, axes)


class EditFiles(QWidget):
    """Starts from cells and writes them; files are read and written by the worker.

    Parameters
    ----------
    viewer : ViewerModel
        Kept weakly.
    session : Session
    layers : SessionLayers
    """

    failed = Signal(object)
    said = Signal(str)
    taken_over = Signal(object)
    """A document whose cells are to be added to those that are there."""

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        layers: SessionLayers,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._layers = layers
        self.empty = ActionButton(
            "Empty cells", "Start without any cell, to draw them all.", self.start_empty
        )
        self.adopt = ActionButton(
            "Start from",
            "Start from a Labels layer or a label file, or add the cells of another layer.",
        )
        self.export = ActionButton(
            "Save as…",
            "Write the cells as OME-TIFF, OME-Zarr, Cellpose's _seg.npy, ImageJ ROIs or HDF5.",
            self.ask_export,
        )
        self.menu = QMenu(self.adopt)
        self.adopt.setMenu(self.menu)
        self.menu.aboutToShow.connect(self._fill)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(5)
        for button in (self.empty, self.adopt, self.export):
            row.addWidget(button)

    def show_state(self) -> None:
        """Show what can be done now."""
        there = self._session.labels is not None
        self.empty.setVisible(not there)
        self.export.setVisible(there)
        self.empty.set_available(self._session.can("adopt"))
        self.adopt.set_available(self._session.can("adopt"))
        self.export.set_available(self._session.can("save"))

    def start_empty(self) -> None:
        """Start without any cell."""
        self._adopt(np.zeros(self._session.label_shape, np.uint32))

    def adopt_layer(self, layer: Labels) -> None:
        """Start from a Labels layer, which becomes the cells layer."""
        before = self._layers.cells
        self._layers.adopt(layer)
        try:
            self._session.adopt(self._layers.as_session_labels(layer))
        except CellsegError as error:
            self._layers.adopt(before)
            self.failed.emit(error)
        else:
            layer.visible = True  # it may have been hidden, and now it is what is edited

    def take_over(self, layer: Labels) -> None:
        """Add the cells of another Labels layer to those that are there."""
        try:
            labels = self._layers.as_session_labels(layer)
            if labels.shape != self._session.label_shape:
                raise InputError(
                    f"The layer “{layer.name}” has shape {labels.shape} and the cells have "
                    f"{self._session.label_shape}: bring both to the same grid."
                )
        except CellsegError as error:
            self.failed.emit(error)
            return
        self.said.emit(f"Reading “{layer.name}”…")
        self._session.background(
            "look at labels",
            {"labels": labels, "axes": self._session.label_axes},
            key="label file",
            lane="files",
            priority=Priority.VIEW,
            land=while_alive(self, self.taken_over.emit),
            fail=while_alive(self, self.failed.emit),
            end=lambda job: None,
        )

    def open(self, path: Path) -> None:
        """Start from a label file or folder."""
        self.said.emit(f"Reading {path.name}…")
        try:
            self._session.adopt(path)
        except CellsegError as error:
            self.failed.emit(error)

    def write(self, path: Path, overwrite: bool = False) -> None:
        """Write the cells to a file, of the kind that its name says."""
        session, document = self._session, self._session.document
        try:
            if path.name.lower().endswith(_OF_SESSION):
                session.save(path, overwrite)
                return
            if document is None:
                raise InputError(session.can("save").reason)
        except CellsegError as error:
            self.failed.emit(error)
            return
        options = {
            "axes": document.axes,
            "spacing": document.spacing if document.spacing_known else None,
            "original_ids": document.original_ids,
            "metadata": session.layer_metadata(),
            "overwrite": overwrite,
        }
        self.said.emit(f"Writing {path.name}…")
        session.background(
            "write label file",
            {"path": path, "document": document, "options": options},
            key="label file",
            lane="files",
            priority=Priority.VIEW,
            land=while_alive(self, self._on_written),
            fail=while_alive(self, self.failed.emit),
            end=lambda job: None,
        )

    def ask_export(self) -> None:
        """Ask where to write the cells, and write them there."""
        image, volume = self._layers.image, self._session.volume
        source = None if volume is None else volume.source
        folder = source.parent if source is not None else Path.home()
        name = "cells" if image is None else f"{image.name} cells"
        chosen, kind = QFileDialog.getSaveFileName(
            self, "Save the cells", str(folder / f"{name}.ome.tif"), ";;".join(_WRITE)
        )
        if not chosen:
            return
        known = chosen.lower().endswith((*_OF_SESSION, *_WRITE.values()))
        path = Path(chosen if known else chosen + _WRITE.get(kind, ".ome.tif"))
        # The dialog asks about a file of the very name that was typed, but not about a folder.
        asked = known and not path.is_dir()
        if asked or not path.exists() or dialogs.agrees_to_replace(self, path):
            self.write(path, path.exists())

    def _fill(self) -> None:
        viewer = self._viewer()
        self.menu.clear()
        ours = (self._layers.cells, self._layers.proposal)
        others = [
            layer
            for layer in ([] if viewer is None else viewer.layers)
            if isinstance(layer, Labels)
            and layer not in ours
            and not layer.metadata.get(METADATA, {}).get("role")
        ]
        for layer in others:
            self._offer(f"{layer.name}", layer, self.adopt_layer)
        if others and self._session.labels is not None:
            self.menu.addSeparator()
            for layer in others:
                self._offer(f"Add the cells of {layer.name}", layer, self.take_over)
        self.menu.addSeparator()
        for text, slot in (
            ("Label file…", self._ask_file),
            ("Label folder (OME-Zarr)…", self._ask_folder),
            ("Empty cells", self.start_empty),
        ):
            self.menu.addAction(text).triggered.connect(lambda _=False, slot=slot: slot())

    def _offer(self, text: str, layer: Labels, take: Callable[[Labels], None]) -> None:
        kept = weakref.ref(layer)

        def chosen(checked: bool = False) -> None:
            there = kept()
            if there is not None:
                take(there)

        self.menu.addAction(text).triggered.connect(chosen)

    def _ask_file(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Start from a label file", "", _READ)
        if chosen:
            self.open(Path(chosen))

    def _ask_folder(self) -> None:
        path = dialogs.ask_label_folder(self)
        if path is not None:
            self.open(path)

    def _on_written(self, path: Path) -> None:
        self.said.emit(f"saved {path.name}")

    def _adopt(self, labels: np.ndarray) -> None:
        try:
            self._session.adopt(labels)
        except CellsegError as error:
            self.failed.emit(error)
