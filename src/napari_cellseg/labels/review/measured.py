"""What was measured of all objects, in one table that an edit changes a few rows of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from napari_cellseg.labels.review.measure import RAW

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cellseg.labels.review.item import Slices
    from napari_cellseg.labels.review.objects import Key


class Measured:
    """Rows of numbers and boxes, found by key.

    Parameters
    ----------
    keys : iterable of (t, id)
        Objects that get a row now, so that threads may fill the rows at once.
    ndim : int
        Spatial axes.

    Attributes
    ----------
    boxes : dict of (t, id) to box
        Of what was measured.
    """

    def __init__(self, keys: Iterable[Key], ndim: int) -> None:
        self._rows: dict[Key, int] = {key: row for row, key in enumerate(keys)}
        self._spare: list[int] = []
        size = max(16, len(self._rows))
        self._raw = np.full((size, len(RAW)), np.nan)
        # time, then low and high ends: an unused row lies at no time
        self._ends = np.full((size, 1 + 2 * ndim), -1, np.int64)
        self._spare += range(size - 1, len(self._rows) - 1, -1)
        self._order: tuple[list[Key], NDArray[np.int64]] | None = None
        self._ndim = ndim
        self.boxes: dict[Key, Slices] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self.boxes

    def __len__(self) -> int:
        return len(self.boxes)

    def put(self, key: Key, box: Slices, values: NDArray[np.float64]) -> None:
        """Take in what was measured of an object, new or not."""
        row = self._rows.get(key)
        if row is None:
            if not self._spare:
                self._grow()
            row = self._rows[key] = self._spare.pop()
        if key not in self.boxes:
            self._order = None
        self._raw[row] = values
        self._ends[row] = [key[0], *(p.start for p in box), *(p.stop for p in box)]
        self.boxes[key] = box

    def remove(self, key: Key) -> None:
        """Forget an object, if it is known."""
        row = self._rows.pop(key, None)
        if row is not None:
            self._ends[row] = -1
            self._spare.append(row)
            self._order = None
            self.boxes.pop(key, None)

    def row(self, key: Key) -> NDArray[np.float64]:
        """Numbers of an object, in the order of `RAW`; a view."""
        row: NDArray[np.float64] = self._raw[self._rows[key]]
        return row

    def near(self, t: int, box: Slices, margin: int = 0) -> list[Key]:
        """Objects whose boxes, with a margin, meet a box."""
        keys, rows = self._sorted()
        ends = self._ends[rows]
        low, high = ends[:, 1 : 1 + self._ndim], ends[:, 1 + self._ndim :]
        start = np.array([part.start for part in box])
        stop = np.array([part.stop for part in box])
        met = (ends[:, 0] == t) & ((low - margin < stop) & (start < high + margin)).all(1)
        return [keys[k] for k in np.flatnonzero(met).tolist()]

    def column(self, name: str) -> NDArray[np.float64]:
        """One number of every object."""
        column: NDArray[np.float64] = self._raw[self._sorted()[1], RAW.index(name)]
        return column

    def table(self) -> tuple[list[Key], dict[str, NDArray[np.float64]], NDArray[np.int64]]:
        """Keys, rising; their numbers by name; and their boxes (n, 2, axes)."""
        keys, rows = self._sorted()
        raw = self._raw[rows]
        ends = self._ends[rows, 1:].reshape(len(rows), 2, self._ndim)
        return keys, {name: raw[:, k] for k, name in enumerate(RAW)}, ends

    def _sorted(self) -> tuple[list[Key], NDArray[np.int64]]:
        if self._order is None:
            keys = sorted(self.boxes)
            self._order = keys, np.array([self._rows[key] for key in keys], np.int64)
        return self._order

    def _grow(self) -> None:
        size = len(self._raw)
        self._raw = np.concatenate([self._raw, np.full_like(self._raw, np.nan)])
        self._ends = np.concatenate([self._ends, np.full_like(self._ends, -1)])
        self._spare += range(2 * size - 1, size - 1, -1)
