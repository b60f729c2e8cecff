"""How far the surfaces of matched instances lie apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Box = tuple[slice, ...]

_DIRECT = 2**24
"""Up to this id a list of all boxes is affordable."""


def surface_distances(
    predicted: Any,
    truth: Any,
    pairs: Sequence[tuple[int, int]],
    spacing: tuple[float, ...],
) -> NDArray[np.float64]:
    """Mean and 95th percentile of the symmetric surface distance of each pair.

    Parameters
    ----------
    predicted, truth : array of int, ([z,] y, x)
        One time point.
    pairs : sequence of (int, int)
        Predicted id and true id.
    spacing : tuple of float
        One length per axis.

    Returns
    -------
    ndarray of float64, (pairs, 2)
        From every surface voxel of either instance to the nearest surface voxel of the other, in
        the unit of `spacing`. A surface voxel is one with a face neighbour outside. Axes of
        length 1 are no direction in which to be outside.
    """
    wide = tuple(axis for axis, length in enumerate(truth.shape) if length > 1)
    keep = tuple(slice(None) if axis in wide else 0 for axis in range(len(truth.shape)))
    mine, theirs = np.asarray(predicted)[keep], np.asarray(truth)[keep]
    if not wide:
        return np.zeros((len(pairs), 2))
    lengths = tuple(spacing[axis] for axis in wide)
    boxes = _boxes(mine, [pair[0] for pair in pairs]), _boxes(theirs, [pair[1] for pair in pairs])
    out = np.zeros((len(pairs), 2))
    for row, ((mine_id, their_id), first, second) in enumerate(zip(pairs, *boxes, strict=True)):
        box = tuple(
            slice(min(a.start, b.start), max(a.stop, b.stop))
            for a, b in zip(first, second, strict=True)
        )
        distances = _symmetric(mine[box] == mine_id, theirs[box] == their_id, lengths)
        out[row] = distances.mean(), np.percentile(distances, 95)
    return out


def _symmetric(
    first: NDArray[np.bool_], second: NDArray[np.bool_], lengths: tuple[float, ...]
) -> NDArray[np.float64]:
    from scipy.ndimage import distance_transform_edt

    surfaces = [_surface(mask) for mask in (first, second)]
    apart = [distance_transform_edt(~surface, sampling=lengths) for surface in surfaces]
    return np.concatenate([apart[1][surfaces[0]], apart[0][surfaces[1]]])


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels with a face neighbour outside, the outside of the box included."""
    padded = np.pad(mask, 1)
    inner = (slice(1, -1),) * mask.ndim
    inside = np.ones_like(mask)
    for axis in range(mask.ndim):
        for shift in (slice(0, -2), slice(2, None)):
            inside &= padded[(*inner[:axis], shift, *inner[axis + 1 :])]
    return mask & ~inside


def _boxes(labels: NDArray[Any], ids: list[int]) -> list[Box]:
    """Bounding box of each id."""
    from scipy.ndimage import find_objects

    if max(ids, default=0) <= _DIRECT:
        narrow = labels if labels.dtype != np.uint64 else labels.astype(np.int64)
        found = find_objects(narrow, max_label=max(ids, default=0))
        return [found[label - 1] for label in ids]
    order = np.sort(np.asarray(ids, np.uint64))
    place = np.searchsorted(order, labels).clip(max=len(order) - 1)
    small = np.where(order[place] == labels, place + 1, 0)
    found = find_objects(small, max_label=len(order))
    return [found[int(np.searchsorted(order, label))] for label in ids]
