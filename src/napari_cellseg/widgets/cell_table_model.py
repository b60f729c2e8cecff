"""A table of cells for Qt: columns of numbers, read only where they are in sight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt

if TYPE_CHECKING:
    import pandas as pd

    from napari_cellseg.labels import Key

_UNITS = {"_um3": " (µm³)", "_um2": " (µm²)", "_um": " (µm)"}
_UNSEEN = ("bbox_", "neighbour_ids")
"""Columns that are saved and not shown."""
_NOWHERE = QModelIndex()


def title(column: str) -> str:
    """Return a column's heading: its name in words, with the unit in brackets."""
    for suffix, unit in _UNITS.items():
        if column.endswith(suffix):
            return f"{column.removesuffix(suffix).replace('_', ' ')}{unit}"
    return column.replace("_", " ")


def written(value: Any) -> str:
    """Return a value as it is shown: four digits that count, "yes" for true."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else ""
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{float(value):.4g}"
    return str(value)


class CellTableModel(QAbstractTableModel):
    """Measured cells, a row each, which can be sorted and found by (t, id)."""

    def __init__(self) -> None:
        super().__init__()
        self._names: list[str] = []
        self._columns: list[NDArray[Any]] = []
        self._order: NDArray[np.intp] = np.zeros(0, np.intp)
        self._keys: list[Key] = []
        self._rows: dict[Key, int] = {}

    def show(self, table: pd.DataFrame | None, timed: bool = False) -> None:
        """Show a table, indexed by ``t`` and ``id``, in its own order; None: nothing.

        Parameters
        ----------
        table : pandas.DataFrame or None
        timed : bool
            Whether the time point is worth a column.
        """
        self.beginResetModel()
        if table is None:
            self._names, self._columns, keys = [], [], []
        else:
            seen = [name for name in map(str, table.columns) if not name.startswith(_UNSEEN)]
            index = {name: table.index.get_level_values(name).to_numpy() for name in ("t", "id")}
            leading = ("t", "id") if timed else ("id",)
            self._names = [*leading, *seen]
            self._columns = [index[name] for name in leading]
            self._columns += [table[name].to_numpy() for name in seen]
            keys = list(zip(index["t"].tolist(), index["id"].tolist(), strict=True))
        self._keys = keys
        self._arrange(np.arange(len(keys)))
        self.endResetModel()

    def key(self, row: int) -> Key:
        """(t, id) of the cell in a row."""
        return self._keys[self._order[row]]

    def row(self, key: Key) -> int | None:
        """Row of a cell; None where it was not measured."""
        return self._rows.get(key)

    # -- what Qt asks ----------------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex = _NOWHERE) -> int:  # noqa: N802 - Qt's name
        """Return the number of cells."""
        return 0 if parent.isValid() else len(self._order)

    def columnCount(self, parent: QModelIndex = _NOWHERE) -> int:  # noqa: N802 - Qt's name
        """Return the number of columns."""
        return 0 if parent.isValid() else len(self._names)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return a value as text, or how it is aligned."""
        if not index.isValid():
            return None
        column = self._columns[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return written(column[self._order[index.row()]])
        if role == Qt.ItemDataRole.TextAlignmentRole and column.dtype.kind in "iuf":
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(  # noqa: N802 - Qt's name
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Return a column's heading."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self._names):
            return None
        name = self._names[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return title(name)
        return name if role == Qt.ItemDataRole.ToolTipRole else None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; what has no value comes last, either way."""
        if not 0 <= column < len(self._columns):
            return
        ranks = _ranks(self._columns[column])
        if order == Qt.SortOrder.DescendingOrder:
            ranks = np.where(np.isnan(ranks), np.nan, -ranks)
        self.layoutAboutToBeChanged.emit()
        former = self.persistentIndexList()
        keys = [self.key(index.row()) for index in former]
        self._arrange(np.argsort(ranks, kind="stable"))  # NaN sorts to the end
        moved = [
            self.index(self._rows[key], index.column())
            for key, index in zip(keys, former, strict=True)
        ]
        self.changePersistentIndexList(former, moved)
        self.layoutChanged.emit()

    def _arrange(self, order: NDArray[np.intp]) -> None:
        self._order = order
        self._rows = {self._keys[at]: row for row, at in enumerate(order.tolist())}


def _ranks(column: NDArray[Any]) -> NDArray[np.float64]:
    if column.dtype.kind in "iufb":
        return column.astype(np.float64)
    _, ranks = np.unique(column.astype(str), return_inverse=True)
    return ranks.astype(np.float64)
