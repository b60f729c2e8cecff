"""Numbers of a mask: how large, how convex, how long, pinched, in pieces, and smooth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Steps = NDArray[np.float64]

_MOST = 30_000  # voxels of a box that are looked at; larger boxes are thinned
_LEVELS = np.linspace(0.3, 0.9, 7)


def thinned(mask: Mask, spacing: Steps, most: int = _MOST) -> tuple[Mask, Steps, tuple[slice, ...]]:
    """A mask with so few voxels that its cost is bounded, its spacing, and what was taken."""
    factor = (mask.size / most) ** (1 / mask.ndim)
    steps = [max(1, min(int(np.ceil(factor)), n // 8)) for n in mask.shape]
    part = tuple(slice(None, None, step) for step in steps)
    if not mask[part].any():  # so thin that every voxel falls between
        part, steps = (slice(None),) * mask.ndim, [1] * mask.ndim
    return mask[part], spacing * steps, part


def hull(mask: Mask, spacing: Steps) -> tuple[float, float]:
    """Volume and surface (2D: area and perimeter) of the convex hull of the voxels' corners."""
    from scipy.spatial import ConvexHull

    if not mask.any():
        return 0.0, 0.0
    # of all corners on a line along x only the outermost two can be on the hull
    lines = mask.any(-1)
    first = np.where(lines, mask.argmax(-1) - 0.5, np.inf)
    last = np.where(lines, mask.shape[-1] - 0.5 - mask[..., ::-1].argmax(-1), -np.inf)
    low = np.full([n + 1 for n in lines.shape], np.inf)
    high = -low
    for corner in np.ndindex(*(2,) * lines.ndim):
        part = tuple(slice(c, c + n) for c, n in zip(corner, lines.shape, strict=True))
        low[part] = np.minimum(low[part], first)
        high[part] = np.maximum(high[part], last)
    there = np.isfinite(low)
    at = np.argwhere(there) - 0.5
    points = np.concatenate([np.column_stack([at, end[there]]) for end in (low, high)])
    found = ConvexHull(points * spacing)
    return float(found.volume), float(found.area)


def neck(mask: Mask, spacing: Steps) -> float:
    """How clearly a mask has two lobes: the second one's height above the saddle, of the first's.

    The distance to the background is cut at rising levels; two pieces at a level are two lobes.
    """
    from scipy import ndimage as ndi

    distance = ndi.distance_transform_edt(np.pad(mask, 1), sampling=spacing)
    top = float(distance.max())
    slack = 0.5 * float(spacing.min())  # a bump of half a voxel is a bump of the grid
    best = 0.0
    for level in _LEVELS * top:
        pieces, count = ndi.label(distance > level)
        if count > 1:
            peaks = np.sort(ndi.maximum(distance, pieces, np.arange(1, count + 1)))
            best = max(best, (float(peaks[-2]) - float(level) - slack) / top)
    return best


def elongation(mask: Mask, spacing: Steps) -> float:
    """Log of the ratio of the longest axis to the next, of the ellipsoid with the same moments."""
    points = np.argwhere(mask) * spacing
    if len(points) < 2 * mask.ndim:
        return 0.0
    spread = np.cov(points.T) + np.diag(spacing**2 / 12)
    values = np.sort(np.linalg.eigvalsh(spread))
    return float(0.5 * np.log(values[-1] / values[-2]))


def stray_share(mask: Mask) -> float:
    """Share of the voxels that are not in the largest connected piece."""
    from scipy import ndimage as ndi

    pieces, count = ndi.label(mask, np.ones((3,) * mask.ndim))
    if count < 2:
        return 0.0
    sizes = np.bincount(pieces.ravel())[1:]
    return float(1 - sizes.max() / sizes.sum())


def plane_numbers(mask: Mask, spacing: Steps) -> dict[str, float]:
    """How an object goes through z: jumps of its area, empty planes, drift of its middle.

    Returns
    -------
    dict
        ``area_jump``: largest log ratio of the areas of two planes that follow each other, where
        both are more than a third of the largest; ``gaps``: share of empty planes between the
        first and the last; ``drift``: largest step of the centre, of the radius.
    """
    none = {"area_jump": 0.0, "gaps": 0.0, "drift": 0.0}
    if mask.ndim == 2 or len(mask) < 2:
        return none
    areas = mask.sum((1, 2)).astype(float)
    there = areas > 0
    solid = areas > areas.max() / 3
    pairs = solid[1:] & solid[:-1]
    if not pairs.any():
        return {**none, "gaps": float(1 - there.mean())}
    jump = np.abs(np.diff(np.log(np.maximum(areas, 1))))[pairs].max()
    safe = np.maximum(areas, 1)
    rows = (mask.sum(2) * np.arange(mask.shape[1])).sum(1) / safe * spacing[1]
    columns = (mask.sum(1) * np.arange(mask.shape[2])).sum(1) / safe * spacing[2]
    step = np.hypot(np.diff(rows), np.diff(columns))[pairs].max()
    radius = np.sqrt(areas.max() * spacing[1] * spacing[2] / np.pi)
    return {
        "area_jump": float(jump),
        "gaps": float(1 - there.mean()),
        "drift": float(step / radius),
    }
