import threading

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellseg.errors import Cancelled, InputError
from napari_cellseg.evaluation.clicks import deepest, simulate_clicks, summarise_clicks


def squares():
    truth = np.zeros((30, 40), np.uint16)
    truth[5:16, 5:16] = 3
    truth[5:16, 20:31] = 70
    return truth


def test_the_first_click_is_in_the_middle_and_a_perfect_answer_ends_it():
    truth = squares()
    seen = []

    def answer(points, labels):
        seen.append((points.tolist(), labels.tolist()))
        row, col = points[0].astype(int)
        return truth == truth[row, col]

    table = simulate_clicks(truth, answer, most=4)
    assert seen == [([[10, 10]], [1]), ([[10, 25]], [1])]
    assert table["id"].tolist() == [3, 70]
    assert table["voxels"].tolist() == [121, 121]
    assert (table[["iou_1", "iou_2", "iou_3", "iou_4"]] == 1).all(axis=None)
    assert table["clicks_90"].tolist() == [1, 1]
    assert table["reached_90"].all()
    assert (table["ms"] >= 0).all()


def test_next_clicks_go_to_the_middle_of_the_largest_error():
    truth = squares()
    seen = []

    def answer(points, labels):
        seen.append((tuple(points[-1].astype(int)), int(labels[-1])))
        mask = np.zeros(truth.shape, bool)
        if len(points) == 1:
            mask[5:16, 5:12] = True  # four columns are missing
            return mask
        mask[5:16, 5:16] = True
        if len(points) == 2:
            mask[20:25, 20:29] = True  # too much, elsewhere
        return mask

    table = simulate_clicks(truth, answer, most=5, ids=[3])
    # four columns wide: the deepest voxels are the second and third; the first of them is taken
    assert seen == [((10, 10), 1), ((6, 13), 1), ((22, 22), 0)]
    assert table.loc[0, "iou_1"] == pytest.approx(77 / 121)
    assert table.loc[0, "iou_2"] == pytest.approx(121 / 166)
    assert table.loc[0, ["iou_3", "iou_4", "iou_5"]].tolist() == [1, 1, 1]
    assert table.loc[0, "clicks_80"] == 3


def test_depth_is_physical_and_the_image_border_counts():
    mask = np.zeros((9, 30), bool)
    mask[:, :9] = True
    assert deepest(mask, (1, 1)) == (4, 4)
    mask[3:6, :] = True
    assert deepest(mask, (1, 1)) == (4, 4)
    assert deepest(mask, (9, 1))[0] in (0, 1, 2, 3, 4)
    wide = np.zeros((12, 12, 12), bool)
    wide[4:7, 1:11, 1:11] = True
    assert deepest(wide, (4, 1, 1)) == (5, 5, 5)


def test_a_region_is_as_good_as_the_whole_mask():
    truth = np.zeros((8, 20, 20), int)
    truth[2:6, 5:12, 5:12] = 1

    def whole(points, labels):
        mask = np.zeros(truth.shape, bool)
        mask[2:6, 5:10, 5 : 9 + 2 * len(points)] = True
        return mask

    def region(points, labels):
        box = (slice(2, 6), slice(5, 10), slice(5, 9 + 2 * len(points)))
        return box, whole(points, labels)[box]

    one = simulate_clicks(truth, whole, most=3).drop(columns="ms")
    pd.testing.assert_frame_equal(one, simulate_clicks(truth, region, most=3).drop(columns="ms"))


def test_an_answer_that_never_finds_anything_fails_everywhere():
    table = simulate_clicks(squares(), lambda points, labels: np.zeros((30, 40), bool), most=3)
    summary = summarise_clicks(table)
    assert summary["objects"] == 2
    assert summary["iou_1"] == summary["iou_3"] == 0
    assert summary["clicks_80"] == summary["clicks_90"] == 3
    assert summary["failed_80"] == summary["failed_90"] == 2
    assert "iou_5" not in summary


def test_the_summary_is_of_means():
    table = pd.DataFrame(
        {
            "iou_1": [0.5, 0.9], "iou_2": [0.85, 0.95],
            "clicks_80": [2, 1], "reached_80": [True, True],
            "clicks_90": [2, 1], "reached_90": [False, True], "ms": [1.0, 3.0],
        }
    )  # fmt: skip
    summary = summarise_clicks(table)
    assert summary["iou_1"] == pytest.approx(0.7)
    assert summary["clicks_80"] == 1.5
    assert (summary["failed_80"], summary["failed_90"]) == (0, 1)
    assert summary["ms"] == 2


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 3))
def test_a_user_who_is_believed_gets_what_he_wants(seed, ndim):
    """Any answer that corrects the error under each click becomes perfect, and no click repeats."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((6,) * ndim) < 0.5).astype(int)
    truth.flat[0] = 1
    clicked = []

    def answer(points, labels):
        assert len({tuple(p) for p in points}) == len(points)
        mask = np.zeros(truth.shape, bool)
        for point, label in zip(points.astype(int), labels, strict=True):
            assert truth[tuple(point)] == label
            mask[tuple(point)] = label
        clicked.append(len(points))
        return mask

    table = simulate_clicks(truth, answer, most=truth.size)
    assert table.loc[0, f"iou_{truth.size}"] == 1
    assert max(clicked) == truth.sum()


@pytest.mark.parametrize(
    ("truth", "kwargs", "message"),
    [
        (np.zeros((4, 4), int), {}, "no object to click"),
        (np.ones((4, 4), float), {}, "whole numbers"),
        (np.ones((2, 2, 2, 2), int), {}, "whole numbers"),
        (-np.ones((4, 4), int), {}, "negative ids"),
        (np.ones((4, 4), int), {"ids": [5]}, "no object 5"),
        (np.ones((4, 4), int), {"most": 0}, "1 click or more"),
        (np.ones((4, 4), int), {"spacing": (1, 0)}, "one positive number per axis"),
        (np.ones((4, 4), int), {"spacing": (1,)}, "one positive number per axis"),
    ],
)
def test_bad_input_is_named(truth, kwargs, message):
    with pytest.raises(InputError, match=message):
        simulate_clicks(truth, lambda points, labels: truth > 0, **kwargs)


def test_an_answer_of_another_shape_is_named():
    with pytest.raises(InputError, match="answer has shape"):
        simulate_clicks(squares(), lambda points, labels: np.ones((3, 3), bool))
    with pytest.raises(InputError, match="does not fit"):
        simulate_clicks(
            squares(), lambda points, labels: ((slice(0, 2), slice(0, 2)), np.ones((3, 3), bool))
        )


def test_progress_is_told_and_cancel_is_heard():
    truth, told, stop = squares(), [], threading.Event()

    def progress(fraction, message):
        told.append((fraction, message))
        stop.set()

    with pytest.raises(Cancelled):
        simulate_clicks(truth, lambda p, k: truth == 3, progress=progress, cancel=stop)
    assert told == [(0, "clicking on object 3")]
