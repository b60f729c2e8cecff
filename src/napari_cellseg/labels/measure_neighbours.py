"""Which objects lie next to each other."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels.measure_kernels import near_pairs

_MOST_OFFSETS = 20_000


def neighbours(
    labels: NDArray[np.uint32],
    ids: NDArray[np.uint32],
    spacing: tuple[float, ...],
    gap: float = 0.0,
) -> list[NDArray[np.uint32]]:
    """Ids of the objects next to each object.

    Parameters
    ----------
    labels : ndarray of uint32
        (z, y, x).
    ids : ndarray of uint32
        Rising.
    spacing : tuple of float
        (z, y, x).
    gap : float
        Largest distance between the boxes of two voxels, in the unit of `spacing`; 0: they touch,
        if only at a corner.

    Returns
    -------
    list of ndarray of uint32
        Rising, one for each of `ids`.

    Raises
    ------
    InputError
        The gap is negative or spans too many voxels.
    """
    if not len(ids):
        return []
    pairs, size = near_pairs(labels, ids, offsets_within(labels.shape, spacing, gap))
    once = np.unique(pairs[:size])
    one, other = np.divmod(once, len(ids))
    rows, near = np.divmod(np.sort(np.concatenate([once, other * len(ids) + one])), len(ids))
    ends = np.cumsum(np.bincount(rows, minlength=len(ids))).tolist()
    found = ids[near]
    return [found[a:b] for a, b in pairwise([0, *ends])]


def offsets_within(
    shape: tuple[int, ...], spacing: tuple[float, ...], gap: float
) -> NDArray[np.int64]:
    """Steps (z, y, x) between voxels whose boxes are at most `gap` apart; one of each and its
    opposite.
    """  # noqa: D205 - one sentence
    if not (math.isfinite(gap) and gap >= 0):
        raise InputError(f"gap={gap!r} is no distance: pass 0 (touching) or a length in µm.")
    reach = [
        min(math.floor(gap / size * (1 + 1e-9)) + 1, n - 1)
        for size, n in zip(spacing, shape, strict=True)
    ]
    if math.prod(2 * n + 1 for n in reach) > 8 * _MOST_OFFSETS:
        raise InputError(
            f"gap={gap:g} spans {max(reach)} voxels, which would take very long: pass a smaller "
            "one."
        )
    grid = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), -1)
    steps = grid.reshape(-1, 3)
    apart = np.maximum(np.abs(steps) - 1, 0) * np.asarray(spacing)
    near = np.linalg.norm(apart, axis=1) <= gap * (1 + 1e-9)
    half = near & (np.arange(len(steps)) > len(steps) // 2)  # the middle one is no step
    return np.ascontiguousarray(steps[half], np.int64)
