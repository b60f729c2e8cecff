"""Binds model, diameter, runs, sliders and results to the session."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtGui import QAction

from napari_cellseg.errors import CellsegError
from napari_cellseg.widgets import dialogs
from napari_cellseg.widgets.measure import MeasureTool
from napari_cellseg.widgets.model_section import ModelSection
from napari_cellseg.widgets.preferences import preferences
from napari_cellseg.widgets.result_section import ResultSection
from napari_cellseg.widgets.session_layers import SessionLayers
from napari_cellseg.widgets.view import region_in_view

if TYPE_CHECKING:
    from napari.viewer import ViewerModel

    from napari_cellseg.session import Proposal, Session

RELABEL_MS = 30
_FILE, _FOLDER = "file", "folder"
SUGGESTION = "fusion='xy'"
"""What the engine says where planes had better be labelled one by one."""


class SegmentRun(QObject):
    """What the model and result sections ask for, and what the session answers.

    Emits ``failed`` with a typed error when something asked for cannot be done.
    """

    failed = Signal(object)
    changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        layers: SessionLayers,
        model: ModelSection,
        result: ResultSection,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._layers = layers
        self._model = model
        self._result = result
        self.measure = MeasureTool(viewer, self)
        self._relabel_timer = QTimer(self)
        self._relabel_timer.setSingleShot(True)
        self._relabel_timer.setInterval(RELABEL_MS)
        self._relabel_timer.timeout.connect(self._relabel)
        self._device = ""
        self._files: dict[str, tuple[Path, ...]] = {}
        self._follow_preferences()
        self._adoptable: list[weakref.ref[Labels]] = []
        model.model_chosen.connect(self._on_model)
        model.file_asked.connect(self.ask_model_file)
        model.fusion_chosen.connect(self._on_fusion)
        model.channel_chosen.connect(self._on_second_channel)
        model.diameter_typed.connect(self._on_diameter)
        model.measure_toggled.connect(self._on_measure)
        model.try_here.connect(self.try_here)
        model.segment_all.connect(self.segment_all)
        self.measure.measured.connect(self._on_measured)
        self.measure.finished.connect(self._on_measure_finished)
        result.probability_moved.connect(self._on_probability)
        result.min_size_moved.connect(self._on_min_size)
        result.min_size_reset.connect(self._on_min_size_reset)
        result.apply.connect(self.apply)
        result.discard.connect(self.discard)
        result.undo.connect(self.undo)
        result.save.connect(self.ask_save)
        result.save_field.connect(self.ask_save_field)
        result.open_field.connect(self.ask_open_field)
        result.adopt_menu.aboutToShow.connect(self._fill_adopt_menu)
        result.adopt_menu.triggered.connect(self._on_adopt)

    def connect_session(self) -> None:
        """Show what the session says."""
        session = self._session
        session.labels_changed.connect(self._on_labels)
        session.proposal_changed.connect(self._on_proposal)
        session.volume_changed.connect(self._on_labels)
        session.notices_changed.connect(self._on_notices)
        session.parameters.events.connect(self._on_parameter)
        self.show()

    def disconnect_session(self) -> None:
        """Show nothing any more."""
        session = self._session
        session.labels_changed.disconnect(self._on_labels)
        session.proposal_changed.disconnect(self._on_proposal)
        session.volume_changed.disconnect(self._on_labels)
        session.notices_changed.disconnect(self._on_notices)
        session.parameters.events.disconnect(self._on_parameter)

    @property
    def problem(self) -> str:
        """Why nothing can be segmented yet, as far as what was chosen here is concerned."""
        parameters = self._session.parameters
        missing = self._model.missing(parameters.model, parameters.files)
        return self._model.diameter.problem or missing

    def stop(self) -> None:
        """Leave no timer and no measuring behind."""
        self._relabel_timer.stop()
        self.measure.stop()

    @property
    def relabel_pending(self) -> bool:
        """Whether a slider has moved and its labelling has not been asked for yet."""
        return self._relabel_timer.isActive()

    # -- verbs -----------------------------------------------------------------------------------

    def try_here(self) -> None:
        """Segment what the user is looking at."""
        viewer, image = self._viewer(), self._layers.image
        if viewer is not None and image is not None:
            self._follow_preferences()
            axes = self._session.label_axes
            region = region_in_view(viewer, image, self._layers.axes, axes)
            self._do(self._session.try_region, region)

    def segment_all(self) -> None:
        """Segment the whole image."""
        self._follow_preferences()
        self._do(self._session.segment)

    def apply(self) -> None:
        """Take the proposal over into the cells."""
        self._do(self._session.apply)

    def discard(self) -> None:
        """Throw the proposal away."""
        self._relabel_timer.stop()
        self._do(self._session.discard)

    def undo(self) -> None:
        """Go back to the cells before the last apply."""
        self._relabel_timer.stop()
        self._do(self._session.undo)

    def save(self, path: Path, overwrite: bool) -> None:
        """Save the cells."""
        self._do(self._session.save, path, overwrite)

    def _follow_preferences(self) -> None:
        device = preferences().device
        if device != self._device:  # chosen since the last run; else a recipe's device stays
            self._device = device
            self._set("device", device)

    def _do(self, verb: Callable[..., Any], *args: Any) -> None:
        try:
            verb(*args)
        except CellsegError as error:
            self.failed.emit(error)

    # -- from the controls -----------------------------------------------------------------------

    def _on_model(self, name: str) -> None:
        parameters = self._session.parameters
        self._files[parameters.model] = parameters.files  # a file is of one model only
        if name != parameters.model:
            self._set("checkpoint", self._files.get(name, ()))
            self._set("model", name)
            if not self._model.takes_channels(name):
                self._set("second_channel", None)
        self.changed.emit()

    def ask_model_file(self) -> None:
        """Ask for the model's file, or files."""
        several = self._model.several_files(self._session.parameters.model)
        files = dialogs.ask_model_files(self._model, several)
        if files:
            self._set("checkpoint", files)
            self.changed.emit()

    def _on_second_channel(self, channel: int | None) -> None:
        self._set("second_channel", channel)

    def _on_fusion(self, fusion: str) -> None:
        self._set("fusion", fusion)

    def _on_diameter(self) -> None:
        if not self.problem:
            self._set("diameter", self._model.diameter.value)
        self.changed.emit()

    def _on_measure(self, start: bool) -> None:
        image, spacing = self._layers.image, self._session.parameters.spacing
        if not start or image is None:
            self.measure.stop()
            return
        if self._session.unit == "µm" and spacing is not None:
            of = dict(zip("zyx", spacing, strict=True))
        else:
            of = {"z": 1.0, "y": 1.0, "x": 1.0}  # voxels, as the session counts them
        self.measure.start(image, tuple(of.get(letter, 0.0) for letter in self._layers.axes))

    def _on_measured(self, diameter: float) -> None:
        self._set("diameter", float(f"{diameter:.3g}"))

    def _on_measure_finished(self) -> None:
        self._model.show_measuring(False)
        self.changed.emit()

    def _on_probability(self, probability: float) -> None:
        self._set("probability", probability)
        self._relabel_soon()

    def _on_min_size(self, size: float) -> None:
        self._set("min_size", int(size))
        self._relabel_soon()

    def _on_min_size_reset(self) -> None:
        self._set("min_size", None)
        self._relabel_soon()

    def _relabel_soon(self) -> None:
        # Not restarted by every move: a slider that keeps moving still shows something.
        if self._session.can("relabel").ok and not self._relabel_timer.isActive():
            self._relabel_timer.start()

    def _relabel(self) -> None:
        if self._session.can("relabel").ok:
            self._do(self._session.relabel)

    def ask_save(self) -> None:
        """Ask where to save the cells, and save them there."""
        volume = self._session.volume
        image = self._layers.image
        name = image.name if image is not None else "image"
        source = volume.source if volume is not None else None
        folder = source.parent if source is not None else Path.home()
        suggestion = self._session.saved_path or folder / f"{name} cells.ome.zarr"
        path = dialogs.ask_save_path(self._result, suggestion)
        if path is not None:
            self.save(path, path.exists())  # the dialog has asked before it is replaced

    def ask_save_field(self) -> None:
        """Ask where to save the flow field, and save it there."""
        image, volume = self._layers.image, self._session.volume
        source = volume.source if volume is not None else None
        folder = source.parent if source is not None else Path.home()
        name = image.name if image is not None else "image"
        path = dialogs.ask_save_field(self._result, folder / f"{name}.field.zarr")
        if path is not None:
            self._do(lambda: self._session.save_field(path, overwrite=path.exists()))

    def ask_open_field(self) -> None:
        """Ask for a flow field, and open it."""
        path = dialogs.ask_open_field(self._result)
        if path is not None:
            self._do(self._session.open_field, path)

    def _fill_adopt_menu(self) -> None:
        menu = self._result.adopt_menu
        menu.clear()
        viewer = self._viewer()
        ours = (self._layers.cells, self._layers.proposal)
        found = [] if viewer is None else [x for x in viewer.layers if isinstance(x, Labels)]
        self._adoptable = [weakref.ref(layer) for layer in found if layer not in ours]
        for index, reference in enumerate(self._adoptable):
            layer = reference()
            self._offer(layer.name if layer is not None else "", index)
        if self._adoptable:
            menu.addSeparator()
        self._offer("Label file…", _FILE)
        self._offer("Label folder (OME-Zarr)…", _FOLDER)

    def _offer(self, text: str, chosen: int | str) -> None:
        action = QAction(text, self._result.adopt_menu)
        action.setData(chosen)
        self._result.adopt_menu.addAction(action)

    def _on_adopt(self, action: QAction) -> None:
        chosen = action.data()
        if chosen in (_FILE, _FOLDER):
            ask = dialogs.ask_label_file if chosen == _FILE else dialogs.ask_label_folder
            path = ask(self._result)
            if path is not None:
                self._do(self._session.adopt, path)
            return
        layer = self._adoptable[chosen]()
        if layer is not None:
            self.adopt_layer(layer)

    def adopt_layer(self, layer: Labels) -> None:
        """Start from an existing Labels layer, which becomes the cells layer."""
        before = self._layers.cells
        self._layers.adopt(layer)
        try:
            self._session.adopt(self._layers.as_session_labels(layer))
        except CellsegError as error:
            self._layers.adopt(before)
            self.failed.emit(error)

    def _set(self, name: str, value: Any) -> None:
        try:
            setattr(self._session.parameters, name, value)
        except CellsegError as error:
            self.failed.emit(error)
            self.show()

    # -- from the session ------------------------------------------------------------------------

    def show(self) -> None:
        """Show the parameters in force and what the last run made of them."""
        parameters, segmentation = self._session.parameters, self._session.segmentation
        used = segmentation.parameters if segmentation is not None else {}
        self._model.show_model(parameters.model, parameters.files)
        volume = self._session.volume
        names = () if volume is None or volume.rgb else volume.channels
        self._model.show_channels(
            names, parameters.model, parameters.channel, parameters.second_channel
        )
        suggested = any(SUGGESTION in sentence for sentence in self._session.notices)
        deep = "z" in self._session.label_axes
        self._model.show_fusion(parameters.fusion, deep, suggested)
        self._model.show_diameter(parameters.diameter, self._session.unit, used.get("diameter"))
        self._result.probability.set_value(parameters.probability)
        size = parameters.min_size if parameters.min_size is not None else used.get("min_size")
        if size is not None:
            self._result.min_size.set_value(float(size))

    def _on_parameter(self, info: Any) -> None:
        self.show()

    def _on_labels(self, labels: Any) -> None:
        self.show()

    def _on_notices(self, notices: tuple[str, ...]) -> None:
        self.show()

    def _on_proposal(self, proposal: Proposal | None) -> None:
        self.show()
