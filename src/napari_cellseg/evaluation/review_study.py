"""Does the order of a review earn its keep: risk against coverage, errors found, cost of repair.

Risk-coverage curves are those of selective prediction (Geifman & El-Yaniv, "Selective
classification for deep neural networks", NeurIPS 2017): the items are kept from the least doubtful
on; risk is the share of errors among those kept; AURC is the mean risk over all coverages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cellseg.evaluation.review_truth import Verdict, verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cellseg.labels.review import ReviewItem

    Numbers = NDArray[np.float64]
    Statistic = Callable[["Reviewed"], float]

ORDERS = ("score", "oracle", "random", "size", "probability")
_SHUFFLES = 20


@dataclass(frozen=True)
class Reviewed:
    """Items of one or more images, with what the truth says of them.

    Attributes
    ----------
    doubt : dict of str to array, (n,)
        By order, the larger the earlier; "oracle" and "random" are made when needed.
    wrong : array of bool, (n,)
    cost, group : array of int, (n,)
        See `Verdict`.
    objects : int
        How many of the items are objects.
    unseen : int
        Missing cells at which no item points.
    """

    doubt: dict[str, Numbers]
    wrong: NDArray[np.bool_]
    cost: NDArray[np.int64]
    group: NDArray[np.int64]
    objects: int
    unseen: int

    @property
    def errors(self) -> int:
        """Errors among the items, and those that no item points at."""
        return int(self.wrong.sum()) + self.unseen


def review_case(
    items: Sequence[ReviewItem],
    labels: NDArray[np.integer],
    truth: NDArray[np.integer],
    probability: Numbers | None = None,
    threshold: float = 0.5,
) -> Reviewed:
    """Judge the items of one image, and order them as other rules would.

    Parameters
    ----------
    items : sequence of ReviewItem
    labels, truth : array of int, ([z,] y, x)
    probability : array, (highest id + 1,), optional
        Mean cell probability by id; the order by probability is left out without it.
    threshold : float
        IoU from which an object stands for a true cell.

    Returns
    -------
    Reviewed
        Size is that against the image's median, the smallest first: what a table sorted by size
        shows. By probability an object is doubtful that has a low one, a place that has a high one.
    """
    found: Verdict = verdict(items, labels, truth, threshold)
    voxels = np.bincount(labels.ravel().astype(np.int64))
    sizes = np.array(
        [voxels[i.id] if i.id is not None else i.features["voxels"] for i in items], float
    )
    median = float(np.median(voxels[1:][voxels[1:] > 0])) if (voxels[1:] > 0).any() else 1.0
    doubt = {
        "score": np.array([item.score for item in items], float),
        "size": -np.log(np.maximum(sizes, 1) / median),
    }
    if probability is not None:
        doubt["probability"] = np.array(
            [1 - probability[i.id] if i.id is not None else i.features["sure"] for i in items],
            float,
        )
    objects = sum(item.kind == "object" for item in items)
    return Reviewed(doubt, found.wrong, found.cost, found.group, objects, found.unseen)


def pooled(cases: Sequence[Reviewed]) -> Reviewed:
    """Items of several images as one list."""
    group, offset = [], 0
    for case in cases:
        group.append(np.where(case.group >= 0, case.group + offset, -1))
        offset += int(case.group.max(initial=-1)) + 1
    names = set.intersection(*[set(case.doubt) for case in cases])
    return Reviewed(
        {name: np.concatenate([case.doubt[name] for case in cases]) for name in sorted(names)},
        np.concatenate([case.wrong for case in cases]),
        np.concatenate([case.cost for case in cases]),
        np.concatenate(group),
        sum(case.objects for case in cases),
        sum(case.unseen for case in cases),
    )


def order_of(case: Reviewed, order: str, seed: int = 0) -> NDArray[np.intp]:
    """Positions of the items in the order in which they are looked at."""
    if order == "random":
        return np.random.default_rng(seed).permutation(len(case.wrong))
    doubt = case.wrong.astype(float) if order == "oracle" else case.doubt[order]
    return np.argsort(-doubt, kind="stable")


def risk_curve(case: Reviewed, order: str) -> tuple[Numbers, Numbers]:
    """Coverage and risk: share of items kept, and share of errors among them.

    Returns
    -------
    coverage, risk : array, (n,)
        Coverage rises to 1; the random order is given by its expectation.
    """
    n = len(case.wrong)
    coverage = np.arange(1, n + 1) / max(n, 1)
    if order == "random":
        return coverage, np.full(n, case.wrong.mean() if n else 0.0)
    kept = case.wrong[order_of(case, order)[::-1]]
    return coverage, np.cumsum(kept) / np.arange(1, n + 1)


def aurc(case: Reviewed, order: str) -> float:
    """Area under the curve of risk against coverage."""
    _, risk = risk_curve(case, order)
    return float(risk.mean()) if risk.size else 0.0


def found_within(case: Reviewed, order: str, share: float) -> float:
    """Share of all errors, unseen ones too, within the first looks.

    Parameters
    ----------
    case : Reviewed
    order : str
    share : float
        Number of looks, as a share of the number of objects: places are looked at as well.
    """
    if not case.errors:
        return float("nan")
    looks = min(round(share * case.objects), len(case.wrong))
    if order == "random":
        return float(case.wrong.mean() * looks / case.errors) if looks else 0.0
    return float(case.wrong[order_of(case, order)[:looks]].sum() / case.errors)


def repair_curve(case: Reviewed, order: str, seed: int = 0) -> tuple[Numbers, Numbers]:
    """Replay a correction: keys and clicks spent, and the share of the list's errors repaired.

    What a repair settles is not looked at again: the other parts of a cell that were merged.
    """
    total = int(case.wrong.sum())
    spent, fixed = [0.0], [0.0 if total else 1.0]
    settled: set[int] = set()
    keys = repaired = 0
    members = np.bincount(case.group[case.group >= 0])
    for at in order_of(case, order, seed):
        group = int(case.group[at])
        if group in settled:
            continue
        keys += int(case.cost[at])
        if case.wrong[at]:
            repaired += 1 if group < 0 else int(members[group])
            if group >= 0:
                settled.add(group)
        spent.append(keys)
        fixed.append(repaired / total if total else 1.0)
    return np.array(spent), np.array(fixed)


def repair_cost(case: Reviewed, order: str, share: float = 1.0) -> float:
    """Keys and clicks until a share of the list's errors is repaired; the random order's mean."""
    seeds = range(_SHUFFLES) if order == "random" else range(1)
    costs = []
    for seed in seeds:
        spent, fixed = repair_curve(case, order, seed)
        costs.append(spent[int(np.argmax(fixed >= share - 1e-9))])
    return float(np.mean(costs))


def bootstrap(
    cases: Sequence[Reviewed],
    groups: Sequence[int],
    statistics: Mapping[str, Statistic],
    draws: int = 200,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Intervals of statistics: groups of images are drawn anew, those of one kind together.

    Parameters
    ----------
    cases : sequence of Reviewed
        One per image.
    groups : sequence of int
        Images of one group look alike. Where there is only one group, images are drawn.
    statistics : mapping of str to callable
        Of the pooled items.
    draws : int
    seed : int

    Returns
    -------
    dict of str to two floats
        2.5th and 97.5th percentile; NaN with a single image.
    """
    rng = np.random.default_rng(seed)
    member = list(groups) if len(set(groups)) > 1 else list(range(len(cases)))
    names = sorted(set(member))
    if len(names) < 2:
        return dict.fromkeys(statistics, (float("nan"), float("nan")))
    by_name = {n: [c for c, m in zip(cases, member, strict=True) if m == n] for n in names}
    values: dict[str, list[float]] = {name: [] for name in statistics}
    for _ in range(draws):
        drawn = pooled([case for n in rng.choice(names, len(names)) for case in by_name[int(n)]])
        for name, statistic in statistics.items():
            values[name].append(statistic(drawn))
    bounds = {name: np.nanpercentile(drawn, [2.5, 97.5]) for name, drawn in values.items()}
    return {name: (float(low), float(high)) for name, (low, high) in bounds.items()}
