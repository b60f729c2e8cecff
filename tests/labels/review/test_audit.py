"""The audit's intervals hold what they promise, and its stopping rule errs no more than it says."""

import json

import numpy as np
import pytest

from napari_cellseg.errors import InputError
from napari_cellseg.labels.review import Audit
from napari_cellseg.labels.review.intervals import count_bounds, share_bounds


def keys(count: int) -> list[tuple[str, int, int]]:
    return [("object", 0, n) for n in range(1, count + 1)]


def audited(wrong: set[int], population: int, seed: int, checks: int) -> Audit:
    audit = Audit(keys(population), seed)
    for _ in range(checks):
        key = audit.draw()
        assert key is not None
        audit.answer(key, key[2] in wrong)
    return audit


@pytest.mark.parametrize(("population", "wrong", "checked"), [(60, 6, 20), (400, 12, 50)])
def test_intervals_of_a_finite_population_hold_the_truth(population, wrong, checked):
    rng = np.random.default_rng(0)
    drawn = rng.hypergeometric(wrong, population - wrong, checked, 1000)
    bounds = {n: count_bounds(int(n), checked, population, 0.025) for n in np.unique(drawn)}
    held = np.mean([bounds[n][0] <= wrong <= bounds[n][1] for n in drawn])
    assert held >= 0.95 - 0.02


def test_intervals_of_space_hold_the_truth():
    drawn = np.random.default_rng(1).binomial(80, 0.04, 1000)
    bounds = {n: share_bounds(int(n), 80, 0.025) for n in np.unique(drawn)}
    assert np.mean([bounds[n][0] <= 0.04 <= bounds[n][1] for n in drawn]) >= 0.93


def test_a_finite_population_is_known_sooner_than_an_endless_one():
    low, high = count_bounds(2, 40, 50, 0.025)
    wide = share_bounds(2, 40, 0.025)
    assert (high - low) / 50 < (wide[1] - wide[0]) / 2
    assert count_bounds(3, 50, 50, 0.025) == (3, 3)


@pytest.mark.parametrize("numbers", [(3, 2, 10), (-1, 2, 10), (1, 20, 10)])
def test_impossible_numbers_are_refused(numbers):
    with pytest.raises(InputError, match="cannot be"):
        count_bounds(*numbers, 0.025)


def test_the_sample_is_uniform():
    first = [audited(set(), 5, seed, 0).draw() for seed in range(1000)]
    counts = np.bincount([key[2] for key in first], minlength=6)[1:]
    assert counts.sum() == 1000
    assert (np.abs(counts - 200) < 5 * np.sqrt(160)).all()


def test_estimates_follow_answers_and_corrections():
    wrong = set(range(1, 31))
    audit = audited(wrong, 100, 3, 100)
    found = audit.estimate()
    assert (found.checked, found.wrong, found.rate) == (100, 30, 0.3)
    assert found.low == found.high == 0.3
    for n in wrong:
        audit.corrected(("object", 0, n))
    assert audit.estimate().rate == audit.estimate().high == 0.0
    with pytest.raises(InputError, match="not found wrong"):
        audit.corrected(("object", 0, 50))
    with pytest.raises(InputError, match="not an item"):
        audit.answer(("object", 0, 101), True)


def test_what_is_corrected_of_a_sample_says_nothing_good_of_the_rest():
    audit = audited(set(range(1, 201)), 400, 0, 40)
    before = audit.estimate()
    for key in [key for key, wrong in audit._answers.items() if wrong]:
        audit.corrected(key)
    after = audit.estimate()
    assert after.rate == pytest.approx(before.rate - before.wrong / 400)
    assert after.rate > 0.3
    assert not audit.stop()


def test_stopping_errs_no_more_often_than_promised():
    # 6 % wrong where 5 % are accepted: to stop is an error
    population, stopped = 300, 0
    for seed in range(150):
        audit = Audit(keys(population), seed)
        wrong = set(range(1, 19))
        for look in audit.looks:
            while len(audit._answers) < look:
                key = audit.draw()
                audit.answer(key, key[2] in wrong)
            if audit.stop():
                stopped += 1
                break
    assert stopped <= 150 * 0.05 + 4


def test_stops_as_soon_as_a_clean_sample_suffices():
    audit = Audit(keys(2000))
    needed = audit.looks[0]
    assert 59 <= needed <= 80
    assert "Check" in audit.advice()
    for count in range(needed):
        assert not audit.stop(), count
        audit.answer(audit.draw(), False)
    assert audit.stop()
    assert "Stop: at most 5% of the objects are wrong" in audit.advice()
    assert f"{needed} checked" in audit.advice()


def test_space_and_places():
    labels = np.zeros((3, 6, 40, 40), np.uint32)
    labels[:, :, :20] = 7
    items = [*keys(3), ("missing", 0, 1, 30, 30), ("missing", 1, 2, 30, 5)]
    audit = Audit(items, 5)
    seen = set()
    for _ in range(60):
        kind, t, z, y, x = audit.draw_space(labels, timed=True)
        assert kind == "space"
        assert labels[t, z, y, x] == 0
        seen.add(t)
        audit.answer((kind, t, z, y, x), y >= 30)
    assert seen == {0, 1, 2}
    found = audit.estimate("space")
    assert found.population is None
    assert found.low < 0.5 < found.high
    number, low, high = audit.missing_cells(unlabelled=1000, usual=100.0)
    assert low < 5 < high
    assert number == pytest.approx(10 * found.rate)
    assert audit.draw("missing") in items
    assert audit.draw_space(np.ones((4, 4), np.uint32)) is None
    assert audit.draw_space(np.zeros((4, 4), np.uint32))[:3] == ("space", 0, 0)


def test_an_audit_goes_on_where_it_stopped():
    wrong = {4, 9, 11}
    audit = audited(wrong, 60, 8, 30)
    audit.removed([("object", 0, audit.draw()[2])])
    audit.answer(audit.draw_space(np.zeros((9, 9), np.uint32)), False)
    state = json.loads(json.dumps(audit.state()))
    again = Audit.restored(state)
    assert again.estimate() == audit.estimate()
    assert again.estimate().population == 59
    assert again.draw() == audit.draw()
    blank = np.zeros((9, 9), np.uint32)
    assert again.draw_space(blank) == audit.draw_space(blank)
    assert again.state() == audit.state()
    with pytest.raises(InputError, match="cannot be read"):
        Audit.restored({"seed": 1})
    with pytest.raises(InputError, match="between 0 and 1"):
        Audit([], accepted=0.0)
    assert Audit([]).draw() is None
    assert not Audit([]).stop()
