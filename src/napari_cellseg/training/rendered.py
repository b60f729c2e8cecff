"""Rendered 3D nuclei, cut into planes of every orientation.

The labelled images are planes of their own; the reslices of a stack are not: they cut cells near
their caps, are blurred along one axis and are noisier. Rendering gives as many as wanted.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from napari_cellseg.training.samples import Sample, prepare


def render_labels(
    rng: np.random.Generator, shape: tuple[int, int, int], radius: float, crowding: float
) -> NDArray[np.int32]:
    """Place deformed ellipsoids of about ``radius`` voxels; neighbours touch, none overlap.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        (z, y, x).
    radius : float
        Mean radius in voxels.
    crowding : float
        Cells per cube of edge ``2 × radius``.

    Returns
    -------
    array of int32, (z, y, x)
    """
    count = max(3, int(crowding * np.prod(shape) / (2 * radius) ** 3))
    warp = ndi.gaussian_filter(rng.normal(size=(3, *shape)).astype(np.float32), (0, *[radius] * 3))
    warp *= radius * 0.35 / warp.std()
    grid = np.stack(np.meshgrid(*[np.arange(n, dtype=np.float32) for n in shape], indexing="ij"))
    grid += warp
    best = np.ones(shape, np.float32)
    labels = np.zeros(shape, np.int32)
    centres: list[NDArray[np.float64]] = []
    for _ in range(count * 8):
        if len(centres) >= count:
            break
        centre = rng.uniform(-0.3 * radius, np.array(shape) + 0.3 * radius)
        if any(np.sum((centre - c) ** 2) < (1.35 * radius) ** 2 for c in centres):
            continue
        centres.append(centre)
    for index, centre in enumerate(centres, 1):
        axes = radius * rng.uniform(0.7, 1.3, 3) * rng.choice([1, 1, 1, 0.6])
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        reach = int(np.ceil(axes.max() * 1.8)) + 1
        low = np.clip(np.floor(centre).astype(int) - reach, 0, shape)
        high = np.clip(np.floor(centre).astype(int) + reach + 1, 0, shape)
        if (high <= low).any():
            continue
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        offset = grid[(slice(None), *box)] - centre[:, None, None, None].astype(np.float32)
        local = np.tensordot(rotation.T.astype(np.float32), offset, 1)
        distance = ((local / axes[:, None, None, None].astype(np.float32)) ** 2).sum(0)
        closer = distance < best[box]
        best[box][closer] = distance[closer]
        labels[box][closer] = index
    return labels


def render_image(rng: np.random.Generator, labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """Light a label volume like a fluorescence microscope: texture, haze, blur, dimming, noise.

    Parameters
    ----------
    rng : numpy.random.Generator
    labels : array of int32, (z, y, x)

    Returns
    -------
    array of float32, (z, y, x)
    """
    shape = labels.shape

    def smooth(sigma: float) -> NDArray[np.float32]:
        field = ndi.gaussian_filter(rng.normal(size=shape).astype(np.float32), sigma, mode="wrap")
        return np.asarray(field / field.std(), np.float32)

    brightness = np.exp(rng.normal(0, rng.uniform(0.1, 0.5), labels.max() + 1)).astype(np.float32)
    brightness[0] = 0
    texture = np.exp(rng.uniform(0.05, 0.45) * smooth(rng.uniform(1, 3)))
    image = brightness[labels] * texture
    if rng.random() < 0.35:  # nucleoli and unstained cores
        image *= 1 - rng.uniform(0.3, 0.9) * (smooth(rng.uniform(1.2, 2.5)) > 1.5)
    haze = rng.uniform(0, 0.3) * np.exp(0.5 * smooth(rng.uniform(6, 14)))
    image = ndi.gaussian_filter(image + haze, (rng.uniform(0.5, 3.5), *[rng.uniform(0.4, 1.3)] * 2))
    if rng.random() < 0.4:  # dimmer with depth
        depth = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None, None]
        image *= np.exp(-rng.uniform(0.3, 1.5) * depth)
    photons = np.exp(rng.uniform(np.log(3), np.log(200)))
    noisy = rng.poisson(np.maximum(image, 0) * photons) / photons
    noisy += rng.normal(0, rng.uniform(0, 0.12), shape)
    if rng.random() < 0.5:
        noisy = ndi.gaussian_filter(noisy, rng.uniform(0.3, 0.9))
    return np.asarray(noisy, np.float32)


def rendered_samples(volumes: int, seed: int = 0) -> Iterator[Sample]:
    """Yield planes of all three orientations of rendered volumes.

    Parameters
    ----------
    volumes : int
        How many volumes to render; each gives 18 planes.
    seed : int
        Of the random generator.
    """
    rng = np.random.default_rng(seed)
    for index in range(volumes):
        shape = (72, 144, 144)
        labels = render_labels(rng, shape, rng.uniform(7.5, 13), rng.uniform(0.15, 1.1))
        image = render_image(rng, labels)
        for axis in range(3):
            for plane in rng.choice(np.arange(6, shape[axis] - 6), 6, replace=False):
                cut = labels.take(plane, axis)
                yield prepare(
                    f"rendered-{index}-{axis}-{plane}",
                    "rendered",
                    index,
                    image.take(plane, axis),
                    cut,
                )
