"""Which predicted instance stands for which true one, at a given overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cellseg.evaluation.contingency import Contingency

    Pairs = NDArray[np.int64]

MOSTLY = 0.5
"""An instance belongs to the other side's instance that holds more than this share of it."""

NOTABLE = 0.1
"""A part of less than this share of an instance makes it neither split nor merged."""


def overlaps(table: Contingency) -> tuple[Pairs, Pairs, NDArray[np.float64]]:
    """Rows of the pairs that share voxels, and their intersection over union."""
    truth, predicted, shared = table.instances
    union = table.truth_sizes[truth] + table.predicted_sizes[predicted] - shared
    return truth, predicted, shared / union


def count_matches(
    truth: Pairs, predicted: Pairs, iou: NDArray[np.float64], threshold: float
) -> int:
    """Return the largest number of one-to-one pairs with an IoU of at least the threshold."""
    good = iou >= threshold
    if threshold > 0.5:
        return int(good.sum())  # no instance can share more than half with two others
    if not good.any():
        return 0
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    graph = csr_array((np.ones(int(good.sum()), np.int8), (truth[good], predicted[good])))
    return int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())


def match(
    truth: Pairs, predicted: Pairs, iou: NDArray[np.float64], threshold: float
) -> NDArray[np.intp]:
    """Return the positions of the one-to-one pairs that match: most of them first, then best IoU.

    Only groups of instances that compete for each other are solved as an assignment problem;
    at thresholds of 0.5 and above these are exact ties of two halves.
    """
    good = np.flatnonzero(iou >= threshold)
    if threshold > 0.5 or not len(good):
        return good
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    n_truth = int(truth[good].max()) + 1
    nodes = n_truth + int(predicted[good].max()) + 1
    graph = csr_array(
        (np.ones(len(good), np.int8), (truth[good], n_truth + predicted[good])),
        shape=(nodes, nodes),
    )
    _, component = connected_components(graph, directed=False)
    component = component[truth[good]]
    order = np.argsort(component, kind="stable")
    bounds = np.flatnonzero(np.diff(component[order])) + 1
    chosen = []
    for group in np.split(good[order], bounds):
        if len(group) == 1:
            chosen.append(group[0])
            continue
        rows, row = np.unique(truth[group], return_inverse=True)
        columns, column = np.unique(predicted[group], return_inverse=True)
        gain = np.zeros((len(rows), len(columns)))
        where = np.full(gain.shape, -1)
        gain[row, column] = 1 + iou[group] / (2 * min(gain.shape))
        where[row, column] = group
        for r, c in zip(*linear_sum_assignment(gain, maximize=True), strict=True):
            if where[r, c] >= 0:
                chosen.append(where[r, c])
    return np.sort(np.asarray(chosen, np.intp))


def count_splits(
    whole: Pairs, parts: Pairs, shared: Pairs, whole_sizes: Pairs, part_sizes: Pairs
) -> int:
    """Count how many parts too many the instances of one side fall into on the other.

    A part counts if it lies mostly (more than `MOSTLY` of it) within the whole and covers at
    least `NOTABLE` of it; a whole with k ≥ 2 parts is split k - 1 times.
    """
    counts = (shared > MOSTLY * part_sizes[parts]) & (shared >= NOTABLE * whole_sizes[whole])
    number = np.bincount(whole[counts], minlength=len(whole_sizes))
    return int(np.maximum(number - 1, 0).sum())
