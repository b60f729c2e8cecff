"""Binds what docks show of the image to the viewer's image layers and the session's volume."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from napari.layers import Image
from psygnal import Signal
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QWidget

from napari_cellseg.errors import CellsegError
from napari_cellseg.session.crops import crop_of
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
from napari_cellseg.widgets.session_layers import METADATA, PICTURE, STORE, SessionLayers
from napari_cellseg.widgets.volume_layers import add_crop, add_volume

if TYPE_CHECKING:
    from napari.viewer import ViewerModel

    from napari_cellseg.session import Session
    from napari_cellseg.volume import Volume


_NO_IMAGES = (PICTURE, STORE)
"""Roles of Image layers that show something else than an image."""


class ImageSection(Protocol):
    """The part of a dock that shows the image: a widget whose signals `ImageChoice` follows.

    Of the signals ``open_file``, ``open_folder``, ``image_chosen``, ``channel_chosen``,
    ``axes_chosen`` and ``spacing_typed`` it has those that its fields can give.
    """

    @property
    def problem(self) -> str:
        """What is wrong with what was typed, as one sentence; empty if nothing is."""
        ...

    def show_images(self, names: Sequence[str], current: int | None) -> None:
        """List the image layers; ``current`` is the one in use."""
        ...

    def show_volume(
        self,
        volume: Volume | None,
        axes: LayerAxes | None = None,
        spacing: tuple[float, float, float] | None = None,
        spacing_known: bool = True,
        channel: int = 0,
    ) -> None:
        """Show a volume's metadata."""
        ...

    def show_channel(self, channel: int) -> None:
        """Show which channel is segmented."""
        ...


class ImageChoice(QObject):
    """Which image layer is segmented and prompted, and what is known of it.

    All docks of a viewer share one, so that they never disagree: see `choice_for`.

    Attributes
    ----------
    changed : Signal
        The image or its metadata changed.
    failed : Signal
        Something asked for cannot be done; a typed error.
    """

    changed: ClassVar[Signal] = Signal()
    failed: ClassVar[Signal] = Signal(Exception)

    def __init__(self, viewer: ViewerModel, session: Session, layers: SessionLayers) -> None:
        super().__init__()
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._layers = layers
        self._sections: list[ImageSection] = []
        self._listed: list[weakref.ref[Any]] = []
        self._refused: weakref.WeakSet[Any] = weakref.WeakSet()
        self._axes: LayerAxes | None = None
        self._slots = {
            "open_file": self._open_file,
            "open_folder": self._open_folder,
            "image_chosen": self._on_image,
            "channel_chosen": self._on_channel,
            "axes_chosen": self._on_axes,
            "spacing_typed": self._on_spacing,
        }

    @property
    def image(self) -> Image | None:
        """The image layer in use."""
        return self._layers.image

    @property
    def problem(self) -> str:
        """Why nothing can be segmented yet, as far as the image is concerned."""
        if self.image is None:
            return "open an image first."
        return next((section.problem for section in self._sections if section.problem), "")

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

    def join(self, section: ImageSection) -> None:
        """Show the image in a section, and do what the user asks for there."""
        if section in self._sections:
            return
        self._sections.append(section)
        for name, slot in self._slots.items():
            signal = getattr(section, name, None)
            if signal is not None:
                signal.connect(slot)
        if len(self._sections) == 1:
            self._connect_viewer()
        self.refresh()
        self.show()

    def leave(self, section: ImageSection) -> None:
        """Show nothing there any more; without a section left, follow nothing."""
        if section not in self._sections:
            return
        self._sections.remove(section)
        for name, slot in self._slots.items():
            signal = getattr(section, name, None)
            if signal is not None:
                signal.disconnect(slot)
        if not self._sections:
            self._disconnect_viewer()

    def _connect_viewer(self) -> None:
        viewer = self._viewer()
        if viewer is None:
            return
        events = viewer.layers.events
        events.inserted.connect(self.refresh)
        events.reordered.connect(self.refresh)
        events.removed.connect(self._on_removed)
        self._session.volume_changed.connect(self._on_volume)
        self._session.parameters.events.channel.connect(self._show_channel)
        self._watch()

    def _disconnect_viewer(self) -> None:
        self._session.volume_changed.disconnect(self._on_volume)
        self._session.parameters.events.channel.disconnect(self._show_channel)
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
        for section in self._sections:
            section.show_images([image.name for image in images], current)

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
            if cells is None and self._session.labels is None:
                cells = self._layers.orphan()
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
        self._watch()

    def show(self) -> None:
        """Show the metadata of the image in use."""
        volume = self._session.volume if self.image is not None else None
        for section in self._sections:
            section.show_volume(
                volume,
                self._axes,
                self._session.parameters.spacing,
                self._session.unit == "µm",
                self._session.parameters.channel,
            )
        self.changed.emit()

    def _images(self) -> list[Image]:
        viewer = self._viewer()
        layers = [] if viewer is None else [x for x in viewer.layers if isinstance(x, Image)]
        return [x for x in layers if x.metadata.get(METADATA, {}).get("role") not in _NO_IMAGES]

    def _watch(self) -> None:
        image = self.image
        if image is not None:
            image.events.name.connect(self._on_name)
            image.events.data.connect(self._on_data)
            image.events.scale.connect(self._on_scale)

    def _unwatch(self) -> None:
        image = self.image
        if image is not None:
            image.events.name.disconnect(self._on_name)
            image.events.data.disconnect(self._on_data)
            image.events.scale.disconnect(self._on_scale)

    def _open_file(self) -> None:
        self._open(dialogs.ask_image_file(self._asking()))

    def _open_folder(self) -> None:
        self._open(dialogs.ask_image_folder(self._asking()))

    def _asking(self) -> QWidget:
        """The section whose button was pressed."""
        section = self.sender()
        assert isinstance(section, QWidget)
        return section

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
        crop = crop_of(volume)
        if crop is None:
            layer = add_volume(viewer, volume)
        else:
            whole = [one for one in self._images() if known_volume(one) is crop.parent]
            layer = add_crop(viewer, volume, crop, whole[0] if whole else None)
        self.choose(layer)
        self.refresh()

    def _on_image(self, index: int) -> None:
        image = self._listed[index]() if index < len(self._listed) else None
        if image is not None and image is not self.image:
            self.choose(image)

    def _on_channel(self, index: int) -> None:
        self._session.parameters.channel = index

    def _show_channel(self, channel: int) -> None:
        for section in self._sections:
            section.show_channel(channel)

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


_choices: weakref.WeakValueDictionary[int, ImageChoice] = weakref.WeakValueDictionary()


def choice_for(viewer: ViewerModel, session: Session, layers: SessionLayers) -> ImageChoice:
    """Return the choice that all docks of a session share; they keep it, this does not."""
    choice = _choices.get(id(session))
    if choice is None or choice._session is not session:
        choice = _choices[id(session)] = ImageChoice(viewer, session, layers)
    return choice
