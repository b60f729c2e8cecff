"""The middle of the Segment dock: model, diameter, fusion, Try here, Segment all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_cellseg.networks import NetworkInfo
from napari_cellseg.widgets.form import ActionButton, Form
from napari_cellseg.widgets.numbers import NumberEdit
from napari_cellseg.widgets.style import set_role

FUSIONS = {
    "mean": "mean of three views",
    "weighted": "weighted by certainty",
    "xy": "plane by plane, joined",
}
"""Ways from planes to cells in 3D, by the name of the parameter."""
_FILE_TIP = "Choose the file of the model's weights."


class ModelSection(QWidget):
    """Reports what the user chooses and presses; holds no state of its own."""

    model_chosen = Signal(str)
    file_asked = Signal()
    fusion_chosen = Signal(str)
    channel_chosen = Signal(object)
    diameter_typed = Signal()
    measure_toggled = Signal(bool)
    try_here = Signal()
    segment_all = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._infos: dict[str, NetworkInfo] = {}
        self.model = QComboBox()
        self.model.setToolTip("The model that finds the cells, by what it was trained on.")
        self.model.setMinimumContentsLength(8)
        self.model.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.file = ActionButton("file…", _FILE_TIP)
        self.about = QLabel()
        self.about.setObjectName("cellseg_name")
        self.restriction = QLabel()
        self.restriction.setObjectName("cellseg_notice")
        for label in (self.about, self.restriction):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.channel = QComboBox()
        self.channel.setToolTip(
            "A second channel that the model is shown together with the first, for example the "
            "nuclei beside the cells. Only models that take several have this choice."
        )
        self.fusion = QComboBox()
        self.fusion.setToolTip(
            "How the network's planes become cells in 3D: the plain mean of the xy, xz and yz "
            "views; the same weighted by how sure each view is; or each xy plane by itself, "
            "joined where cells overlap (for stacks with very few planes per cell)."
        )
        for name, text in FUSIONS.items():
            self.fusion.addItem(text, name)
        self.join_planes = ActionButton(
            "Label plane by plane instead",
            "Take the suggestion above: cells span so few planes that each is labelled by itself "
            "and joined where cells overlap. Then press Segment all again.",
        )
        self.join_planes.hide()
        self.diameter = NumberEdit("The diameter", empty="estimated")
        self.diameter.setToolTip(
            "How wide a typical cell is. Leave it empty to have it estimated from the image."
        )
        self._unit = QLabel("µm")
        self.measure = ActionButton(
            "measure",
            "Measure the diameter: draw a line across one cell in the image. Esc stops measuring.",
        )
        self.measure.setCheckable(True)
        self.try_button = ActionButton(
            "Try here",
            "Segment only what you are looking at, within seconds, to find the right settings. "
            "Zoom in for a smaller part.",
        )
        self.segment_button = ActionButton(
            "Segment all", "Segment the whole image, every plane and time point.", primary=True
        )
        beside = QWidget()
        row = QHBoxLayout(beside)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._unit)
        row.addWidget(self.measure)
        form = Form()
        form.add_row("model", self.model, self.file)
        models, form = form, Form()
        form.add_row("diameter", self.diameter, beside)
        form.add_row("channel 2", self.channel)
        form.add_row("in 3D", self.fusion)
        self._form = form
        buttons = QHBoxLayout()
        buttons.addWidget(self.try_button)
        buttons.addWidget(self.segment_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(models)
        layout.addWidget(self.about)
        layout.addWidget(self.restriction)
        layout.addLayout(form)
        layout.addWidget(self.join_planes)
        layout.addLayout(buttons)
        self.file.clicked.connect(self.file_asked)
        self.fusion.activated.connect(self._on_fusion)
        self.join_planes.clicked.connect(self._on_join_planes)
        self.channel.activated.connect(self._on_channel)
        self.show_fusion("mean", False)
        self.show_channels((), "", 0, None)
        self.model.activated.connect(self._on_model)
        self.diameter.changed.connect(self.diameter_typed)
        self.measure.toggled.connect(self.measure_toggled)
        self.try_button.clicked.connect(self.try_here)
        self.segment_button.clicked.connect(self.segment_all)

    def show_models(self, infos: Iterable[NetworkInfo], current: str) -> None:
        """List the models with what they are meant for."""
        self.model.clear()
        self._infos = {info.name: info for info in infos}
        for info in self._infos.values():
            self.model.addItem(info.title, info.name)
            index = self.model.count() - 1
            tip = f"{info.note}\nLicence: {info.licence}"
            self.model.setItemData(index, tip, Qt.ItemDataRole.ToolTipRole)
        self.show_model(current, ())

    def show_model(self, name: str, files: Sequence[Path]) -> None:
        """Show which model is in use, from which files, and what must be known of it."""
        self.model.setCurrentIndex(self.model.findData(name))
        info = self._infos.get(name)
        if info is None:
            return
        self.about.setText(" ".join(part for part in (info.note, info.scale) if part))
        self.restriction.setText(f"Licence: {info.licence}.")
        self.restriction.setVisible(not info.packaged)
        self.file.setText("file ✓" if files else "file…")
        tip = f"{_FILE_TIP}\n{_capital(_wanted(info))}."
        if files:
            tip += f"\nNow: {', '.join(map(str, files))}."
        self.file.set_tip(tip)
        set_role(self.file, "asked", bool(self.missing(name, files)))

    def several_files(self, name: str) -> bool:
        """Whether a model takes more than one file."""
        return name in self._infos and self._infos[name].checkpoints > 1

    def missing(self, name: str, files: Sequence[Path]) -> str:
        """Why a model cannot run yet, as a sentence: it has no weights. Empty if it can."""
        info = self._infos.get(name)
        if info is None or not info.needs_checkpoint or files:
            return ""
        return f"Choose the model's file by “file…” first: {_wanted(info)}."

    def takes_channels(self, name: str) -> bool:
        """Whether a model takes more than one channel."""
        return name in self._infos and self._infos[name].channels > 1

    def show_channels(
        self, names: Sequence[str], model: str, first: int, second: int | None
    ) -> None:
        """Show which channel goes with the first, where a model takes several."""
        self._form.set_row_visible(self.channel, len(names) > 1 and self.takes_channels(model))
        self.channel.clear()
        self.channel.addItem("no other channel", None)
        for index, name in enumerate(names):
            if index != first:
                self.channel.addItem(name, index)
        self.channel.setCurrentIndex(max(0, self.channel.findData(second)))

    def show_fusion(self, fusion: str, is_3d: bool, suggested: bool = False) -> None:
        """Show how planes are fused, where there are several, and whether another way suits."""
        self.fusion.setCurrentIndex(self.fusion.findData(fusion))
        self._form.set_row_visible(self.fusion, is_3d)
        self.join_planes.setVisible(is_3d and suggested and fusion != "xy")

    def show_diameter(self, diameter: float | None, unit: str, estimated: float | None) -> None:
        """Show the diameter in force, or in grey the one that was estimated."""
        self._unit.setText("µm" if unit == "µm" else "px")
        self.diameter.setPlaceholderText(
            "estimated" if estimated is None else f"estimated: {estimated:.3g}"
        )
        self.diameter.set_value(diameter)

    def show_measuring(self, measuring: bool) -> None:
        """Show whether a line is being waited for, without reporting it."""
        blocked = self.measure.blockSignals(True)
        self.measure.setChecked(measuring)
        self.measure.blockSignals(blocked)

    def _on_model(self, index: int) -> None:
        self.model_chosen.emit(self.model.itemData(index))

    def _on_channel(self, index: int) -> None:
        self.channel_chosen.emit(self.channel.itemData(index))

    def _on_fusion(self, index: int) -> None:
        self.fusion_chosen.emit(self.fusion.itemData(index))

    def _on_join_planes(self) -> None:
        self.fusion_chosen.emit("xy")


def _wanted(info: NetworkInfo) -> str:
    """Which files a model takes, in words."""
    if info.packaged:
        return "weights of your own, trained by this program"
    many = f"one file of weights or up to {info.checkpoints}, which are averaged"
    count = "its weights" if info.checkpoints == 1 else many
    return f"{count} ({info.source})" if info.source else count


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
