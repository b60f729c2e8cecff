"""The controls and the list of the Table dock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QItemSelection, QItemSelectionModel, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_cellseg.widgets.cell_table_model import CellTableModel
from napari_cellseg.widgets.form import ActionButton, Form

if TYPE_CHECKING:
    from napari_cellseg.labels import Key

_NO_REGIONS = "none"
_WIDTH = 88


class CellTablePanel(QWidget):
    """Reports what the user presses and selects; shows a table.

    Attributes
    ----------
    measure_pressed, save_pressed : Signal
    selected : Signal(list)
        Keys, (t, id), of the rows that the user has selected.
    looked_at : Signal(object)
        Key of the row that the user has turned to.
    """

    measure_pressed = Signal()
    save_pressed = Signal()
    selected = Signal(list)
    looked_at = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.measure = ActionButton(
            "Measure",
            "Measure every cell: size, shape, neighbours, and intensity in each channel.",
            self.measure_pressed.emit,
            primary=True,
        )
        self.save = ActionButton(
            "Save CSV…", "Save the table as a file for a spreadsheet.", self.save_pressed.emit
        )
        self.history = QCheckBox("with history")
        self.history.setToolTip(
            "Add to each cell how it came to be: what made it, who changed it, and when."
        )
        self.regions = QComboBox()
        self.regions.setToolTip(
            "A Shapes layer with areas that you drew: cells are counted in each, and each cell "
            "tells its area."
        )
        self.regions.setMinimumContentsLength(8)
        self.regions.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.said = QLabel()
        self.said.setObjectName("cellseg_name")
        self.stale = QLabel("The cells were edited since: press Measure again.")
        self.stale.setObjectName("cellseg_notice")
        self.stale.setWordWrap(True)
        self.counts = QLabel()
        self.counts.setObjectName("cellseg_name")
        self.counts.setWordWrap(True)
        self.counts.setTextFormat(Qt.TextFormat.PlainText)
        self.counts.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.model = CellTableModel()
        self.view = _table_view(self.model)
        self._telling = False
        form = Form()
        form.add_row("regions", self.regions)
        saving = QHBoxLayout()
        saving.addWidget(self.save, 1)
        saving.addWidget(self.history)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(7)
        layout.addLayout(form)
        layout.addWidget(self.measure)
        layout.addWidget(self.said)
        layout.addWidget(self.stale)
        layout.addWidget(self.counts)
        layout.addWidget(self.view, 1)
        layout.addLayout(saving)
        choice = self.view.selectionModel()
        assert choice is not None  # it has a model
        self._choice = choice
        choice.selectionChanged.connect(self._on_selected)
        choice.currentRowChanged.connect(self._on_current)
        self.view.clicked.connect(self._on_clicked)
        self.show_regions([], -1)
        self.show_count(None, stale=False)
        self.show_counts([])

    def show_regions(self, names: Sequence[str], current: int) -> None:
        """List the layers with regions; -1: none of them is chosen."""
        blocked = self.regions.blockSignals(True)
        self.regions.clear()
        self.regions.addItems([_NO_REGIONS, *names])
        self.regions.setCurrentIndex(current + 1)
        self.regions.setEnabled(bool(names))
        self.regions.blockSignals(blocked)

    @property
    def region_index(self) -> int:
        """Which of the listed layers is chosen; -1 for none."""
        return self.regions.currentIndex() - 1

    def show_count(self, count: int | None, *, stale: bool) -> None:
        """Show how many cells were measured, and whether they are others by now."""
        self.said.setText("" if count is None else f"{count:,} cells")
        self.said.setVisible(count is not None)
        self.stale.setVisible(count is not None and stale)

    def show_counts(self, lines: Sequence[str]) -> None:
        """Show how many cells lie in each region."""
        self.counts.setText("\n".join(lines))
        self.counts.setVisible(bool(lines))

    def show_selected(self, keys: Sequence[Key]) -> None:
        """Select the rows of these cells, without reporting it, and bring the first into sight."""
        rows = sorted(row for key in keys if (row := self.model.row(key)) is not None)
        if rows == sorted(index.row() for index in self._choice.selectedRows()):
            return
        chosen, last = QItemSelection(), self.model.columnCount() - 1
        for first, final in _runs(rows):
            chosen.select(self.model.index(first, 0), self.model.index(final, last))
        self._telling = True
        try:
            flags = QItemSelectionModel.SelectionFlag
            if rows:  # where the arrow keys go on from
                self._choice.setCurrentIndex(self.model.index(rows[0], 0), flags.NoUpdate)
            self._choice.select(chosen, flags.ClearAndSelect)
        finally:
            self._telling = False
        if rows:
            self.view.scrollTo(self.model.index(rows[0], 0))

    def _on_selected(self, *_: object) -> None:
        if not self._telling:
            rows = self._choice.selectedRows()
            self.selected.emit([self.model.key(index.row()) for index in rows])

    def _on_current(self, current: object, former: object) -> None:
        row = self._choice.currentIndex().row()
        if not self._telling and row >= 0:
            self.looked_at.emit(self.model.key(row))

    def _on_clicked(self, index: object) -> None:
        row = self._choice.currentIndex().row()
        if row >= 0:
            self.looked_at.emit(self.model.key(row))


def _table_view(model: CellTableModel) -> QTableView:
    view = QTableView()
    view.setModel(model)
    view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
    view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    view.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    view.setAccessibleName("cells")
    view.setMinimumHeight(260)
    view.setWordWrap(False)
    across, down = view.horizontalHeader(), view.verticalHeader()
    assert across is not None
    assert down is not None
    across.setDefaultSectionSize(_WIDTH)
    across.setResizeContentsPrecision(40)  # rows that are asked for how wide a column must be
    across.setHighlightSections(False)
    across.setSortIndicator(0, Qt.SortOrder.AscendingOrder)
    view.setSortingEnabled(True)
    # rows of one height: Qt need not ask thousands of them how high they are
    down.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    down.setDefaultSectionSize(22)
    down.setVisible(False)
    return view


def _runs(rows: Sequence[int]) -> list[tuple[int, int]]:
    """Return rising rows as first and last of those that follow each other."""
    runs: list[tuple[int, int]] = []
    for row in rows:
        if runs and row == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], row)
        else:
            runs.append((row, row))
    return runs
