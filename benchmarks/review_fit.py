"""``python -m benchmarks.review_fit``: fit the weights of the review score on training images.

Logistic regression with weights of at least 0 and a little shrinkage, for every set of evidence.
Examples are the built-in model's own results and true labels with errors put in. The target is the
mean of "wrong at an IoU of 0.5" and "wrong at 0.75", so that grave errors come first.

Every kind of image and source of errors has an intercept of its own while the weights are fitted:
else they would learn to tell kinds apart instead of right from wrong within an image. The intercept
that is stored is then fitted to the model's own errors (without a field: to both sources), so that
a score is about the share of such objects that are wrong.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize

from benchmarks.curves import DATA
from benchmarks.review_cases import Case, read_cases
from napari_cellseg.evaluation.review_errors import with_errors
from napari_cellseg.evaluation.review_truth import verdict
from napari_cellseg.labels.review import Evidence, Ranking, ReviewItem
from napari_cellseg.labels.review.doubt import NAMES, REASONS
from napari_cellseg.labels.review.score import PLACE_NAMES, SETS, WEIGHTS, set_name

Array = NDArray[np.float64]
Row = tuple[Array, float, tuple[str, str]]
#: Where there is no field, the labels need not be the built-in model's: the share of errors is then
#: that of both sources.
SOURCES = {True: ("real",), False: ("real", "synthetic")}
SHARE = 0.15  # of the cells that get an error
OWN = 3.0  # weight of the model's own errors
SHRINK = 1.0  # of the sum of squared weights, against the sum of losses


@dataclass(frozen=True)
class Examples:
    """Reasons, target, and the cell (source of errors, kind of image) of each example."""

    reasons: Array
    target: Array
    cell: NDArray[np.int64]
    cells: list[tuple[str, str]]

    @property
    def weight(self) -> Array:
        """So that rare kinds count, and the model's own errors more than those put in."""
        size = np.bincount(self.cell, minlength=len(self.cells))
        own = np.array([OWN if source == "real" else 1.0 for source, _ in self.cells])
        weight = (own / np.sqrt(np.maximum(size, 1)))[self.cell]
        return np.asarray(weight / weight.mean())


def fit(
    examples: Examples, used: NDArray[np.bool_], sources: tuple[str, ...] = ("real",)
) -> tuple[float, Array]:
    """Intercept, by errors of some sources, and weights: 0 where not used, and never negative."""
    x, y, weight = examples.reasons[:, used], examples.target, examples.weight
    cells = np.eye(len(examples.cells))[examples.cell]
    count = len(examples.cells)

    def loss(parameters: Array) -> tuple[float, Array]:
        odds = cells @ parameters[:count] + x @ parameters[count:]
        value = np.logaddexp(0, odds) - y * odds
        slope = weight * (1 / (1 + np.exp(-odds)) - y)
        penalty = SHRINK * (parameters[count:] ** 2).sum() / 2
        steps = [cells.T @ slope, slope @ x + SHRINK * parameters[count:]]
        return float((weight * value).sum() + penalty), np.concatenate(steps)

    start = np.concatenate([np.full(count, -2.0), np.full(x.shape[1], 0.3)])
    bounds = [(None, None)] * count + [(0, None)] * x.shape[1]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    weights = np.zeros(len(used))
    weights[used] = found.x[count:]
    real = np.array([source in sources for source, _ in examples.cells])[examples.cell]
    odds, share, wanted = x[real] @ found.x[count:], weight[real], y[real]

    def surplus(intercept: float) -> float:
        return float((share * (1 / (1 + np.exp(-odds - intercept)) - wanted)).sum())

    return float(brentq(surplus, -30, 30)), weights


def targets(items: list[ReviewItem], labels: NDArray[np.integer], case: Case) -> Array:
    """Mean of being wrong at 0.5 and at 0.75."""
    wrong = [verdict(items, labels, case.truth, threshold).wrong for threshold in (0.5, 0.75)]
    return np.asarray(np.mean(wrong, 0))


def collect(cases: list[Case]) -> tuple[Examples, dict[str, Examples]]:
    """Examples of objects, and of places by where they were found."""
    rows: dict[str, list[Row]] = {"objects": [], "field": [], "image": []}
    for number, case in enumerate(cases):
        for source in ("real", "synthetic"):
            cell = source, case.kind
            labels = case.labels
            if source == "synthetic":
                labels = with_errors(case.truth, SHARE, number)
            ranking = Ranking(labels, None, Evidence(case.field, case.image, case.spacing))
            items = ranking.items()
            for item, target in zip(items, targets(items, labels, case), strict=True):
                where = "objects" if item.kind == "object" else "field"
                rows[where].append((_reasons(item), target, cell))
            bare = Ranking(labels, None, Evidence(None, case.image, case.spacing))
            items = [item for item in bare.items() if item.kind == "missing"]
            for item, target in zip(items, targets(items, labels, case), strict=True):
                rows["image"].append((_reasons(item), target, cell))
    examples = {where: _examples(found) for where, found in rows.items()}
    return examples.pop("objects"), examples


def _reasons(item: ReviewItem) -> Array:
    if item.kind == "object":
        return np.array([item.features[name] for name in NAMES])
    names = [name.replace(" ", "_").replace("-", "_") for name in PLACE_NAMES]
    return np.array([item.features[name] for name in names])


def _examples(rows: list[Row]) -> Examples:
    cells = sorted({cell for _, _, cell in rows})
    return Examples(
        np.array([reasons for reasons, _, _ in rows]),
        np.array([target for _, target, _ in rows]),
        np.array([cells.index(cell) for _, _, cell in rows]),
        cells,
    )


def _entry(intercept: float, weights: Array, names: tuple[str, ...]) -> dict[str, object]:
    kept = {n: round(float(w), 3) for n, w in zip(names, weights, strict=True) if w >= 5e-4}
    return {"intercept": round(intercept, 3), "weights": kept}


def fitted(objects: Examples, places: dict[str, Examples], images: int) -> dict[str, object]:
    """Contents of the file of weights."""
    found: dict[str, object] = {}
    for groups in SETS:
        wanted = {name for group in groups for name in REASONS[group]}
        used = np.array([name in wanted for name in NAMES])
        found[set_name(groups)] = _entry(*fit(objects, used, SOURCES["quality" in groups]), NAMES)
    pieces = {
        source: _entry(
            *fit(examples, np.ones(len(PLACE_NAMES), bool), SOURCES[source == "field"]), PLACE_NAMES
        )
        for source, examples in places.items()
    }
    counts = {source: len(examples.target) for source, examples in places.items()}
    return {
        "made by": "python -m benchmarks.review_fit",
        "method": "logistic regression, weights >= 0, intercepts by kind of image while fitting",
        "images": f"{images} training images of dsb2018, usiigaci_phase and rendered stacks",
        "examples": {"objects": len(objects.target), **counts},
        "objects": found,
        "places": pieces,
    }


def main(arguments: list[str] | None = None) -> None:
    """Fit and store."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.review_fit", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--cache", type=Path, default=Path("output/review-cache"))
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args(arguments)
    cases = [case for case in read_cases(options.data, options.cache) if not case.held]
    contents = fitted(*collect(cases), len(cases))
    options.out.write_text(json.dumps(contents, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"written to {options.out}")


if __name__ == "__main__":
    main()
