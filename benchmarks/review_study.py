"""``python -m benchmarks.review_study``: does the review queue find what is wrong?

On images of kinds that neither the network nor the score was trained on: the built-in model's own
errors, and true labels with errors put in. The order of the queue is compared with the oracle's,
random order (its expectation), size (smallest first) and mean probability. AURC is the mean share
of errors among what is kept, over all coverages; *found* the share of all errors, unseen missing
cells too, within as many looks as a tenth, a fifth, a third of the objects; *cost* the keys and
clicks until 90 % or all of the errors in the list are repaired. Brackets hold 95 % of the values
when groups of alike images are drawn anew.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.curves import DATA
from benchmarks.report import machine, table, write_json
from benchmarks.review_cases import Case, read_cases
from napari_cellseg.evaluation.review_errors import with_errors
from napari_cellseg.evaluation.review_study import (
    ORDERS,
    Reviewed,
    aurc,
    bootstrap,
    found_within,
    pooled,
    repair_cost,
    repair_curve,
    review_case,
    risk_curve,
)
from napari_cellseg.labels.review import Evidence, Ranking

SHARE = 0.15  # of the cells that get an error
SEED = 7000
SHARES = (0.1, 0.2, 0.3)
THRESHOLDS = (0.5, 0.75)
SOURCES = ("real", "synthetic")
#: What the user may have: a field, the image alone, or nothing but labels.
EVIDENCE = ("field+image", "image", "labels")
COLOURS = {
    "score": "#0072B2",
    "oracle": "#000000",
    "random": "#999999",
    "size": "#E69F00",
    "probability": "#CC79A7",
}
TITLES = {
    "score": "review queue",
    "oracle": "oracle",
    "random": "random",
    "size": "smallest first",
    "probability": "least probable first",
}

Study = dict[tuple[str, str, str, float], list[tuple[int, Reviewed]]]


def study(cases: Sequence[Case]) -> Study:
    """Review every case: by source of the errors, kind of image, evidence and threshold."""
    found: Study = {}
    for number, case in enumerate(cases):
        for source in SOURCES:
            labels = case.labels
            if source == "synthetic":
                labels = with_errors(case.truth, SHARE, SEED + number)
            chance = probabilities(case, labels)
            for what in EVIDENCE:
                evidence = Evidence(
                    field=case.field if "field" in what else None,
                    image=case.image if "image" in what else None,
                    spacing=case.spacing,
                )
                items = Ranking(labels, None, evidence).items()
                for threshold in THRESHOLDS:
                    known = chance if "field" in what else None
                    reviewed = review_case(items, labels, case.truth, known, threshold)
                    key = (source, case.kind, what, threshold)
                    found.setdefault(key, []).append((case.group, reviewed))
    return found


def probabilities(case: Case, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Mean cell probability of each id."""
    flat = labels.ravel().astype(np.int64)
    chance = 1 / (1 + np.exp(-case.field.logits.astype(np.float64).ravel()))
    return np.asarray(np.bincount(flat, chance) / np.maximum(np.bincount(flat), 1))


def orders_of(case: Reviewed) -> list[str]:
    """The orders that there are numbers for."""
    return [order for order in ORDERS if order in case.doubt or order in ("oracle", "random")]


def figures(groups: Sequence[int], cases: Sequence[Reviewed], draws: int) -> dict[str, Any]:
    """Every number of one setting."""
    whole = pooled(cases)
    out: dict[str, Any] = {
        "images": len(cases),
        "objects": whole.objects,
        "places": len(whole.wrong) - whole.objects,
        "errors": whole.errors,
        "unseen": whole.unseen,
    }
    rules: dict[str, Callable[[Reviewed, str], float]] = {"aurc": aurc}
    rules |= {f"found {share}": partial(found_within, share=share) for share in SHARES}
    statistics: dict[str, Callable[[Reviewed], float]] = {
        f"{order} {name}": _of(rule, order)
        for order in ("score", "size", "probability")
        if order in whole.doubt
        for name, rule in rules.items()
    }
    intervals = bootstrap(cases, groups, statistics, draws) if draws else {}
    for order in orders_of(whole):
        out[order] = {
            "aurc": aurc(whole, order),
            "found": {str(s): found_within(whole, order, s) for s in SHARES},
            "cost": {str(s): repair_cost(whole, order, s) for s in (0.9, 1.0)},
            "interval": {
                name: intervals[f"{order} {name}"]
                for name in rules
                if f"{order} {name}" in intervals
            },
        }
    return out


def _of(rule: Callable[[Reviewed, str], float], order: str) -> Callable[[Reviewed], float]:
    return lambda case: rule(case, order)


