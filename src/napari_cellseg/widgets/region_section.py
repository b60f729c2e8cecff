"""The part of the Segment dock for images that are too large to be held as a whole."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QSpinBox, QVBoxLayout, QWidget

from napari_cellseg.widgets.form import ActionButton, Form

PLANES = 32


class RegionSection(QWidget):
    """Reports what the user presses; holds no state of its own."""

    segment_region = Signal()
    segment_store = Signal()
    edit_region = Signal()
    write_back = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.planes = QSpinBox()
        self.planes.setRange(0, 9999)
        self.planes.setValue(PLANES)
        self.planes.setPrefix("± ")
        self.planes.setSuffix(" planes")
        tip = (
            "A region is the part in view (or the rectangle that you drew, while its Shapes layer "
            "is selected) through so many planes on either side of the one in view."
        )
        self.planes.setToolTip(tip)
        line = self.planes.lineEdit()
        if line is not None:
            line.setToolTip(tip)
        self.text = QLabel("Region: the part in view, or a rectangle drawn in a Shapes layer")
        self.text.setObjectName("cellseg_name")
        self.text.setWordWrap(True)
        self.region_button = ActionButton(
            "Segment region",
            "Segment the region, with the intensities of the whole image, as an image of its own.",
        )
        self.store_button = ActionButton(
            "All to store…",
            "Segment the whole image block by block into an OME-Zarr store that you choose. Cells "
            "appear as blocks are finished. A run that was cancelled goes on where it was.",
        )
        self.edit_button = ActionButton(
            "Edit region…",
            "Open the region of the label store of this image for editing, with undo and journal.",
        )
        self.back_button = ActionButton(
            "Write back",
            "Put the cells of this region back into their label store: all of them, or nothing.",
        )
        form = Form()
        form.add_row("through", self.planes)
        self._form = form
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        for index, button in enumerate(
            (self.region_button, self.store_button, self.edit_button, self.back_button)
        ):
            grid.addWidget(button, *divmod(index, 2))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.text)
        layout.addLayout(form)
        layout.addLayout(grid)
        self.region_button.clicked.connect(self.segment_region)
        self.store_button.clicked.connect(self.segment_store)
        self.edit_button.clicked.connect(self.edit_region)
        self.back_button.clicked.connect(self.write_back)

    def show_deep(self, is_3d: bool) -> None:
        """Show how deep a region is, where there is depth."""
        self._form.set_row_visible(self.planes, is_3d)
