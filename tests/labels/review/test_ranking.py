"""What is wrong comes first, in words; an update equals measuring everything anew."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import napari_cellseg as nc
from napari_cellseg.errors import InputError
from napari_cellseg.labels.review import Evidence, LabelBoxes, Ranking, rank
from napari_cellseg.labels.review.score import SETS, object_weights
from review_scene import cells, evidence_of


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return cells()


@pytest.fixture(scope="module")
def evidence(truth: np.ndarray) -> Evidence:
    return evidence_of(truth)


def joined(labels: np.ndarray, first: int, second: int) -> np.ndarray:
    out = labels.copy()
    out[out == second] = first
    return out


def halved(labels: np.ndarray, number: int, new: int) -> np.ndarray:
    out = labels.copy()
    points = np.argwhere(out == number)
    part = points[points[:, -1] > np.median(points[:, -1])]
    out[tuple(part.T)] = new
    return out


@pytest.mark.parametrize("what", ["nothing", "image", "field", "both"])
def test_errors_come_first(truth: np.ndarray, evidence: Evidence, what: str):
    known = Evidence(
        field=evidence.field if what in ("field", "both") else None,
        image=evidence.image if what in ("image", "both") else None,
    )
    labels = halved(joined(truth, 8, 9), 22, 50)
    labels[labels == 29] = 0
    items = rank(labels, evidence=known)
    wrong = {8, 22, 50}
    assert {item.id for item in items[:4] if item.kind == "object"} >= wrong
    right = [item.score for item in items if item.kind == "object" and item.id not in wrong]
    assert min(item.score for item in items if item.id in wrong) > max(right)
    missing = [item for item in items if item.kind == "missing"]
    if what == "nothing":
        assert missing == []
    else:
        assert [truth[tuple(int(c) for c in item.centre[1:])] for item in missing] == [29]
        assert missing[0].why == ("cell missing?",)
        assert missing[0].score > max(right)


def test_reasons_are_in_words(truth: np.ndarray, evidence: Evidence):
    labels = halved(joined(truth, 8, 9), 22, 50)
    by_id = {item.id: item for item in rank(labels, evidence=evidence)}
    assert "pinched like two cells" in by_id[8].why or "two sinks" in by_id[8].why
    assert any("neighbour" in text for text in by_id[50].why)
    assert by_id[1].why == () or by_id[1].score < by_id[8].score
    assert all(0 <= value <= 1 for value in by_id[8].features.values())
    assert by_id[8].features["sinks"] > 0.9


def test_every_reason_can_only_raise_the_score():
    for groups in SETS:
        assert (object_weights(groups).weights >= 0).all()
        assert (object_weights(groups).weights > 0).sum() >= 4


def test_quality_numbers_stand_in_for_the_field(truth: np.ndarray):
    good = {"probability": 0.99, "agreement": 0.97, "flow_error": 0.05}
    quality = {(0, int(n)): good for n in np.unique(truth)[1:]}
    quality[0, 15] = {"probability": 0.6, "agreement": 0.6, "flow_error": 0.9}
    items = rank(truth, evidence=Evidence(quality=quality))
    assert items[0].id == 15
    assert "the flow is unclear" in items[0].why or "the model is unsure" in items[0].why


def test_a_prompted_object_is_compared_with_its_basin(truth: np.ndarray, evidence: Evidence):
    labels = truth.copy()
    points = np.argwhere(labels == 15)
    labels[tuple(points[points[:, 0] > points[:, 0].mean()].T)] = 0
    score = {
        prompted: next(
            item
            for item in rank(labels, evidence=replace(evidence, prompted=prompted))
            if item.id == 15
        )
        for prompted in ((), ((0, 15),))
    }
    assert score[((0, 15),)].score > score[()].score
    assert "prompt and flow disagree" in score[((0, 15),)].why


def test_border_contact_is_told_and_costs_nothing():
    labels = cells()
    labels[:, :8] = 0
    cut = labels[:, 8:]
    cut = np.pad(cut, ((0, 8), (0, 8)))
    items = rank(cut)
    at_border = [item for item in items if item.touches_border]
    assert {item.id for item in at_border} == set(np.unique(np.r_[cut[0], cut[:, 0]])) - {0}


def test_time_points_are_apart(truth: np.ndarray, evidence: Evidence):
    second = joined(truth, 8, 9)
    labels = np.stack([truth, second])
    assert evidence.field is not None
    timed = Evidence(
        field=nc.FlowField(
            np.stack([evidence.field.flow] * 2),
            np.stack([evidence.field.logits] * 2),
            (1.0, 1.0, 1.0),
        ),
        image=np.stack([evidence.image] * 2),
        timed=True,
    )
    items = rank(labels, evidence=timed)
    assert (items[0].t, items[0].id) == (1, 8)
    assert len(items) == 36 + 35
    np.testing.assert_allclose(
        [i.score for i in items if i.t == 0 and i.id == 1],
        [i.score for i in items if i.t == 1 and i.id == 1],
    )


def test_a_volume_with_planes_missing_and_shifted():
    truth = cells((24, 48, 48), 12, 5.0)
    labels = truth.copy()
    gapped, shifted = (int(n) for n in np.unique(truth[6])[[3, 6]])
    labels[5][labels[5] == gapped] = 0
    part = labels[6] == shifted
    labels[6][part] = 0
    labels[6][np.roll(part, 4, axis=1) & (labels[6] == 0)] = shifted
    items = {item.id: item for item in rank(labels)}
    assert [n for n, item in items.items() if item.features["gaps"] > 0] == [gapped]
    assert max(items.values(), key=lambda item: item.features["drift"]).id == shifted
    assert items[shifted].features["drift"] > 0.5
    others = [item.score for n, item in items.items() if n not in (gapped, shifted)]
    assert min(items[gapped].score, items[shifted].score) > np.median(others)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    edits=st.lists(
        st.tuples(
            st.sampled_from(["join", "halve", "delete", "paint"]),
            st.integers(1, 36),
            st.integers(1, 36),
        ),
        min_size=1,
        max_size=4,
    ),
    with_field=st.booleans(),
)
def test_an_update_equals_measuring_anew(edits, with_field: bool):
    truth = cells((64, 64))
    # places found in the image alone are those of the first labels, so a field or none at all
    known = evidence_of(truth) if with_field else Evidence()
    labels = truth.copy()
    ranking = Ranking(labels, None, known)
    for number, (kind, first, second) in enumerate(edits):
        keys, region = [(0, first)], None
        if kind == "join":
            labels[:] = joined(labels, first, second)
            keys.append((0, second))
        elif kind == "halve" and (labels == first).any():
            labels[:] = halved(labels, first, 100 + number)
            keys.append((0, 100 + number))
        elif kind == "delete":
            labels[labels == first] = 0
        elif kind == "paint":
            box = (slice(first, first + 9), slice(second, second + 7))
            keys += [(0, int(n)) for n in np.unique(labels[box]) if n]
            labels[box] = first
            region = (0, box)
        ranking.update(keys, region)
    fresh = Ranking(labels, None, known).items()
    kept = ranking.items()
    assert kept == fresh


def test_an_update_looks_at_boxes_only(truth: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    labels = truth.copy()
    ranking = Ranking(labels, LabelBoxes(labels), Evidence())
    measured = []
    real = Ranking._measure
    monkeypatch.setattr(
        Ranking, "_measure", lambda self, key: (measured.append(key), real(self, key))
    )
    labels[labels == 15] = 0
    labels[tuple(np.argwhere(truth == 15)[:40].T)] = 15
    ranking.update([(0, 15)])
    assert (0, 15) in measured
    assert len(measured) < 10


def test_nothing_to_review_and_bad_input(evidence: Evidence):
    assert rank(np.zeros((20, 20), np.uint32)) == []
    blank = np.zeros((96, 96), np.uint32)
    places = rank(blank, evidence=Evidence(field=evidence.field))
    assert len(places) == 36
    assert all(item.kind == "missing" for item in places)
    assert len(rank(np.full((9, 9), 3, np.uint32))) == 1
    with pytest.raises(InputError, match="flow field has shape"):
        rank(np.zeros((5, 5), np.uint32), evidence=evidence)
    with pytest.raises(InputError, match="axes cannot be reviewed"):
        rank(np.zeros((5, 5, 5, 5), np.uint32))
