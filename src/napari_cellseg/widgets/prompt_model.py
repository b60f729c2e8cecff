"""The model of the Prompt dock: which one, from which file, and what it is shown."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from napari_cellseg.prompts.registry import PredictorInfo
from napari_cellseg.widgets.form import ActionButton, Form
from napari_cellseg.widgets.thin_bar import ThinBar


class PromptModel(QWidget):
    """Reports what the user chooses and presses; holds no state of its own."""

    model_chosen = Signal(str)
    file_asked = Signal()
    download = Signal()
    follow_toggled = Signal(bool)
    take_contrast = Signal()
    show_picture = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = QComboBox()
        self.model.setToolTip("The model that turns clicks and boxes into cells.")
        self.model.setMinimumContentsLength(8)
        self.model.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.file = ActionButton(
            "file…",
            "Choose a model file of your own (.pt, .pth or .safetensors), or drop it onto this "
            "dock. PA-SAM takes two: SAM's and its decoder.",
        )
        self.missing = QLabel()
        self.missing.setObjectName("cellseg_notice")
        self.missing.setWordWrap(True)
        self.missing.setTextFormat(Qt.TextFormat.PlainText)
        self.missing.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.download_button = ActionButton(
            "Download", "Download the model's weights from its authors, once."
        )
        self.ready = QLabel()
        self.ready.setToolTip(
            "A click is answered at once in planes that are encoded. The plane in view is encoded "
            "first, then its neighbours."
        )
        self.bar = ThinBar()
        self.bar.setToolTip("How many of the planes around this one are encoded.")
        self.follow = QCheckBox("follow the layer's contrast")
        self.follow.setToolTip(
            "Show the model the image with the layer's present contrast limits; planes are encoded "
            "anew when they change. Otherwise it keeps those from when prompting began."
        )
        self.take = ActionButton(
            "take", "Take the layer's contrast limits over, once; planes are encoded anew."
        )
        self.picture = ActionButton(
            "Show what the model sees",
            "Add a layer with the 8-bit picture of this plane exactly as the model is shown it.",
        )
        form = Form()
        form.add_row("model", self.model, self.file)
        form.add_row("ready", self.ready)
        contrast = QHBoxLayout()
        contrast.addWidget(self.follow, 1)
        contrast.addWidget(self.take)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(form)
        layout.addWidget(self.bar)
        layout.addWidget(self.missing)
        layout.addWidget(self.download_button)
        layout.addLayout(contrast)
        layout.addWidget(self.picture)
        self.model.activated.connect(self._on_model)
        self.file.clicked.connect(self.file_asked)
        self.download_button.clicked.connect(self.download)
        self.follow.toggled.connect(self.follow_toggled)
        self.take.clicked.connect(self.take_contrast)
        self.picture.clicked.connect(self.show_picture)
        self.show_missing("", False)
        self.show_ready("not yet", 0, 1)

    def show_models(self, infos: Iterable[PredictorInfo], current: str) -> None:
        """List the models with what they are meant for."""
        self.model.clear()
        for info in infos:
            self.model.addItem(info.title, info.name)
            tip = f"{info.note}\nLicence: {info.licence}\nCite: {info.citation}"
            self.model.setItemData(self.model.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.show_model(current, ())

    def show_model(self, name: str, files: Iterable[str]) -> None:
        """Show which model is in use, and from which of the user's files."""
        self.model.setCurrentIndex(self.model.findData(name))
        own = " + ".join(files)
        self.file.setText("file ✓" if own else "file…")
        self.model.setToolTip(
            "The model that turns clicks and boxes into cells."
            + (f"\nIts weights are those of {own}; choose a model to go back." if own else "")
        )

    def show_missing(self, sentence: str, downloadable: bool) -> None:
        """Say where the weights are expected, if they are not on this machine."""
        self.missing.setText(sentence)
        self.missing.setVisible(bool(sentence))
        self.download_button.setVisible(bool(sentence) and downloadable)

    def show_ready(self, text: str, done: int, count: int) -> None:
        """Show whether the plane in view can be clicked, and how many around it."""
        self.ready.setText(text)
        self.bar.show_fraction(done, count)

    def show_follow(self, follow: bool) -> None:
        """Show whether the layer's contrast is followed, without reporting it."""
        blocked = self.follow.blockSignals(True)
        self.follow.setChecked(follow)
        self.follow.blockSignals(blocked)

    def _on_model(self, index: int) -> None:
        self.model_chosen.emit(self.model.itemData(index))
