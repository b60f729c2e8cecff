"""Which basins are parts of one cell.

Noise, long cells and small steps give a cell more than one sink. Basins are united where the flow
does not part at their common border: averaged over the faces of the border, directions on both
sides of a true one point away from each other, while inside a cell they are alike. An average over
a border stands noise that no single voxel stands, and needs no guess of the cell diameter.
"""

import numpy as np
from numpy.typing import NDArray

_PARTING = 0.12  # mean difference of flow components, relative to the flow's length, across a border that parts two cells
_NECK = 0.2  # borders smaller than this share of a basin's cross-section join nothing
_MIX = np.maximum
_SHORT = 0.05  # flows shorter than this say nothing


def unite_basins(
    basins: NDArray[np.int64],
    pairs: NDArray[np.int64],
    sums: NDArray[np.int64],
    spacing: tuple[float, float, float],
    planar: bool,
    parting: float = _PARTING,
    mix: float = 0.5,
    neck: float = _NECK,
) -> NDArray[np.int64]:
    """For every basin, the smallest number among the basins that it is united with.

    Best pairs first: in rounds, every two basins that are each other's best partner are united and
    their borders with others added up, until no border is below `parting`.

    Parameters
    ----------
    basins, pairs, sums : arrays of int, shapes (n + 1, 5), (k, 2) and (k, 12)
        What `_basins.borders` gives; row 0 of `basins` is unused.
    spacing : tuple of float
        ``(z, y, x)``.
    planar : bool
        Whether sizes are areas.
    parting, neck : float
        Thresholds.
    """
    steps = np.asarray(spacing)
    if planar:
        steps = np.array([1.0, *steps[1:]])
    unit = steps.prod()
    area = unit / steps  # of a face across each axis
    volume = basins[:, 0] * unit
    moment = basins[:, 1:4] * steps * unit
    length = basins[:, 4] * unit / 255.0
    a, b = pairs[:, 0], pairs[:, 1]
    order = np.lexsort((b, a))
    a, b = a[order], b[order]
    faces = (sums[:, :3] @ area)[order]
    parts = np.einsum("kac,a->kc", sums[order, 3:12].reshape(-1, 3, 3), area) / (127.0 * 255.0)
    apart = (sums[:, 12:] @ area)[order] / (127.0 * 255.0)
    owner = np.arange(len(basins))
    power = 1 / 2 if planar else 2 / 3
    while a.size:
        way = moment[b] / volume[b, None] - moment[a] / volume[a, None]
        way /= np.maximum(np.sqrt((way**2).sum(1, keepdims=True)), 1e-9)
        mean = (length[a] + length[b]) / (volume[a] + volume[b])
        both = (np.maximum((parts * way).sum(1), apart) if mix < 0 else mix * (parts * way).sum(1) + (1 - mix) * apart)
        score = both / (faces * np.maximum(mean, _SHORT))
        score[faces < neck * np.minimum(volume[a], volume[b]) ** power] = np.inf
        best = np.full(len(basins), np.inf)
        np.minimum.at(best, a, score)
        np.minimum.at(best, b, score)
        chosen = np.flatnonzero((score < parting) & (score == best[a]) & (score == best[b]))
        if not chosen.size:
            break
        # ties: a basin is in one union a round, the first by raster order
        first = np.full(len(basins), a.size)
        np.minimum.at(first, a[chosen], chosen)
        np.minimum.at(first, b[chosen], chosen)
        chosen = chosen[(first[a[chosen]] == chosen) & (first[b[chosen]] == chosen)]
        target = np.arange(len(basins))
        target[b[chosen]] = a[chosen]
        owner = target[owner]
        for total in (volume, moment, length):
            total[a[chosen]] += total[b[chosen]]
        a, b = target[a], target[b]
        swapped = a > b
        a, b = np.minimum(a, b), np.maximum(a, b)
        parts[swapped] *= -1
        keep = a != b
        key, where = np.unique(a[keep] * len(basins) + b[keep], return_inverse=True)
        a, b = key // len(basins), key % len(basins)
        faces = np.bincount(where, faces[keep], key.size)
        apart = np.bincount(where, apart[keep], key.size)
        parts = np.stack([np.bincount(where, part[keep], key.size) for part in parts.T], 1)
    return owner
