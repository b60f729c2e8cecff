"""Whether an array can be instance labels, or is an image that was taken for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FEWEST = 20  # values, below which even odd labels are believed
_LEAST_ALIKE = 0.5
_SINGLE = 0.01


def looks_like_image(labels: NDArray[np.uint32]) -> bool:
    """Tell intensities from instance ids by how the values lie in space.

    Voxels of an instance lie together, so neighbours mostly share an id; the values of an image
    change from voxel to voxel, some occur once, or the same one occurs all over the image.

    Parameters
    ----------
    labels : ndarray of uint32
        ([t,] [z,] y, x).
    """
    values, counts = np.unique(labels, return_counts=True)
    counts = counts[values > 0]
    if len(counts) < _FEWEST:
        return False
    left, right = labels[..., :-1], labels[..., 1:]
    pairs = (left > 0) & (right > 0)
    n_pairs = np.count_nonzero(pairs)
    if n_pairs and np.count_nonzero((left == right) & pairs) < _LEAST_ALIKE * n_pairs:
        return True
    # Fragments of a few voxels are common in labels too: single voxels tell only where the
    # foreground leaves no room for background, as intensities do.
    if counts.sum() > 0.99 * labels.size and np.mean(counts == 1) > _SINGLE:
        return True
    return _spread(labels, values[values > 0])


def _spread(labels: NDArray[np.uint32], values: NDArray[np.uint32]) -> bool:
    """Whether a typical value occurs over more than half of the height and of the width."""
    planes = labels.reshape(-1, *labels.shape[-2:])
    height, width = planes.shape[-2:]
    low = np.full((2, len(values)), max(height, width))
    high = np.full((2, len(values)), -1)
    for plane in planes:
        y, x = np.nonzero(plane)
        which = np.searchsorted(values, plane[y, x])
        for k, position in enumerate((y, x)):
            np.minimum.at(low[k], which, position)
            np.maximum.at(high[k], which, position)
    extent = np.median(high - low + 1, axis=1)
    return bool(extent[0] > height / 2 and extent[1] > width / 2)
