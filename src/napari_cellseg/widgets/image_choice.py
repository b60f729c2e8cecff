"""Binds the source section to the viewer's image layers and the session's volume."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QObject, Signal

from napari_cellseg.errors import CellsegError
from napari_cellseg.widgets import dialogs
from napari_cellseg.widgets.image_layers import (
    LayerAxes,
    channel_of,
    forget,
    known_volume,
    layer_axes,
    layer_spacing,
    layer_volume,
    set_spacing,
)
from napari_cellseg.widgets.session_layers import SessionLayers
from napari_cellseg.widgets.source_section import SourceSection
from napari_cellseg.widgets.volume_layers import add_volume

if TYPE_CHECKING:
    from napari.viewer import ViewerModel

    from napari_cellseg.session import Session
    from napari_cellseg.volume import Volume


class ImageChoice(QObject):
    """Which image layer is segmented, and what is known of it.

    Emits ``changed`` when the image or its metadata changed, and ``failed`` with a typed error
    when something asked for cannot be done.
    """

    changed = Signal()
    failed = Signal(object)

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        layers: SessionLayers,
        section: SourceSection,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._layers = layers
        self._section = section
        self._listed: list[weakref.ref[Any]] = []
        self._refused: weakref.WeakSet[Any] = weakref.WeakSet()
        self._axes: LayerAxes | None = None
        section.open_file.connect(self._open_file)
        section.open_folder.connect(self._open_folder)
        section.image_chosen.connect(self._on_image)
        section.channel_chosen.connect(self._on_channel)
        section.axes_chosen.connect(self._on_axes)
        section.spacing_typed.connect(self._on_spacing)

    @property
    def image(self) -> Image | None:
        """The image layer in use."""
        return self._layers.image

    @property
    def problem(self) -> str:
        """Why nothing can be segmented yet, as far as the image is concerned."""
        if self.image is None:
            return "open an image first."
        return self._section.spacing.problem

    @property
    def asks_for(self) -> str:
        """What the image does not state and the user should, as one sentence."""
        if self.image is None or self._axes is None or self._session.result is not None:
            return ""  # who has segmented without stating it has seen what comes of it
        flat = "z" not in self._axes.axes
        missing = []
        if not self._axes.known:
            missing.append("what its axes are")
        if self._session.unit != "µm":
            missing.append(f"how large a {'pixel' if flat else 'voxel'} is")
        if not missing:
            return ""
        asked = f"The image does not say {' and '.join(missing)}: please state it above."
        if self._session.unit == "µm":
            return asked
        cubes = "" if flat else "voxels are taken as cubes and "
        return f"{asked} Until then, {cubes}lengths are in pixels."

    def connect_viewer(self) -> None:
        """Follow the viewer's layers and the session's volume."""
        viewer = self._viewer()
        if viewer is None:
            return
        events = viewer.layers.events
        events.inserted.connect(self.refresh)
        events.reordered.connect(self.refresh)
        events.removed.connect(self._on_removed)
        self._session.volume_changed.connect(self._on_volume)
        self._session.parameters.events.channel.connect(self._section.show_channel)
        self.refresh()

    def disconnect_viewer(self) -> None:
        """Follow nothing any more."""
        self._session.volume_changed.disconnect(self._on_volume)
        self._session.parameters.events.channel.disconnect(self._section.show_channel)
        self._unwatch()
        viewer = self._viewer()
        if viewer is not None:
            events = viewer.layers.events
            events.inserted.disconnect(self.refresh)
            events.reordered.disconnect(self.refresh)
            events.removed.disconnect(self._on_removed)

    def refresh(self, event: Any = None) -> None:
        """List the image layers again; take one where none is in use."""
        images = self._images()
        usable = [image for image in images if image not in self._refused]
        if usable and self.image is None:
            volume = self._session.volume
            ours = [x for x in usable if volume is not None and known_volume(x) is volume]
            self.choose([*usable, *ours[:1]][-1])
        self._list()
        self.changed.emit()

    def _list(self) -> None:
        images = self._images()
        self._listed = [weakref.ref(image) for image in images]
        current = images.index(self.image) if self.image in images else None
        self._section.show_images([image.name for image in images], current)

    def choose(self, image: Image, axes: str | None = None) -> None:
        """Segment this image from now on; its metadata is read, its data are not.

        Parameters
        ----------
        image : napari Image layer
        axes : str, optional
            The layer's axes, where the user knows better than the layer.
        """
        try:
            known = layer_axes(image)
            if axes is not None:
                known = LayerAxes(axes, True, known.choices)
            volume = layer_volume(image, axes)
            self._unwatch()
            self._axes = known
            cells = self._layers.use_image(image, known.axes)
            if self._session.volume is not volume:
                self._session.use_volume(volume)
                self._session.parameters.channel = channel_of(image)
            spacing = layer_spacing(image, known.axes)
            if spacing is not None and spacing != self._session.parameters.spacing:
                self._session.parameters.spacing = spacing  # typed earlier, or set in napari
            if cells is not None and self._session.labels is None:
                self._layers.adopt(cells)
                self._session.adopt(self._layers.as_session_labels(cells))
            else:
                self._layers.find_layers()
        except CellsegError as error:
            self._refused.add(image)  # it is not tried again by itself
            self._layers.use_image(None, "")
            self.failed.emit(error)
            return
        finally:
            self._list()  # letting go of the former image's proposal has listed that image
            self.show()
        image.events.name.connect(self._on_name)
        image.events.data.connect(self._on_data)
        image.events.scale.connect(self._on_scale)

    def show(self) -> None:
        """Show the metadata of the image in use."""
        volume = self._session.volume if self.image is not None else None
        self._section.show_volume(
            volume,
            self._axes,
            self._session.parameters.spacing,
            self._session.unit == "µm",
            self._session.parameters.channel,
        )
        self.changed.emit()

    def _images(self) -> list[Image]:
        viewer = self._viewer()
        return [] if viewer is None else [x for x in viewer.layers if isinstance(x, Image)]

    def _unwatch(self) -> None:
        image = self.image
        if image is not None:
            image.events.name.disconnect(self._on_name)
            image.events.data.disconnect(self._on_data)
            image.events.scale.disconnect(self._on_scale)

    def _open_file(self) -> None:
        self._open(dialogs.ask_image_file(self._section))

    def _open_folder(self) -> None:
        self._open(dialogs.ask_image_folder(self._section))

    def _open(self, path: Path | None) -> None:
        if path is None:
            return
        try:
            self._session.open(path)
        except CellsegError as error:
            self.failed.emit(error)

    def _on_volume(self, volume: Volume | None) -> None:
        """Add layers for a volume that the session has read."""
        viewer = self._viewer()
        if volume is None or viewer is None:
            return
        if self.image is not None and layer_volume(self.image) is volume:
            return
        self.choose(add_volume(viewer, volume))
        self.refresh()

    def _on_image(self, index: int) -> None:
        image = self._listed[index]() if index < len(self._listed) else None
        if image is not None and image is not self.image:
            self.choose(image)

    def _on_channel(self, index: int) -> None:
        self._session.parameters.channel = index

    def _on_axes(self, axes: str) -> None:
        if self.image is not None:
            self.image.axis_labels = tuple(axes)
            self.choose(self.image, axes)

    def _on_spacing(self, spacing: tuple[float, ...]) -> None:
        if self.image is None or self._axes is None or len(spacing) != 3:
            self.changed.emit()  # what is wrong stays in its field, and is said
            return
        zyx = (spacing[0], spacing[1], spacing[2])
        try:
            self._session.parameters.spacing = zyx
        except CellsegError as error:
            self.failed.emit(error)
            return
        self.image.events.scale.disconnect(self._on_scale)
        set_spacing(self.image, self._axes.axes, zyx)
        self.image.events.scale.connect(self._on_scale)
        self._layers.rescale()
        self.show()

    def _on_removed(self, event: Any) -> None:
        role = self._layers.removed(event.value)
        if role:
            self._session.cancel()
        if role in ("proposal", "image"):
            self._session.discard()
        if role == "cells":
            self._session.remove_labels()
        if role == "image":
            self._axes = None
            self.show()
        self.refresh()

    def _on_name(self, event: Any) -> None:
        self.refresh()

    def _on_data(self, event: Any) -> None:
        if self.image is not None and self._axes is not None:
            forget(self.image)
            self.choose(self.image, self._axes.axes)

    def _on_scale(self, event: Any) -> None:
        if self.image is None or self._axes is None:
            return
        spacing = layer_spacing(self.image, self._axes.axes)
        if spacing is not None:
            self._session.parameters.spacing = spacing
            self._layers.rescale()
            self.show()