def show(results: dict[str, dict[str, Any]], what: str, threshold: float) -> str:
    """Tables of one kind of evidence and one threshold."""
    lines = []
    for title, value in (
        ("AURC, lower is better", _show_aurc),
        ("errors found in as many looks as 20 % of the objects", _show_found),
        ("keys and clicks until 90 % of the list's errors are repaired", _show_cost),
    ):
        rows = []
        for name, entry in results.items():
            source, kind, evidence, at = name.split(" | ")
            if evidence != what or float(at) != threshold:
                continue
            orders = [order for order in ORDERS if order in entry]
            head = ("errors", "kind", "images", "objects", "errors", *orders)
            rows.append(
                [source, kind, str(entry["images"]), str(entry["objects"]), str(entry["errors"])]
                + [value(entry[order]) for order in orders]
            )
        lines.append(f"{title} ({what}, IoU {threshold})\n{table(head, rows)}")
    return "\n\n".join(lines)


def _interval(entry: dict[str, Any], name: str) -> str:
    low, high = entry["interval"].get(name, (np.nan, np.nan))
    return "" if np.isnan(low) else f" [{low:.2f}-{high:.2f}]"


def _show_aurc(entry: dict[str, Any]) -> str:
    return f"{entry['aurc']:.3f}{_interval(entry, 'aurc')}"


def _show_found(entry: dict[str, Any]) -> str:
    return f"{entry['found']['0.2']:.0%}{_interval(entry, 'found 0.2')}"


def _show_cost(entry: dict[str, Any]) -> str:
    return f"{entry['cost']['0.9']:.0f}"


def draw(found: Study, folder: Path, least: int = 6) -> list[Path]:
    """Figures of the built-in model's own errors: risk against coverage, and cost of repair."""
    from matplotlib.figure import Figure

    kinds = [k for s, k, w, t in found if (s, w, t) == ("real", EVIDENCE[0], 0.5)]
    kinds = [
        k for k in kinds if sum(c.errors for _, c in found["real", k, EVIDENCE[0], 0.5]) >= least
    ]
    files = []
    for name, titles in (
        ("review-risk", ("share of the items kept", "errors among them")),
        ("review-repair", ("keys and clicks", "errors repaired")),
    ):
        figure = Figure(figsize=(3.1 * len(kinds), 6.2), layout="constrained")
        axes = figure.subplots(2, len(kinds), squeeze=False)
        for row, source in enumerate(SOURCES):
            for axis, kind in zip(axes[row], kinds, strict=True):
                whole = pooled([case for _, case in found[source, kind, EVIDENCE[0], 0.5]])
                for order in orders_of(whole):
                    curve = risk_curve if name == "review-risk" else repair_curve
                    x, y = curve(whole, order)
                    axis.plot(x, y, color=COLOURS[order], label=TITLES[order], lw=1.6)
                errors = "the model's errors" if source == "real" else "errors put in"
                axis.set_title(f"{kind}, {errors}", fontsize=9)
                axis.set_xlabel(titles[0], fontsize=8)
                axis.tick_params(labelsize=8)
                top = 1.02
                if name == "review-risk":  # small sizes go off the scale: most of them are wrong
                    top = min(1.0, 2.2 * float(whole.wrong.mean()))
                axis.set_ylim(0, top)
                axis.spines[["top", "right"]].set_visible(False)
            axes[row][0].set_ylabel(titles[1], fontsize=8)
        axes[0][0].legend(frameon=False, fontsize=8)
        folder.mkdir(parents=True, exist_ok=True)
        files.append(folder / f"{name}.png")
        figure.savefig(files[-1], dpi=110)
    return files


def main(arguments: list[str] | None = None) -> None:
    """Run the study, print and store the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.review_study", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--cache", type=Path, default=Path("output/review-cache"))
    parser.add_argument("--draws", type=int, default=200, help="of the intervals; 0: none")
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    parser.add_argument("--json", type=Path, default=Path("benchmark-results/review.json"))
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    found = study([case for case in read_cases(options.data, options.cache) if case.held])
    results = {
        " | ".join(map(str, key)): figures(
            [group for group, _ in entries], [case for _, case in entries], options.draws
        )
        for key, entries in found.items()
    }
    for what in EVIDENCE:
        for threshold in THRESHOLDS:
            print(show(results, what, threshold), "\n", flush=True)
    files = draw(found, options.images)
    write_json(options.json, {"machine": machine(), "results": results})
    print(f"written to {options.json}, {', '.join(map(str, files))}")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
