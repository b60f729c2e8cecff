"""How many voxels each pair of predicted and true instances shares, counted sparsely.

Labels are read in slabs and counted as runs along x, so that memory grows with the number of
instance pairs and the slab, not with the volume.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellseg.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Counts = NDArray[np.int64]
    Ids = NDArray[np.uint64]

SLAB_VOXELS = 2**22


@dataclass(frozen=True, eq=False)
class Contingency:
    """Sparse table of overlaps; an instance is an id within one time point.

    Attributes
    ----------
    truth_ids, predicted_ids : ndarray of uint64, (n, 2)
        Time point and id of each instance, background left out.
    truth_sizes, predicted_sizes : ndarray of int64, (n,)
        Voxels.
    truth, predicted : ndarray of int64, (pairs,)
        Which instances share voxels: rows of the tables above; -1 is background.
    overlap : ndarray of int64, (pairs,)
        Shared voxels; sums to the number of voxels.
    """

    truth_ids: Ids
    predicted_ids: Ids
    truth_sizes: Counts
    predicted_sizes: Counts
    truth: Counts
    predicted: Counts
    overlap: Counts

    @property
    def instances(self) -> tuple[Counts, Counts, Counts]:
        """Pairs of instances only: truth row, predicted row, shared voxels."""
        both = (self.truth >= 0) & (self.predicted >= 0)
        return self.truth[both], self.predicted[both], self.overlap[both]


def contingency(predicted: Any, truth: Any, timed: bool) -> Contingency:
    """Count the overlaps of two label arrays of equal shape.

    Parameters
    ----------
    predicted, truth : array of int
        Numpy, dask or zarr; read slab by slab along the first axis.
    timed : bool
        The first axis is time: equal ids at different times are different instances.

    Raises
    ------
    InputError
        An id is negative.
    """
    parts: list[tuple[NDArray[np.uint64], Counts]] = []
    for time, true_slab, predicted_slab in _slabs(predicted, truth, timed):
        codes, counts = _runs(true_slab, predicted_slab)
        codes = np.column_stack([np.full(len(codes), time, np.uint64), codes])
        parts.append(_summed(codes, counts))
    keys, overlap = _summed(
        np.concatenate([keys for keys, _ in parts]), np.concatenate([counts for _, counts in parts])
    )
    truth_ids, truth_sizes, truth_rows = _side(keys[:, [0, 1]], overlap)
    predicted_ids, predicted_sizes, predicted_rows = _side(keys[:, [0, 2]], overlap)
    return Contingency(
        truth_ids,
        predicted_ids,
        truth_sizes,
        predicted_sizes,
        truth_rows,
        predicted_rows,
        overlap,
    )


def _slabs(predicted: Any, truth: Any, timed: bool) -> Iterator[tuple[int, Ids, Ids]]:
    plane = max(1, int(np.prod(truth.shape[1:], dtype=np.int64)))
    step = 1 if timed else max(1, SLAB_VOXELS // plane)
    for start in range(0, truth.shape[0], step):
        part = slice(start, start + step)
        yield (
            start if timed else 0,
            _ids(truth[part], "The truth"),
            _ids(predicted[part], "The prediction"),
        )


def _ids(slab: Any, what: str) -> Ids:
    array = np.asarray(slab).ravel()
    if array.dtype.kind == "i" and array.size and array.min() < 0:
        raise InputError(f"{what} has a negative id ({array.min()}); ids start at 1.")
    return array.astype(np.uint64, copy=False)


def _runs(truth: Ids, predicted: Ids) -> tuple[NDArray[np.uint64], Counts]:
    """Pairs of ids and lengths of the runs in which neither changes."""
    changes = (truth[1:] != truth[:-1]) | (predicted[1:] != predicted[:-1])
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    lengths = np.diff(starts, append=len(truth)).astype(np.int64)
    return np.column_stack([truth[starts], predicted[starts]]), lengths


def _summed(keys: NDArray[np.uint64], counts: Counts) -> tuple[NDArray[np.uint64], Counts]:
    """Sum the counts of equal rows; rows come out sorted."""
    order = np.lexsort(keys.T[::-1])
    keys, counts = keys[order], counts[order]
    first = np.concatenate([[True], (keys[1:] != keys[:-1]).any(axis=1)])
    starts = np.flatnonzero(first)
    return keys[starts], np.add.reduceat(counts, starts)


def _side(ids: NDArray[np.uint64], overlap: Counts) -> tuple[Ids, Counts, Counts]:
    """Instances of one side, their sizes, and the row of each pair (-1: background)."""
    rows = np.full(len(ids), -1, np.int64)
    cell = ids[:, 1] != 0
    if not cell.any():
        return np.zeros((0, 2), np.uint64), np.zeros(0, np.int64), rows
    found, sizes = _summed(ids[cell], overlap[cell])
    order = np.lexsort(ids[cell].T[::-1])
    ordered = ids[cell][order]
    group = np.cumsum(np.concatenate([[False], (ordered[1:] != ordered[:-1]).any(axis=1)]))
    rows[np.flatnonzero(cell)[order]] = group
    return found, sizes, rows
