"""The study judges by the truth, and on errors put into true labels the ranking earns its keep."""

import numpy as np
import pytest
from scipy import ndimage as ndi

from napari_cellseg.evaluation.review_errors import KINDS, with_errors
from napari_cellseg.evaluation.review_study import (
    ORDERS,
    Reviewed,
    aurc,
    bootstrap,
    found_within,
    order_of,
    pooled,
    repair_cost,
    repair_curve,
    review_case,
    risk_curve,
)
from napari_cellseg.evaluation.review_truth import COST, verdict
from napari_cellseg.labels.review import Evidence, rank
from review_scene import cells, evidence_of


def reviewed(wrong: list[int], doubt: list[float], cost: int = 1, unseen: int = 0) -> Reviewed:
    n = len(wrong)
    return Reviewed(
        {"score": np.array(doubt), "size": np.arange(n, dtype=float)},
        np.array(wrong, bool),
        np.full(n, cost),
        np.full(n, -1),
        n,
        unseen,
    )


def scene(seed: int, with_field: bool) -> Reviewed:
    truth = cells((112, 112), 14, 6.5, seed)
    labels = with_errors(truth, 0.2, seed)
    known = evidence_of(truth) if with_field else Evidence()
    items = rank(labels, evidence=known)
    chance = np.ones(int(labels.max()) + 1)
    if with_field:
        assert known.field is not None
        flat = labels.ravel().astype(int)
        share = 1 / (1 + np.exp(-known.field.logits.ravel().astype(float)))
        chance = np.bincount(flat, share) / np.maximum(np.bincount(flat), 1)
        return review_case(items, labels, truth, chance)
    return review_case(items, labels, truth)


def test_the_truth_tells_what_to_do():
    truth = cells((80, 80))
    labels = truth.copy()
    labels[labels == 2] = 1  # two cells in one
    points = np.argwhere(labels == 7)
    labels[tuple(points[points[:, 0] > points[:, 0].mean()].T)] = 40  # one cell in two
    labels[labels == 12] = 0  # missed
    labels[28:34, 46:50] = 41  # nothing there
    part = labels == 18
    labels[part & ~ndi.binary_erosion(part, iterations=2)] = 0  # far too small
    items = rank(labels, evidence=evidence_of(truth))
    found = verdict(items, labels, truth, 0.75)
    fix = {item.id: text for item, text in zip(items, found.fix, strict=True)}
    assert fix.pop(1) == "split"
    assert fix.pop(7) == fix.pop(40) == "merge"
    assert fix.pop(None) in ("add", "accept")
    assert found.fix.count("add") == 1
    assert fix.pop(41) == "delete"
    assert fix.pop(18) == "outline"
    assert set(fix.values()) == {"accept"}
    assert found.unseen == 0
    assert found.wrong.sum() == 6
    cost = {item.id: int(c) for item, c in zip(items, found.cost, strict=True)}
    assert cost[1] == COST["split"] + 2
    assert cost[3] == COST["accept"]
    without = verdict([i for i in items if i.kind == "object"], labels, truth)
    assert without.unseen == 1
    assert not verdict(rank(truth), truth, truth).wrong.any()


def test_a_swallowed_cell_makes_a_good_object_wrong():
    truth = np.zeros((30, 30), np.uint32)
    truth[2:20, 2:20] = 1
    truth[20:24, 2:20] = 2
    labels = np.where(truth > 0, 5, 0).astype(np.uint32)
    items = rank(labels)
    assert verdict(items, labels, truth).wrong.tolist() == [True]
    assert verdict(items, labels, truth).fix == ["split"]


@pytest.mark.parametrize("shape", [(96, 96), (32, 48, 48)])
def test_errors_are_put_in(shape):
    truth = cells(shape, 14 if len(shape) == 2 else 12, 5.0)
    labels = with_errors(truth, 0.5, 3)
    np.testing.assert_array_equal(labels, with_errors(truth, 0.5, 3))
    assert not np.array_equal(labels, with_errors(truth, 0.5, 4))
    items = rank(labels)
    found = verdict(items, labels, truth, 0.75)
    number = len(np.unique(truth)) - 1
    assert 0.2 * number < found.wrong.sum() + found.unseen < 1.5 * number
    assert {"split", "merge"} <= set(found.fix)
    assert with_errors(np.zeros((9, 9), np.uint32), 0.5, 0).max() == 0
    assert len(KINDS) == 5


