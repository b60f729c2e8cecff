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
    if mask.size <= most:
        return mask, spacing, (slice(None),) * mask.ndim
    factor = (mask.size / most) ** (1 / mask.ndim)
    steps = [max(1, min(int(np.ceil(factor)), n // 8)) for n in mask.shape]
    part = tuple(slice(None, None, step) for step in steps)
    if not mask[part].any():  # so thin that every voxel falls between
        part, steps = (slice(None),) * mask.ndim, [1] * mask.ndim
    return mask[part], spacing * steps, part


def hull(mask: Mask, spacing: Steps) -> tuple[float, float]:
    """Volume and surface (2D: area and perimeter) of the convex hull of the voxels' corners."""
    from napari_cellseg.labels.review._hull_kernel import hull_2d, hull_3d

    if not mask.any():
        return 0.0, 0.0
    return (hull_2d if mask.ndim == 2 else hull_3d)(as_volume(mask), spacing)


def neck(mask: Mask, spacing: Steps) -> float:
    """How clearly a mask has two lobes: the second one's height above the saddle, of the first's.

    The distance to the background is cut at rising levels; two pieces at a level are two lobes.
    """
    from napari_cellseg.labels.review._mask_kernels import lobes

    slack = 0.5 * float(spacing.min())  # a bump of half a voxel is a bump of the grid
    return lobes(as_volume(mask), three_steps(spacing), mask.ndim == 2, _LEVELS, slack)


def deepest(mask: Mask, spacing: Steps) -> float:
    """Largest distance of a voxel to the background, which is all around the mask's array."""
    from napari_cellseg.labels.review import _mask_kernels

    return _mask_kernels.deepest(as_volume(mask), three_steps(spacing), mask.ndim == 2)


def elongation(mask: Mask, spacing: Steps) -> float:
    """Log of the ratio of the longest axis to the next, of the ellipsoid with the same moments."""
    from napari_cellseg.labels.review._mask_kernels import spread

    count, covariance = spread(as_volume(mask), three_steps(spacing))
    if count < 2 * mask.ndim:
        return 0.0
    used = covariance[3 - mask.ndim :, 3 - mask.ndim :] + np.diag(spacing**2 / 12)
    values = np.linalg.eigvalsh(used)  # rising
    return float(0.5 * np.log(values[-1] / values[-2]))


def stray_share(mask: Mask) -> float:
    """Share of the voxels that are not in the largest connected piece."""
    from napari_cellseg.labels.review._mask_kernels import largest_piece

    largest, total = largest_piece(as_volume(mask))
    return 0.0 if largest == total else 1 - largest / total


def plane_numbers(mask: Mask, spacing: Steps) -> dict[str, float]:
    """How an object goes through z: jumps of its area, empty planes, drift of its middle.

    Returns
    -------
    dict
        ``area_jump``: largest log ratio of the areas of two planes that follow each other, where
        both are more than a third of the largest; ``gaps``: share of empty planes between the
        first and the last; ``drift``: largest step of the centre, of the radius.
    """
    from napari_cellseg.labels.review._mask_kernels import planes

    if mask.ndim == 2 or len(mask) < 2:
        return {"area_jump": 0.0, "gaps": 0.0, "drift": 0.0}
    jump, gaps, drift = planes(as_volume(mask), spacing)
    return {"area_jump": jump, "gaps": gaps, "drift": drift}


def as_volume(mask: Mask) -> Mask:
    """A mask as the kernels take it: contiguous (z, y, x), planes with one z."""
    return np.ascontiguousarray(mask if mask.ndim == 3 else mask[None])


def three_steps(spacing: Steps) -> Steps:
    """Spacing (z, y, x); that of planes has any z."""
    return spacing if spacing.size == 3 else np.array([1.0, *spacing])
