"""Which images are held out: by kind of image, never at random.

Images from one plate look alike, so a random split would test on what was trained on. Images are
grouped by appearance, and whole groups are held out.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage


def appearance(image: NDArray[np.generic], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Describe how an image looks, in a few numbers of comparable range.

    Parameters
    ----------
    image : array, (y, x) or (y, x, 3)
    labels : array of int, (y, x)

    Returns
    -------
    array of float64, (10,)
        Size of the image, colour, background and signal level, contrast, grain, cell diameter,
        and crowding.
    """
    grey = image.astype(float)
    colour = np.zeros(3)
    if grey.ndim == 3:
        colour = grey.mean((0, 1)) / 32
        grey = grey.mean(-1)
    low, middle, high = np.percentile(grey, [1, 50, 99.5])
    grain = np.abs(np.diff(grey, axis=1)).mean() / max(high - low, 1)
    areas = np.bincount(labels.ravel())[1:]
    areas = areas[areas > 0]
    diameter = np.sqrt(np.median(areas) * 4 / np.pi) if len(areas) else 1.0
    return np.array(
        [
            3 * np.log2(grey.size),
            *colour,
            np.log2(1 + max(low, 0)),
            np.log2(1 + max(middle, 0)),
            np.log2(1 + max(high, 0)),
            2 * np.log2(1e-3 + grain),
            3 * np.log2(diameter),
            2 * float((labels > 0).mean()),
        ]
    )


def held_out(
    features: Mapping[str, NDArray[np.float64]], *, groups: int, fraction: float = 1 / 3
) -> tuple[set[str], dict[str, int]]:
    """Choose whole groups of alike images to hold out.

    Parameters
    ----------
    features : mapping of name to array, (n_features,)
        From `appearance`.
    groups : int
        How many groups to form (Ward's linkage).
    fraction : float
        Share of the images to hold out, reached as closely as whole groups allow.

    Returns
    -------
    held : set of str
        Names of the images that must never be trained on.
    group : dict of str to int
        Group of every image.
    """
    names: Sequence[str] = sorted(features)
    table = np.stack([features[name] for name in names])
    group = fcluster(linkage(table, "ward"), groups, "maxclust")
    order = np.random.default_rng(20261121).permutation(np.unique(group))
    target, count = fraction * len(names), 0
    chosen: set[int] = set()
    for g in order:
        size = int((group == g).sum())
        if count + size <= target * 1.1:
            chosen.add(int(g))
            count += size
    held = {name for name, g in zip(names, group, strict=True) if int(g) in chosen}
    return held, {name: int(g) for name, g in zip(names, group, strict=True)}
