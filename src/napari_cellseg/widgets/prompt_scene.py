"""What the model is asked of: image, contrast, channels, model files; as the dock sets it."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QObject, QTimer, Signal

from napari_cellseg.errors import CellsegError
from napari_cellseg.prompts.registry import predictor_info
from napari_cellseg.widgets.image_layers import channel_of, known_volume
from napari_cellseg.widgets.preferences import preferences
from napari_cellseg.widgets.prompt_files import choose
from napari_cellseg.widgets.prompt_picture import show_picture
from napari_cellseg.worker import Priority

if TYPE_CHECKING:
    from napari.viewer import ViewerModel

    from napari_cellseg.prompts.plane_view import Limits, Plane
    from napari_cellseg.session import Session
    from napari_cellseg.widgets.session_layers import SessionLayers

CONTRAST_MS = 300
"""A slider that moves has each plane encoded anew: only once it rests."""


class PromptScene(QObject):
    """Sets what answers depend on, besides the prompts.

    Emits ``failed`` with a typed error, and ``said`` with a sentence that helps.
    """

    failed = Signal(object)
    said = Signal(str)
    changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        layers: SessionLayers,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._layers = layers
        self._frozen: weakref.ref[Image] | None = None
        self._followed: list[Image] = []
        self._device = ""
        self.follow = False
        self._contrast_timer = QTimer(self)
        self._contrast_timer.setSingleShot(True)
        self._contrast_timer.setInterval(CONTRAST_MS)
        self._contrast_timer.timeout.connect(self._on_rest)

    def connect_session(self) -> None:
        """Follow the session."""
        self._session.prompts.pictured.connect(self._on_picture)

    def disconnect_session(self) -> None:
        """Follow nothing any more."""
        self._session.prompts.pictured.disconnect(self._on_picture)
        self._unfollow()

    def stop(self) -> None:
        """Leave no timer behind."""
        self._contrast_timer.stop()

    @property
    def missing(self) -> str:
        """Where the model's weights are expected, if they are not on this machine."""
        from napari_cellseg.worker import prompting

        settings = self._session.prompts.settings
        return prompting.weights_missing(settings.model, settings.checkpoint)

    def prepare(self) -> None:
        """Take over preferences, and the contrast if none was frozen for this image."""
        from napari_cellseg.worker.scene import configure_cache

        chosen = preferences()
        if chosen.device != self._device:
            self._device = chosen.device
            self._session.prompts.settings.device = chosen.device
        configure_cache(chosen.cache_folder, round(chosen.cache_size * 1e9))
        frozen = self._frozen() if self._frozen is not None else None
        if self._layers.image is not None and frozen is not self._layers.image:
            self.take_contrast()

    def new_image(self) -> None:
        """Begin another image: with its channel, and its contrast once prompting is on."""
        settings, image = self._session.prompts.settings, self._layers.image
        self._frozen = None
        self._unfollow()
        if self._session.volume is None or image is None:
            return
        channel = channel_of(image)
        settings.channels = (channel if channel < self._session.volume.n_channels else 0,)
        if self._session.prompts.active:
            self.take_contrast()
        if self.follow:
            self._follow()

    # -- contrast --------------------------------------------------------------------------------

    def take_contrast(self) -> None:
        """Show the model the image with the contrast limits that its layers have now."""
        image = self._layers.image
        if image is None:
            return
        self._frozen = weakref.ref(image)
        settings = self._session.prompts.settings
        try:
            settings.limits = tuple(self._limits(channel) for channel in settings.channels)
        except CellsegError as error:
            self.failed.emit(error)

    def follow_contrast(self, follow: bool) -> None:
        """Follow the layers' contrast limits from now on, or keep what they are."""
        self.follow = follow
        self._unfollow()
        if follow:
            self._follow()
            self.take_contrast()

    def _follow(self) -> None:
        channels = self._session.prompts.settings.channels
        for layer in {id(x): x for x in map(self._layer_of, channels) if x is not None}.values():
            layer.events.contrast_limits.connect(self._on_contrast)
            self._followed.append(layer)

    def _unfollow(self) -> None:
        for layer in self._followed:
            layer.events.contrast_limits.disconnect(self._on_contrast)
        self._followed.clear()

    def _on_contrast(self, event: Any) -> None:
        self._contrast_timer.start()

    def _on_rest(self) -> None:
        if self.follow:
            self.take_contrast()

    def _limits(self, channel: int) -> Limits | None:
        layer, volume = self._layer_of(channel), self._session.volume
        if layer is None or volume is None or layer.rgb:
            return None
        low, high = (float(value) for value in layer.contrast_limits)
        return (low, high) if np.isfinite([low, high]).all() and low < high else None

    def _layer_of(self, channel: int) -> Image | None:
        """The layer that shows a channel: one of its own, or the image itself."""
        viewer, image, volume = self._viewer(), self._layers.image, self._session.volume
        if viewer is None or image is None or "c" in self._layers.axes:
            return image
        for layer in viewer.layers:
            if (
                isinstance(layer, Image)
                and known_volume(layer) is volume
                and channel_of(layer) == channel
            ):
                return layer
        return image

    # -- channels and models ---------------------------------------------------------------------

    def use_channels(self, channels: tuple[int, ...]) -> None:
        """Show these channels to the model."""
        try:
            self._session.prompts.settings.channels = channels
        except CellsegError as error:
            self.failed.emit(error)
            return
        self.take_contrast()
        if self.follow:
            self._unfollow()
            self._follow()

    def use_model(self, name: str) -> None:
        """Take a model; a file that suits both stays."""
        settings = self._session.prompts.settings
        kept = None
        if {predictor_info(name).family, predictor_info(settings.model).family} == {
            "sam",
            "medsam",
        }:
            kept = settings.checkpoint  # their files cannot be told apart
        settings.update(model=name, checkpoint=kept, framing=None)

    def use_files(self, files: Sequence[Path]) -> None:
        """Take model files of the user's own; which model they are for is found out."""
        if not files:
            return
        paths = tuple(files)
        self.said.emit(f"Reading {' and '.join(path.name for path in paths)}…")
        self._session.background(
            "recognise checkpoints",
            {"files": paths},
            key="recognise checkpoints",
            lane="files",
            priority=Priority.CLICK,
            land=self._on_families,
            fail=self._on_unread,
            end=self._on_read,
        )

    def _on_families(self, families: dict[Path, str]) -> None:
        settings = self._session.prompts.settings
        try:
            chosen = choose(families, settings.model, self._base())
        except CellsegError as error:
            self.failed.emit(error)
            return
        settings.update(model=chosen.model, checkpoint=chosen.checkpoint, framing=None)
        self.said.emit(chosen.note or f"Using {predictor_info(chosen.model).title} from your file.")

    def _on_unread(self, error: Exception) -> None:
        self.failed.emit(error)

    def _on_read(self, job: Any) -> None:
        self.changed.emit()

    def _base(self) -> Path | None:
        """SAM's own file, where one is known."""
        from napari_cellseg.prompts.download import model_folder

        settings = self._session.prompts.settings
        family = predictor_info(settings.model).family
        if isinstance(settings.checkpoint, Path) and family in ("sam", "medsam"):
            return settings.checkpoint
        file = model_folder() / predictor_info("sam").file
        return file if file.is_file() else None

    # -- jobs ------------------------------------------------------------------------------------

    def through_z(self) -> None:
        """Carry the object in hand to the planes around."""
        self._session.prompts.through_z()

    def everything(self) -> None:
        """Find every cell of the plane in view."""
        self._session.prompts.everything()

    def picture(self) -> None:
        """Show what the model sees of the plane in view."""
        try:
            self._session.prompts.picture()
        except CellsegError as error:
            self.failed.emit(error)

    def download(self) -> None:
        """Fetch the model's weights."""
        try:
            self._session.prompts.download()
        except CellsegError as error:
            self.failed.emit(error)

    def _on_picture(self, plane: Plane, picture: np.ndarray) -> None:
        viewer, image = self._viewer(), self._layers.image
        if viewer is not None and image is not None:
            axes = self._session.label_axes
            show_picture(viewer, image, self._layers.axes, axes, plane, picture)
