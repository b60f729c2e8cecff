"""Synthetic tissue with known instances, and the flow fields that a network would give of it."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cellseg.flows import FlowField, fused_label_flows, label_flows

Source = Literal["diffusion", "fused", "radial"]


def touching_ellipsoids(
    shape: Sequence[int] = (72, 144, 144),
    radius: float = 9.0,
    anisotropy: float = 1.0,
    seed: int = 0,
    jitter: float = 0.3,
    sparse: float = 1.0,
) -> NDArray[np.int32]:
    """Densely packed ellipsoids of random shape and direction, ids 1..n.

    `shape` is (z, y, x), or (y, x), in voxels of y; every `anisotropy`-th plane of it is sampled.
    Centres are a jittered body-centred grid; a voxel belongs to the ellipsoid that it is deepest
    in. `sparse` widens the grid. Slivers and broken-off pieces are removed.
    """
    rng = np.random.default_rng(seed)
    ndim = len(shape)
    step = radius * 2 / 1.3 * 2 ** (1 / ndim) * sparse
    centres = np.concatenate(
        [
            np.stack(
                np.meshgrid(
                    *(np.arange(step * (0.4 + off), n, step) for n in shape), indexing="ij"
                ),
                -1,
            ).reshape(-1, ndim)
            for off in (0.0, 0.5)
        ]
    )
    centres += rng.normal(0, jitter * radius, centres.shape)
    scale = np.ones(ndim)
    if ndim == 3:
        scale[0] = anisotropy
    grid = tuple(int(n // s) for n, s in zip(shape, scale, strict=True))
    depth = np.ones(grid, np.float32)
    labels = np.zeros(grid, np.int32)
    for number, centre in enumerate(centres, 1):
        axes = radius * rng.uniform(0.75, 1.35, ndim)
        _paint(labels, depth, number, centre, axes, _rotation(rng, ndim), scale)
    return _tidy(labels, max(8, int(200 / scale.prod())) if ndim == 3 else 30)


def ellipsoids(
    shape: Sequence[int],
    centres: Sequence[Sequence[float]],
    semi_axes: Sequence[Sequence[float]],
    spacing: Sequence[float],
    directions: Sequence[Sequence[float] | None] | None = None,
) -> NDArray[np.int32]:
    """Given ellipsoids; centres in voxels, semi-axes in µm, the first along `directions`."""
    labels = np.zeros(tuple(shape), np.int32)
    depth = np.ones(tuple(shape), np.float32)
    scale = np.asarray(spacing, float)
    for number, (centre, axes) in enumerate(zip(centres, semi_axes, strict=True), 1):
        turn = np.eye(len(shape))
        direction = directions[number - 1] if directions is not None else None
        if direction is not None:
            first = np.asarray(direction, float)
            basis = np.column_stack([first, np.eye(len(shape))])
            turn = np.linalg.qr(basis)[0][:, : len(shape)]
        centre_um = np.asarray(centre, float) * scale
        _paint(labels, depth, number, centre_um, np.asarray(axes, float), turn, scale)
    return labels


def _rotation(rng: np.random.Generator, ndim: int) -> NDArray[np.float64]:
    return np.linalg.qr(rng.normal(size=(ndim, ndim)))[0]


def _paint(
    labels: NDArray[np.int32],
    depth: NDArray[np.float32],
    number: int,
    centre: NDArray[np.float64],
    axes: NDArray[np.float64],
    turn: NDArray[np.float64],
    scale: NDArray[np.float64],
) -> None:
    """Paint one ellipsoid where it is deeper than those before; `centre` and `axes` in µm."""
    lo = np.maximum(np.floor((centre - axes.max()) / scale).astype(int), 0)
    hi = np.minimum(np.ceil((centre + axes.max()) / scale).astype(int) + 1, labels.shape)
    if (hi <= lo).any():
        return
    where = tuple(slice(a, b) for a, b in zip(lo, hi, strict=True))
    at = np.stack(
        np.meshgrid(*(np.arange(a, b) for a, b in zip(lo, hi, strict=True)), indexing="ij"), -1
    )
    offset = (at * scale - centre) @ turn / axes
    distance = (offset**2).sum(-1).astype(np.float32)
    inside = distance < depth[where]
    depth[where][inside] = distance[inside]
    labels[where][inside] = number


def _tidy(labels: NDArray[np.int32], least: int) -> NDArray[np.int32]:
    out = np.zeros_like(labels)
    count = 0
    for number, where in enumerate(ndimage.find_objects(labels), 1):
        if where is None:
            continue
        parts, n = ndimage.label(labels[where] == number)
        if n == 0:
            continue
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        if sizes.max() < least:
            continue
        count += 1
        out[where][parts == sizes.argmax()] = count
    return out


def radial_flows(labels: NDArray[np.int32], spacing: Sequence[float]) -> NDArray[np.float32]:
    """Unit vectors to the centroid of each instance, in physical space."""
    n = int(labels.max())
    flow = np.zeros((labels.ndim, *labels.shape), np.float32)
    if n == 0:
        return flow
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, np.arange(1, n + 1)))
    centres = np.concatenate([np.zeros((1, labels.ndim)), centres])
    for axis in range(labels.ndim):
        at = np.arange(labels.shape[axis]).reshape(
            [-1 if k == axis else 1 for k in range(labels.ndim)]
        )
        flow[axis] = (centres[labels, axis] - at) * spacing[axis]
    flow /= np.maximum(np.sqrt((flow**2).sum(0)), 1e-6)
    return flow * (labels > 0)


def field_of(
    labels: NDArray[np.int32],
    spacing: Sequence[float],
    source: Source = "diffusion",
    noise: float = 0.0,
    smooth: float = 0.0,
    seed: int = 7,
) -> FlowField:
    """The field that a network might give of `labels`.

    `smooth` is the standard deviation (finest voxels) of a Gaussian over flow and logits; `noise`
    the standard deviation, per component, of spatially correlated Gaussian noise on the flow of
    unit length; noisy logits have noise too.
    """
    rng = np.random.default_rng(seed)
    if source == "radial":
        flow = radial_flows(labels, spacing)
    elif source == "fused" and labels.ndim == 3:
        flow = fused_label_flows(labels, spacing)
    else:
        flow = label_flows(labels, spacing)
    logits = np.where(labels > 0, 6.0, -6.0).astype(np.float32)
    finest = min(spacing)
    if smooth:
        sigma = [smooth * finest / s for s in spacing]
        flow = np.stack([ndimage.gaussian_filter(part, sigma) for part in flow])
        logits = ndimage.gaussian_filter(logits, sigma)
    if noise:
        sigma = [1.5 * finest / s for s in spacing]
        for part in flow:
            bumps = ndimage.gaussian_filter(rng.normal(size=labels.shape).astype(np.float32), sigma)
            part += noise * bumps / bumps.std()
        logits += rng.normal(0, 1.5, labels.shape).astype(np.float32)
    return FlowField(flow, logits, spacing)


def recovered(
    truth: NDArray[np.integer], found: NDArray[np.integer], iou: float = 0.75
) -> tuple[float, float]:
    """Share of true instances found at an IoU, and AP = TP / (TP + FP + FN)."""
    n_true, n_found = np.unique(truth[truth > 0]).size, np.unique(found[found > 0]).size
    t, f = truth.ravel().astype(np.int64), found.ravel().astype(np.int64)
    width = int(f.max()) + 1
    both = np.bincount(t * width + f)
    index = np.flatnonzero(both)
    a, b = index // width, index % width
    size_t, size_f = np.bincount(t), np.bincount(f)
    real = (a > 0) & (b > 0)
    a, b, n = a[real], b[real], both[index][real]
    hits = int((n / (size_t[a] + size_f[b] - n) >= iou).sum())
    return hits / max(1, n_true), hits / max(1, n_true + n_found - hits)
