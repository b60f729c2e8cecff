"""The ranked list of the Review dock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

if TYPE_CHECKING:
    from napari_cellseg.labels.review import ReviewItem

_HEADS = ("cell", "why", "doubt")
_TIPS = (
    "The cell's number; ? where one may be missing.",
    "What speaks most against it.",
    "0: nothing stands out; 1: almost certainly wrong.",
)
_NOWHERE = QModelIndex()
_ROWS = 9


class ReviewModel(QAbstractTableModel):
    """Items, a row each, the most doubtful first."""

    def __init__(self) -> None:
        super().__init__()
        self._items: list[ReviewItem] = []
        self._timed = False

    def show_items(self, items: Sequence[ReviewItem], timed: bool) -> None:
        """Show other items."""
        if len(items) == len(self._items):
            self._items, self._timed = list(items), timed
            if items:
                last = self.index(len(items) - 1, len(_HEADS) - 1)
                self.dataChanged.emit(self.index(0, 0), last)
            return
        self.beginResetModel()
        self._items, self._timed = list(items), timed
        self.endResetModel()

    def item(self, row: int) -> ReviewItem:
        """The item of a row."""
        return self._items[row]

    def row(self, item: ReviewItem | None) -> int:
        """The row of an item, -1 if it is not in the list."""
        return self._items.index(item) if item in self._items else -1

    def rowCount(self, parent: QModelIndex = _NOWHERE) -> int:  # noqa: N802 - Qt's name
        """Return the number of items."""
        return 0 if parent.isValid() else len(self._items)

    def columnCount(self, parent: QModelIndex = _NOWHERE) -> int:  # noqa: N802 - Qt's name
        """Return the number of columns."""
        return 0 if parent.isValid() else len(_HEADS)

    def data(self, index: QModelIndex, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        """Return what a cell of the table shows."""
        item, column = self._items[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return (self._name(item), "; ".join(item.why), f"{item.score:.2f}")[column]
        if role == Qt.ItemDataRole.ToolTipRole:
            border = ["touches the border of the image"] if item.touches_border else []
            return "\n".join([*item.why, *border]) or "Nothing stands out."
        if role == Qt.ItemDataRole.TextAlignmentRole and column == 2:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(  # noqa: N802 - Qt's name
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = int(Qt.ItemDataRole.DisplayRole),
    ) -> Any:
        """Return a column's heading."""
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return _HEADS[section]
            if role == Qt.ItemDataRole.ToolTipRole:
                return _TIPS[section]
        return None

    def _name(self, item: ReviewItem) -> str:
        name = "?" if item.id is None else str(item.id)
        return f"{name} · t {item.t}" if self._timed else name


class ReviewList(QTableView):
    """Shows what is left; a click takes an item in hand. Keys stay with the canvas."""

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.items = ReviewModel()
        self.setModel(self.items)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setAccessibleName("what to look at, the most doubtful first")
        rows, heads = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None
        assert heads is not None
        rows.hide()
        rows.setDefaultSectionSize(21)
        heads.setSectionsClickable(False)
        heads.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        heads.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        heads.setSectionResizeMode(2, QHeaderView.ResizeMode.ResizeToContents)
        heads.setResizeContentsPrecision(30)  # rows in sight, not thousands
        self.setMinimumHeight(_ROWS * 21 + 26)
        self.clicked.connect(self._on_clicked)

    def show_items(
        self, items: Sequence[ReviewItem], current: ReviewItem | None, timed: bool
    ) -> None:
        """Show the list, with the item in hand selected and in sight."""
        self.items.show_items(items, timed)
        row = self.items.row(current)
        if row < 0:
            self.clearSelection()
        else:
            self.selectRow(row)
            self.scrollTo(self.items.index(row, 0))

    def _on_clicked(self, index: QModelIndex) -> None:
        self.chosen.emit(self.items.item(index.row()))
