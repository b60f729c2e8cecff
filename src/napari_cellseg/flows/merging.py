"""Which basins are parts of one cell.

Noise, long cells and small steps give a cell more than one sink. Basins are united where the flow
does not part at their common border: averaged over the faces of the border, directions on both
sides of a true one point away from each other, while inside a cell they are alike. An average over
a border stands noise that no single voxel stands. Where noise leaves it open, it counts whether
both together would be compact and about as large as the field's basins are.

Where planes are coarse, a single step can leave a thin cell for the next one, and both share a
sink. There a basin is taken apart first, by planes and by whether the flow goes up or down, and
its parts are united in the same way, only more readily.
"""

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows import _agglomerate


class BasinGraph:
    """Basins and their common borders, which can be united.

    Parameters
    ----------
    pairs, sums, basins : arrays of int, shapes (k, 2), (k, 15) and (n + 1, 5)
        What `_basins.borders` gives; row 0 of `basins` is unused.
    spacing : tuple of float
        ``(z, y, x)``.
    planar : bool
        Whether sizes are areas.
    whole : array of int, shape (n + 1,), optional
        The basin that each one is a part of, where they are parts; by default none is.

    Attributes
    ----------
    owner : numpy.ndarray, shape (n + 1,)
        The smallest number among the basins that each one is united with.
    judged : int
        How many times `unite` judged a border: its work.
    """

    def __init__(
        self,
        pairs: NDArray[np.int64],
        sums: NDArray[np.int64],
        basins: NDArray[np.int64],
        spacing: tuple[float, float, float],
        planar: bool,
        whole: NDArray[np.int32] | None = None,
    ) -> None:
        steps = np.array([1.0 if planar else spacing[0], *spacing[1:]])
        unit = steps.prod()
        area = unit / steps  # of a face across each axis
        self._power = 1 / 2 if planar else 2 / 3
        self.owner = np.arange(len(basins), dtype=np.int64)
        self.judged = 0
        self._steps = steps
        self._volume = basins[:, 0] * unit
        self._count = basins[:, 0].astype(np.int64)
        self._moment = basins[:, 1:4].astype(np.int64)
        self._length = basins[:, 4] * unit / 255.0
        order = np.lexsort((pairs[:, 1], pairs[:, 0]))
        self._ends = pairs[order].astype(np.int32)
        sums = sums[order]
        # columns as `_agglomerate.agglomerate` says
        self._border = np.zeros((len(pairs), 6))
        self._border[:, 0] = sums[:, :3] @ area
        self._border[:, 1:4] = np.einsum("kac,a->kc", sums[:, 3:12].reshape(-1, 3, 3), area)
        self._border[:, 4] = sums[:, 12:] @ area
        self._border[:, 1:5] /= 127.0 * 255.0
        self._crumb: NDArray[np.float64] = np.zeros(len(basins))  # what is smaller is joined first
        volume = self._volume
        if whole is not None:
            volume = np.bincount(whole, self._volume)
            self._crumb = np.asarray(_agglomerate.CRUMB * volume[whole], np.float64)
            inside = whole[self._ends[:, 0]] == whole[self._ends[:, 1]]
            self._border[inside, 5] = self._border[inside, 0]
        self._typical = _typical(volume)

    def unite(self) -> None:
        """Unite, best pairs first, until every border parts two cells."""
        table = np.full(1 << max(4, int(2 * len(self._ends)).bit_length()), -1, np.int32)
        self.judged = _agglomerate.agglomerate(
            self._ends,
            self._border,
            self._volume,
            self._length,
            self._count,
            self._moment,
            self._crumb,
            self._steps,
            self._power,
            self._typical,
            table,
            self.owner,
        )


def _typical(volume: NDArray[np.float64]) -> float:
    """Volume of the basin in which the median voxel lies: few large parts count, not many scraps.

    0 where there is nothing.
    """
    ordered = np.sort(volume)
    total = np.cumsum(ordered)
    return float(ordered[np.searchsorted(total, total[-1] / 2)])
