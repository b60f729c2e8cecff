"""The weights are fitted as said, and the study's tables hold every order."""

import json

import numpy as np
import pytest
from benchmarks.review_cases import Case
from benchmarks.review_fit import Examples, collect, fit, fitted
from benchmarks.review_study import draw, figures, show, study

from napari_cellseg.labels.review.doubt import NAMES
from napari_cellseg.labels.review.score import PLACE_NAMES, SETS, WEIGHTS, set_name
from review_scene import cells, evidence_of


def case(seed: int, kind: str = "fluo") -> Case:
    truth = cells((96, 96), 16, 6.0, seed)
    evidence = evidence_of(truth)
    labels = truth.copy()
    labels[labels == 8] = 9
    assert evidence.field is not None
    return Case(
        str(seed), kind, seed, True, evidence.image, truth, labels, evidence.field, (1.0, 1.0, 1.0)
    )


def test_weights_are_found_and_never_negative():
    rng = np.random.default_rng(0)
    reasons = rng.random((4000, 3))
    cell = rng.integers(0, 2, 4000)
    # one kind has many more errors for a reason that is not among the reasons
    odds = 4 * reasons[:, 0] - 3 * reasons[:, 1] - 3 + 2.5 * cell
    target = (rng.random(4000) < 1 / (1 + np.exp(-odds))).astype(float)
    examples = Examples(reasons, target, cell, [("real", "a"), ("real", "b")])
    intercept, weights = fit(examples, np.array([True, True, True]))
    assert weights[0] == pytest.approx(4, abs=0.6)
    assert weights[1] == 0
    assert weights[2] < 0.5
    share = 1 / (1 + np.exp(-intercept - reasons @ weights))
    assert (examples.weight * share).mean() == pytest.approx((examples.weight * target).mean())
    _, unused = fit(examples, np.array([False, True, True]))
    assert unused[0] == 0


def test_the_shipped_weights_are_for_every_set_of_evidence():
    stored = json.loads(WEIGHTS.read_text("utf-8"))
    assert set(stored["objects"]) == {set_name(groups) for groups in SETS}
    assert set(stored["places"]) == {"field", "image"}
    for entry in stored["objects"].values():
        assert set(entry["weights"]) <= set(NAMES)
    for entry in stored["places"].values():
        assert set(entry["weights"]) <= set(PLACE_NAMES)


def test_from_cases_to_weights():
    objects, places = collect([case(1), case(2)])
    contents = fitted(objects, places, 2)
    assert set(contents) >= {"objects", "places", "made by", "images"}
    assert len(objects.target) == len(objects.reasons) == len(objects.cell)
    assert objects.cells == [("real", "fluo"), ("synthetic", "fluo")]
    assert objects.target.max() == 1
    assert (objects.weight > 0).all()


def test_from_cases_to_tables_and_figures(tmp_path):
    found = study([case(seed) for seed in range(3, 6)])
    results = {
        " | ".join(map(str, key)): figures([g for g, _ in entries], [c for _, c in entries], 5)
        for key, entries in found.items()
    }
    assert len(results) == 2 * 3 * 2
    text = show(results, "field+image", 0.5)
    assert "probability" in text
    assert "fluo" in text
    assert "probability" not in show(results, "labels", 0.5)
    entry = results["synthetic | fluo | field+image | 0.5"]
    assert entry["oracle"]["aurc"] <= entry["score"]["aurc"] < entry["random"]["aurc"]
    low, high = entry["score"]["interval"]["found 0.2"]
    assert 0 <= low <= high <= 1
    json.dumps(results)
    files = draw(found, tmp_path, least=1)
    assert [file.name for file in files] == ["review-risk.png", "review-repair.png"]
    assert all(file.read_bytes()[:4] == b"\x89PNG" for file in files)
