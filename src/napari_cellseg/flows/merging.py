"""Which basins are parts of one cell.

Noise, long cells and small steps give a cell more than one sink. Basins are united where the flow
does not part at their common border: averaged over the faces of the border, directions on both
sides of a true one point away from each other, while inside a cell they are alike. An average over
a border stands noise that no single voxel stands, and needs no guess of the cell diameter.

Where planes are coarse, a single step can leave a thin cell for the next one, and both share a
sink. There a basin is taken apart first, by planes and by whether the flow goes up or down, and
its parts are united in the same way, only more readily.
"""

import numpy as np
from numpy.typing import NDArray

_PARTING = 0.12  # mean difference of flow components across a border, relative to their length,
# above which it parts two cells
_NECK = 0.3  # borders smaller than this share of a basin's cross-section join nothing
_SHORT = 0.05  # flows shorter than this say nothing
_CUT = 0.45  # the same between parts of one basin, which shared a sink after all
_SCRAP = 0.08  # what is smaller than this share of what is beside was more likely torn off by noise
# than it is a cell, and is united with it as readily as a part of it
_CRUMB = 0.1  # parts smaller than this share of their basin, or of what is beside, stay with it
_ALWAYS = 8.0  # more than any border parts


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
        self.owner = np.arange(len(basins))
        self._volume = basins[:, 0] * unit
        self._steps = steps
        self._count = basins[:, 0].astype(np.int64)
        self._moment = basins[:, 1:4].astype(np.int64)
        self._length = basins[:, 4] * unit / 255.0
        order = np.lexsort((pairs[:, 1], pairs[:, 0]))
        self._a, self._b = pairs[order, 0], pairs[order, 1]
        sums = sums[order]
        # columns: area of the border; flow in b minus flow in a; how far it parts face by face;
        # area that lies inside one basin
        self._border = np.empty((len(pairs), 6))
        self._border[:, 0] = sums[:, :3] @ area
        self._border[:, 1:4] = np.einsum("kac,a->kc", sums[:, 3:12].reshape(-1, 3, 3), area)
        self._border[:, 4] = sums[:, 12:] @ area
        self._border[:, 1:5] /= 127.0 * 255.0
        self._crumb: NDArray[np.float64] = np.zeros(
            len(basins)
        )  # parts smaller than this are joined first
        self._border[:, 5] = 0
        if whole is not None:
            self._crumb = np.asarray(_CRUMB * np.bincount(whole, self._volume)[whole])
            inside = whole[self._a] == whole[self._b]
            self._border[inside, 5] = self._border[inside, 0]

    def unite(self) -> None:
        """Unite, best pairs first, until every border parts two cells.

        In rounds: every two basins that are each other's best partner are united, and their
        borders with others added up.
        """
        count = len(self.owner)
        while self._a.size:
            a, b = self._a, self._b
            score = self._margin()
            best = np.full(count, np.inf)
            np.minimum.at(best, a, score)
            np.minimum.at(best, b, score)
            chosen = np.flatnonzero((score < 0) & (score == best[a]) & (score == best[b]))
            if not chosen.size:
                break
            # ties: a basin is in one union a round, the first by raster order
            first = np.full(count, a.size)
            np.minimum.at(first, a[chosen], chosen)
            np.minimum.at(first, b[chosen], chosen)
            chosen = chosen[(first[a[chosen]] == chosen) & (first[b[chosen]] == chosen)]
            target = np.arange(count)
            target[b[chosen]] = a[chosen]
            self._contract(target)

    def _margin(self) -> NDArray[np.float64]:
        """For every border, how far it parts more than it may; infinite where it joins nothing."""
        a, b = self._a, self._b
        area = self._border[:, 0]
        inside = self._border[:, 5] / area
        small = np.minimum(self._volume[a], self._volume[b])
        large = np.maximum(self._volume[a], self._volume[b])
        readily = np.where(small < _SCRAP * large, 1, inside)
        margin = self._parting() - (_PARTING + (_CUT - _PARTING) * readily)
        mostly = inside > 0.5
        margin[~mostly & (area < _NECK * small**self._power)] = np.inf
        crumbs = self._volume < self._crumb
        tiny = small < _CRUMB * large
        margin[mostly & (crumbs[a] | crumbs[b] | tiny)] -= _ALWAYS
        return margin

    def _mean_length(self) -> NDArray[np.float64]:
        length = self._length[self._a] + self._length[self._b]
        volume = self._volume[self._a] + self._volume[self._b]
        return np.asarray(np.maximum(length / volume, _SHORT))

    def _parting(self) -> NDArray[np.float64]:
        """For every border, how far the flow parts there: 0 not at all, 2 entirely.

        The mean of two measures. Along the normal of each face: best in noise. Along the line
        between the centres of both basins: right where planes are so coarse that the flow turns
        between two of them.
        """
        a, b = self._a, self._b
        # from a whole voxel near a, so that it is the same to the bit wherever the volume lies
        count_a, count_b = self._count[a, None], self._count[b, None]
        origin = self._moment[a] // count_a
        way = (self._moment[b] - count_b * origin) / count_b
        way -= (self._moment[a] - count_a * origin) / count_a
        way *= self._steps
        way /= np.maximum(np.sqrt((way**2).sum(1, keepdims=True)), 1e-9)
        along = (self._border[:, 1:4] * way).sum(1)
        both = (along + self._border[:, 4]) / 2
        return np.asarray(both / (self._border[:, 0] * self._mean_length()))

    def _contract(self, target: NDArray[np.int64]) -> None:
        """Make each node part of its target, a node that keeps its number."""
        moved = np.flatnonzero(target != np.arange(target.size))
        for total in (self._volume, self._count, self._moment, self._length):
            np.add.at(total, target[moved], total[moved])
        self.owner = target[self.owner]
        a, b = target[self._a], target[self._b]
        self._border[a > b, 1:4] *= -1
        a, b = np.minimum(a, b), np.maximum(a, b)
        kept = a != b
        key, where = np.unique(a[kept] * target.size + b[kept], return_inverse=True)
        self._a, self._b = key // target.size, key % target.size
        self._border = np.stack(
            [np.bincount(where, column, key.size) for column in self._border[kept].T], 1
        )