def test_the_curves_by_hand():
    case = reviewed([1, 0, 0, 1], [0.9, 0.8, 0.1, 0.3], unseen=1)
    coverage, risk = risk_curve(case, "score")
    np.testing.assert_allclose(coverage, [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(risk, [0, 1 / 2, 1 / 3, 1 / 2])
    assert aurc(case, "oracle") == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)
    assert aurc(case, "random") == 0.5
    assert found_within(case, "score", 0.25) == pytest.approx(1 / 3)
    assert found_within(case, "random", 0.5) == pytest.approx(1 / 3)
    assert found_within(case, "oracle", 0.5) == pytest.approx(2 / 3)
    assert np.isnan(found_within(reviewed([0, 0], [0.1, 0.2]), "score", 0.5))


def test_repair_settles_a_group_at_once():
    case = reviewed([1, 0, 1, 1], [0.9, 0.8, 0.7, 0.6])
    grouped = Reviewed(
        case.doubt, case.wrong, np.array([2, 1, 2, 5]), np.array([3, -1, 3, -1]), 4, 0
    )
    spent, fixed = repair_curve(grouped, "score")
    np.testing.assert_allclose(spent, [0, 2, 3, 8])
    np.testing.assert_allclose(fixed, [0, 2 / 3, 2 / 3, 1])
    assert repair_cost(grouped, "score") == 8
    assert repair_cost(grouped, "score", 0.5) == 2
    assert repair_cost(grouped, "oracle") == 7
    assert 7 <= repair_cost(grouped, "random") <= 8
    assert repair_cost(reviewed([0, 0], [0.1, 0.2]), "score") == 0


def test_no_order_beats_the_oracle():
    rng = np.random.default_rng(0)
    for _ in range(20):
        case = reviewed(rng.integers(0, 2, 30).tolist(), rng.random(30).tolist())
        for order in ("score", "random", "size"):
            assert aurc(case, "oracle") <= aurc(case, order) + 1e-12
            _, best = risk_curve(case, "oracle")
            _, risk = risk_curve(case, order)
            assert (best <= risk + 1e-12).all()
            assert found_within(case, "oracle", 0.3) >= found_within(case, order, 0.3) - 1e-12
            assert repair_cost(case, "oracle") <= repair_cost(case, order) + 1e-12
        assert sorted(order_of(case, "random", 4)) == list(range(30))


def test_pooling_keeps_groups_of_images_apart():
    one = reviewed([1, 1], [0.9, 0.8])
    grouped = Reviewed(one.doubt, one.wrong, one.cost, np.array([0, 0]), 2, 1)
    whole = pooled([grouped, grouped])
    assert whole.group.tolist() == [0, 0, 1, 1]
    assert (whole.objects, whole.unseen, whole.errors) == (4, 2, 6)
    assert "probability" not in whole.doubt


def test_intervals_hold_the_truth():
    rng = np.random.default_rng(5)
    held, trials = 0, 60

    def risk(case: Reviewed) -> float:
        return aurc(case, "random")

    for trial in range(trials):
        cases = []
        for _ in range(25):
            wrong = rng.random(20) < 0.3
            cases.append(reviewed(wrong.tolist(), rng.random(20).tolist()))
        low, high = bootstrap(cases, list(range(25)), {"risk": risk}, 60, trial)["risk"]
        held += low <= 0.3 <= high
    assert held >= 0.85 * trials
    assert np.isnan(bootstrap(cases[:1], [0], {"risk": risk})["risk"][0])
    low, high = bootstrap(cases, [0] * 25, {"risk": risk}, 60)["risk"]
    assert low < high


@pytest.mark.parametrize("with_field", [True, False])
def test_the_ranking_beats_random_and_size_by_far(with_field: bool):
    whole = pooled([scene(seed, with_field) for seed in range(100, 103)])
    score, oracle, random, size = (aurc(whole, order) for order in ORDERS[:4])
    assert whole.errors > 25
    assert oracle <= score
    # of what any order could gain over the random one
    assert random - score > 0.75 * (random - oracle)
    assert score < 0.5 * size
    assert found_within(whole, "score", 0.2) > 2.5 * found_within(whole, "random", 0.2)
    assert found_within(whole, "score", 0.2) > 1.3 * found_within(whole, "size", 0.2)
    assert repair_cost(whole, "score", 0.9) < 0.7 * repair_cost(whole, "random", 0.9)
    if with_field:
        assert whole.unseen == 0
        assert score < 0.7 * aurc(whole, "probability")
