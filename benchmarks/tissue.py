"""The synthetic stack of the benchmark: touching cells, and an image of them."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.synthetic import touching_ellipsoids

RADIUS = 9.0


def tissue(shape: tuple[int, int, int], seed: int = 0) -> NDArray[np.int32]:
    """Touching cells of about `2 × RADIUS` voxels, (z, y, x)."""
    return touching_ellipsoids(shape, radius=RADIUS, seed=seed)


def photograph(labels: NDArray[np.int32], seed: int = 0) -> NDArray[np.uint16]:
    """Picture of the cells: each of its own brightness, darker at the rim, blurred, with noise."""
    rng = np.random.default_rng(seed)
    brightness = rng.uniform(0.5, 1.5, int(labels.max()) + 1).astype(np.float32)
    brightness[0] = 0.05
    image = brightness[labels]
    for plane in range(len(labels)):  # borders between cells are dark; plane by plane saves memory
        slab = labels[max(plane - 1, 0) : plane + 2]
        low = ndimage.minimum_filter(slab, 3)[min(plane, 1)]
        high = ndimage.maximum_filter(slab, 3)[min(plane, 1)]
        image[plane][low != high] *= 0.4
    image = ndimage.gaussian_filter(image, (1.2, 0.8, 0.8))
    image *= 400
    image += 100
    for plane in image:
        plane[:] = rng.poisson(plane)
    return image.astype(np.uint16)
