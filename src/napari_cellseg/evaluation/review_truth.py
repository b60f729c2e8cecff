"""Which items of a review are errors, by the truth, and what repairing each takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cellseg.evaluation.contingency import contingency
from napari_cellseg.evaluation.matching import overlaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cellseg.labels.review import ReviewItem

#: Keys and clicks that a repair takes, looking included: what a user of the Review dock does.
#: A split is its key, a click in each cell, and Enter; a merge its key and a click on the other
#: part; a new outline is reopening, three clicks and Enter; a missing cell is its key, a click,
#: and Enter.
COST = {"accept": 1, "delete": 1, "merge": 2, "add": 3, "outline": 5, "split": 2}
COST_PER_SEED = 1
_HALF = 0.5


@dataclass(frozen=True)
class Verdict:
    """What the truth says of a list of items, one entry each.

    Attributes
    ----------
    wrong : array of bool
        An object without a true one of enough overlap, or that holds another true cell that no
        object stands for; a place in a true cell that is not covered, and in which no object lies.
    cost : array of int
        Keys and clicks to repair it, or to accept it.
    group : array of int
        Items of one group are repaired by one action; -1: alone. Parts of one cell are a group,
        and so are two places in one missing cell.
    fix : list of str
        "accept", "delete", "merge", "add", "outline", "split".
    unseen : int
        Missing cells at which no item points.
    """

    wrong: NDArray[np.bool_]
    cost: NDArray[np.int64]
    group: NDArray[np.int64]
    fix: list[str]
    unseen: int


def verdict(
    items: Sequence[ReviewItem],
    labels: NDArray[np.integer],
    truth: NDArray[np.integer],
    threshold: float = 0.5,
) -> Verdict:
    """Judge items of one image by its truth.

    Parameters
    ----------
    items : sequence of ReviewItem
        Of these labels, without time.
    labels, truth : array of int, ([z,] y, x)
    threshold : float
        IoU from which an object stands for a true cell.

    Returns
    -------
    Verdict
    """
    table = contingency(labels, truth, False)
    true_row, object_row, iou = overlaps(table)
    shared = table.instances[2]
    n_true, n_objects = len(table.truth_ids), len(table.predicted_ids)
    best = np.zeros(n_objects)
    np.maximum.at(best, object_row, iou)
    stood_for = np.zeros(n_true, bool)
    stood_for[true_row[iou >= threshold]] = True
    held = shared > _HALF * table.truth_sizes[true_row]
    within = shared > _HALF * table.predicted_sizes[object_row]
    number_held = np.bincount(object_row[held], minlength=n_objects)
    swallows = np.zeros(n_objects, bool)
    swallows[object_row[held & ~stood_for[true_row]]] = True
    covered = np.zeros(n_true)
    np.add.at(covered, true_row, shared)
    parent = np.full(n_objects, -1)
    parent[object_row[within]] = true_row[within]
    parts = np.bincount(parent[parent >= 0], minlength=n_true)
    # an object that lies in a cell is the error to repair; the cell is not missing as well
    missing = ~stood_for & (covered < _HALF * table.truth_sizes) & (parts == 0)

    row_of_object = {int(n): row for row, n in enumerate(table.predicted_ids[:, 1])}
    row_of_truth = {int(n): row for row, n in enumerate(table.truth_ids[:, 1])}
    wrong = np.zeros(len(items), bool)
    cost = np.full(len(items), COST["accept"], np.int64)
    group = np.full(len(items), -1, np.int64)
    fix = ["accept"] * len(items)
    for at, item in enumerate(items):
        if item.kind == "missing":
            voxel = tuple(round(c) for c in item.centre[3 - truth.ndim :])
            row = row_of_truth.get(int(truth[voxel]), -1)
            if row >= 0 and missing[row]:
                wrong[at], fix[at], group[at] = True, "add", row
        elif item.id is not None:
            row = row_of_object[item.id]
            wrong[at] = best[row] < threshold or swallows[row]
            if not wrong[at]:
                continue
            cell = int(parent[row])
            if number_held[row] > 1:
                fix[at] = "split"
            elif cell >= 0 and parts[cell] > 1:
                fix[at], group[at] = "merge", cell
            elif cell < 0 and number_held[row] == 0:
                fix[at] = "delete"
            else:
                fix[at] = "outline"
            seeds = COST_PER_SEED * int(number_held[row]) if fix[at] == "split" else 0
            cost[at] = COST[fix[at]] + seeds
        if item.kind == "missing" and wrong[at]:
            cost[at] = COST["add"]
    pointed = np.unique(group[[text == "add" for text in fix]])
    return Verdict(wrong, cost, group, fix, int(missing.sum() - len(pointed)))
