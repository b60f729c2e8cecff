"""Binds regions and label stores to the session."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Shapes
from qtpy.QtCore import QObject, Signal

from napari_cellseg.errors import CellsegError
from napari_cellseg.session.crops import crop_of
from napari_cellseg.widgets import dialogs
from napari_cellseg.widgets.canvas_shim import keep_drawn
from napari_cellseg.widgets.region_box import region_meant
from napari_cellseg.widgets.region_section import RegionSection
from napari_cellseg.widgets.session_layers import SessionLayers
from napari_cellseg.widgets.store_layer import StoreLayer

if TYPE_CHECKING:
    from napari.viewer import ViewerModel

    from napari_cellseg.session import Session


class RegionRun(QObject):
    """What the region section asks for, and what the session answers.

    Emits ``failed`` with a typed error when something asked for cannot be done.
    """

    failed = Signal(object)

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        layers: SessionLayers,
        section: RegionSection,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._layers = layers
        self._section = section
        self.store = StoreLayer(viewer, session, layers, self)
        section.segment_region.connect(self.segment_region)
        section.segment_store.connect(self.ask_store)
        section.edit_region.connect(self.edit_region)
        section.write_back.connect(self.write_back)

    def connect_session(self) -> None:
        """Follow the session and the viewer."""
        session, viewer = self._session, self._viewer()
        session.volume_changed.connect(self._on_volume)
        session.store_written.connect(self._on_written)
        if viewer is not None:
            viewer.layers.events.removed.connect(self._on_removed)
            viewer.dims.events.ndisplay.connect(self._on_dims)
        if session.growing is not None:
            self.store.follow()
        else:
            self.store.look()  # it may have ended while nobody looked

    def disconnect_session(self) -> None:
        """Follow them no more; needs no living Qt object."""
        session, viewer = self._session, self._viewer()
        session.volume_changed.disconnect(self._on_volume)
        session.store_written.disconnect(self._on_written)
        if viewer is not None:
            viewer.layers.events.removed.disconnect(self._on_removed)
            viewer.dims.events.ndisplay.disconnect(self._on_dims)

    def stop(self) -> None:
        """Leave no timer behind."""
        self.store.stop()

    # -- verbs -----------------------------------------------------------------------------------

    def region(self) -> tuple[slice, ...] | None:
        """Return the box that the user means; None without an image."""
        viewer, image = self._viewer(), self._layers.image
        if viewer is None or image is None:
            return None
        active = viewer.layers.selection.active
        if isinstance(active, Shapes):
            keep_drawn(viewer, active)  # its user will remove it some time
        axes, planes = self._session.label_axes, self._section.planes.value()
        return region_meant(viewer, image, self._layers.axes, axes, planes)

    def segment_region(self) -> None:
        """Segment the region as an image of its own."""
        region = self.region()
        if region is not None:
            self._do(self._session.segment_region, region)

    def ask_store(self) -> None:
        """Ask where to, and segment the whole image block by block into that store."""
        volume, image = self._session.volume, self._layers.image
        source = None if volume is None else volume.source
        folder = source.parent if source is not None else Path.home()
        name = "image" if image is None else image.name
        path = dialogs.ask_store_path(self._section, folder / f"{name} cells.ome.zarr")
        if path is not None:
            self.segment_store(path, path.exists())

    def segment_store(self, path: Path, overwrite: bool = False) -> None:
        """Segment the whole image block by block into a store."""
        self._do(self._session.segment_store, path, overwrite)
        if self._session.growing is not None:
            self.store.remove()
            self.store.follow()

    def edit_region(self) -> None:
        """Open the region of the label store; ask for the store where it is not known."""
        store, region = self._session.label_store, self.region()
        if store is None:
            store = dialogs.ask_label_store(self._section)
        if store is not None and region is not None:
            self._do(self._session.open_region, store, region)

    def write_back(self) -> None:
        """Put the cells of the region back into their store."""
        self._do(self._session.write_back)

    def _do(self, verb: Callable[..., Any], *args: Any) -> None:
        try:
            verb(*args)
        except CellsegError as error:
            self.failed.emit(error)

    # -- showing ---------------------------------------------------------------------------------

    def refresh(self, problem: str) -> None:
        """Show what can be done, and whether any of it is of use for this image."""
        session, section = self._session, self._section
        volume = session.volume
        part = crop_of(volume) is not None
        on_disk = volume is not None and volume.source is not None and volume.source.is_dir()
        known = session.label_store is not None
        useful = volume is not None and (part or on_disk or known or session.too_large)
        section.setVisible(useful)
        section.show_deep("z" in session.label_axes)
        section.region_button.set_available(session.can("segment_region"), problem)
        section.store_button.set_available(session.can("segment_store"), problem)
        section.edit_button.set_available(session.can("open_region"))
        section.edit_button.setText("Edit region" if known else "Edit region…")
        section.back_button.set_available(session.can("write_back"))

    def _on_volume(self, volume: Any) -> None:
        self.store.on_volume()

    def _on_written(self, store: Path, box: Any) -> None:
        self.store.refresh()

    def _on_removed(self, event: Any) -> None:
        self.store.removed(event.value)

    def _on_dims(self, event: Any) -> None:
        self.store.on_dims()
