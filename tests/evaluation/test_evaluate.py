"""`evaluate` against hand-counted cases, cellpose, scikit-image and its own symmetries."""

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.evaluation import evaluate

LEVELS = (0.1, 0.3, 0.5, 0.75, 0.9)


@st.composite
def label_pairs(draw: st.DrawFn) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    shape = draw(array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=7))
    elements = st.integers(0, draw(st.integers(0, 6)))
    return draw(arrays(np.int64, shape, elements=elements)), draw(
        arrays(np.int64, shape, elements=elements)
    )


def blobs(seed: int, shape: tuple[int, ...], n: int) -> NDArray[np.int64]:
    """Voronoi cells of random points, cut to balls."""
    from scipy.spatial import KDTree

    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, len(shape))
    distance, nearest = KDTree(random.uniform(0, shape, (n, len(shape)))).query(grid)
    return np.where(distance < 5, nearest + 1, 0).reshape(shape)


def strip(*spans: tuple[int, int, int], length: int = 40) -> NDArray[np.int64]:
    out = np.zeros((4, length), np.int64)
    for label, start, stop in spans:
        out[:, start:stop] = label
    return out


def test_hand_counted() -> None:
    truth = strip((1, 0, 10), (2, 12, 22), (3, 24, 34))
    predicted = strip((5, 0, 10), (6, 12, 20), (9, 36, 38))
    scores = evaluate(predicted, truth)
    assert scores["tp"] == {0.5: 2, 0.75: 2, 0.9: 1}
    assert scores["fp"] == {0.5: 1, 0.75: 1, 0.9: 2}
    assert scores["fn"] == {0.5: 1, 0.75: 1, 0.9: 2}
    assert scores["ap"] == {0.5: 2 / 4, 0.75: 2 / 4, 0.9: 1 / 5}
    assert scores["iou"] == pytest.approx((1 + 0.8) / 2)
    assert scores["sq"] == scores["iou"]
    assert scores["rq"] == pytest.approx(2 / 3)
    assert scores["pq"] == pytest.approx(0.9 * 2 / 3)
    assert scores["dice"] == pytest.approx(2 * 18 / (30 + 20))
    assert scores["foreground_iou"] == pytest.approx(18 / 32)
    assert scores["counts"] == {"predicted": 3, "truth": 3}
    assert (scores["splits"], scores["merges"]) == (0, 0)


def test_splits_and_merges() -> None:
    truth = strip((1, 0, 12), (2, 14, 20), (3, 20, 26), (4, 28, 38))
    predicted = strip((1, 0, 4), (2, 4, 8), (3, 8, 12), (4, 14, 26), (5, 28, 38))
    scores = evaluate(predicted, truth)
    assert (scores["splits"], scores["merges"]) == (2, 1)
    back = evaluate(truth, predicted)
    assert (back["splits"], back["merges"]) == (1, 2)


def test_crumb_is_no_split() -> None:
    truth = strip((1, 0, 30))
    assert evaluate(strip((1, 0, 28), (2, 28, 30)), truth)["splits"] == 0


def test_exact_halves_at_one_half() -> None:
    """IoU of exactly 0.5 with two rivals: one match, and the one that leaves most for others."""
    truth = strip((1, 0, 8), (2, 8, 12))
    predicted = strip((1, 0, 4), (2, 4, 12))
    scores = evaluate(predicted, truth, (0.5, 0.3))
    assert scores["tp"] == {0.5: 2, 0.3: 2}
    assert scores["iou"] == pytest.approx(0.5)


def test_surface_distance_is_in_micrometres() -> None:
    truth = np.zeros((9, 20, 20), np.uint16)
    truth[2:7, 4:12, 4:12] = 1
    predicted = np.roll(truth, 2, axis=0)
    in_voxels = evaluate(predicted, truth, (0.3,))["surface"]
    assert in_voxels == {"mean": None, "p95": None, "unit": "voxels"}  # IoU 3/7: no match
    predicted = np.roll(truth, 1, axis=0)
    in_voxels = evaluate(predicted, truth)["surface"]
    assert in_voxels["unit"] == "voxels"
    assert 0 < in_voxels["mean"] < 1
    assert in_voxels["p95"] == 1
    stretched = evaluate(predicted, truth, spacing=(3.0, 0.5, 0.5))["surface"]
    assert stretched["unit"] == "µm"
    # Shifted faces are 3 µm from their like; the way round over the side walls is shorter.
    assert in_voxels["mean"] < stretched["mean"] <= 3


def test_surface_distance_against_all_pairs() -> None:
    truth, predicted = blobs(1, (30, 30), 6), blobs(1, (30, 30), 6)
    predicted = np.roll(predicted, 1, axis=1)
    spacing = (0.7, 0.4)
    scores = evaluate(predicted, truth, spacing=spacing)
    means, tails = [], []
    for label in range(1, 7):
        a, b = (_surface_points(x == label) * spacing for x in (predicted, truth))
        if not len(a) or not len(b):
            continue
        union = np.sum((predicted == label) | (truth == label))
        if np.sum((predicted == label) & (truth == label)) / union < 0.5:
            continue
        distances = np.linalg.norm(a[:, None] - b[None], axis=-1)
        both = np.concatenate([distances.min(0), distances.min(1)])
        means.append(both.mean())
        tails.append(np.percentile(both, 95))
    assert len(means) > 2
    assert scores["surface"]["mean"] == pytest.approx(np.mean(means))
    assert scores["surface"]["p95"] == pytest.approx(np.mean(tails))


def _surface_points(mask: NDArray[np.bool_]) -> NDArray[Any]:
    from scipy.ndimage import binary_erosion

    return np.argwhere(mask & ~binary_erosion(mask))


def test_time_points_are_apart() -> None:
    """The same id at two times is two instances."""
    truth = np.zeros((2, 1, 6, 6), np.uint32)
    truth[:, :, :3] = 4
    predicted = truth.copy()
    predicted[1] = 0
    scores = evaluate(predicted, truth)
    assert scores["counts"] == {"predicted": 1, "truth": 2}
    assert scores["ap"][0.5] == 0.5
    assert scores["surface"]["mean"] == 0
    flat = evaluate(predicted[:, 0], truth[:, 0], axes="tyx")
    assert flat["counts"] == scores["counts"]
    assert evaluate(predicted[:, 0], truth[:, 0])["counts"]["truth"] == 1


def test_nothing_and_nothing_agree() -> None:
    empty = np.zeros((5, 6), np.uint8)
    scores = evaluate(empty, empty)
    assert set(scores["ap"].values()) == {1.0}
    assert scores["iou"] == scores["dice"] == scores["pq"] == scores["foreground_iou"] == 1
    assert scores["vi"] == {"split": 0, "merge": 0, "total": 0}
    assert scores["adapted_rand"]["error"] == 0
    assert scores["surface"]["mean"] is None


@pytest.mark.parametrize("swap", [False, True])
def test_nothing_and_something_disagree(swap: bool) -> None:
    pair = [np.zeros((5, 6), np.uint8), np.ones((5, 6), np.uint8)]
    scores = evaluate(*(pair[::-1] if swap else pair))
    assert set(scores["ap"].values()) == {0.0}
    assert scores["iou"] == scores["dice"] == scores["pq"] == 0


@pytest.mark.parametrize(
    ("predicted", "truth", "options", "message"),
    [
        (np.ones((3, 4), int), np.ones((4, 3), int), {}, "has shape"),
        (np.ones((3, 4)), np.ones((3, 4), int), {}, "prediction holds float64"),
        (np.ones((3, 4), int), np.ones((3, 4)), {}, "truth holds float64"),
        (np.full((3, 4), -1), np.ones((3, 4), int), {}, "negative id"),
        (np.ones(4, int), np.ones(4, int), {}, "2 to 4 axes"),
        (np.ones((0, 4), int), np.ones((0, 4), int), {}, "none empty"),
        (np.ones((3, 4), int), np.ones((3, 4), int), {"thresholds": (0,)}, "Thresholds"),
        (np.ones((3, 4), int), np.ones((3, 4), int), {"thresholds": "half"}, "Thresholds"),
        (np.ones((3, 4), int), np.ones((3, 4), int), {"spacing": (1, 0)}, "spacing"),
        (np.ones((3, 4), int), np.ones((3, 4), int), {"spacing": 2}, "spacing"),
        (np.ones((3, 4), int), np.ones((3, 4), int), {"axes": "zyx"}, "axes"),
    ],
)
def test_bad_input_is_one_sentence(
    predicted: Any, truth: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        evaluate(predicted, truth, **options)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, ">i4", np.uint64])
def test_any_whole_numbers(dtype: Any) -> None:
    truth = strip((1, 0, 10)).astype(dtype)
    assert evaluate(truth, truth.astype(np.int64))["ap"][0.9] == 1


def test_huge_ids_and_lazy_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    import dask.array

    slabs = sys.modules["napari_cellseg.evaluation.contingency"]  # a function has its name
    monkeypatch.setattr(slabs, "SLAB_VOXELS", 700)
    truth, predicted = blobs(2, (12, 20, 22), 15), blobs(2, (12, 20, 22), 15)
    predicted[6:] = np.roll(predicted[6:], 1, axis=2)
    plain = evaluate(predicted, truth)
    big = np.where(truth, truth.astype(np.uint64) * np.uint64(2**40), np.uint64(0))
    assert evaluate(predicted, big) == plain
    assert evaluate(dask.array.from_array(predicted), dask.array.from_array(truth)) == plain


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(40, 50), (14, 24, 26)])
def test_average_precision_agrees_with_cellpose(seed: int, shape: tuple[int, ...]) -> None:
    metrics = pytest.importorskip("cellpose.metrics")
    truth = blobs(seed, shape, 25)
    predicted = blobs(seed, shape, 25)
    predicted[..., : shape[-1] // 2] = np.roll(predicted, 1, -1)[..., : shape[-1] // 2]
    predicted[predicted == 3] = 4
    consecutive = [np.unique(x, return_inverse=True)[1].reshape(shape) for x in (truth, predicted)]
    ap, tp, fp, fn = metrics.average_precision(*consecutive, threshold=list(LEVELS))
    scores = evaluate(predicted, truth, LEVELS)
    np.testing.assert_allclose(list(scores["ap"].values()), ap, rtol=1e-6)
    for name, theirs in (("tp", tp), ("fp", fp), ("fn", fn)):
        assert list(scores[name].values()) == theirs.tolist()


@settings(max_examples=100, deadline=None)
@given(pair=label_pairs())
def test_agrees_with_cellpose_and_skimage_on_anything(
    pair: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> None:
    metrics = pytest.importorskip("cellpose.metrics")
    from skimage.metrics import adapted_rand_error, variation_of_information

    predicted, truth = pair
    scores = evaluate(predicted, truth, LEVELS)
    split, merge = variation_of_information(truth, predicted)
    assert scores["vi"]["split"] == pytest.approx(split, abs=1e-9)
    assert scores["vi"]["merge"] == pytest.approx(merge, abs=1e-9)
    if truth.any():
        # Zero has to be there for cellpose to take the first id for background.
        padded = [np.pad(x, 1) for x in (truth, predicted)]
        packed = [np.unique(x, return_inverse=True)[1].reshape(x.shape) for x in padded]
        theirs = metrics.average_precision(*packed, threshold=list(LEVELS))
        assert list(scores["tp"].values()) == theirs[1].tolist()
        np.testing.assert_allclose(list(scores["ap"].values()), theirs[0], rtol=1e-6)
        with np.errstate(invalid="ignore", divide="ignore"):
            error, precision, recall = adapted_rand_error(truth, predicted)
        for name, value in (("error", error), ("precision", precision), ("recall", recall)):
            if np.isfinite(value):
                assert scores["adapted_rand"][name] == pytest.approx(value, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(pair=label_pairs())
def test_symmetric_but_for_the_roles(pair: tuple[NDArray[np.int64], NDArray[np.int64]]) -> None:
    there, back = evaluate(*pair, LEVELS), evaluate(*pair[::-1], LEVELS)
    for name in ("ap", "tp", "dice", "foreground_iou", "rq"):
        assert there[name] == back[name]
    for name in ("iou", "pq", "matched_dice"):
        assert there[name] == pytest.approx(back[name])
    assert (there["fp"], there["splits"]) == (back["fn"], back["merges"])
    assert there["vi"]["split"] == pytest.approx(back["vi"]["merge"])
    assert there["counts"]["truth"] == back["counts"]["predicted"]


@settings(max_examples=100, deadline=None)
@given(pair=label_pairs(), seed=st.integers(0, 2**16))
def test_ids_do_not_matter(pair: tuple[NDArray[np.int64], NDArray[np.int64]], seed: int) -> None:
    predicted, truth = pair
    random = np.random.default_rng(seed)
    names, others = (np.append(0, random.permutation(100)[:10] + 1) for _ in range(2))
    renamed = evaluate(names[predicted], others[truth], LEVELS)
    plain = evaluate(predicted, truth, LEVELS)
    for name in ("ap", "tp", "dice", "splits", "merges", "counts"):
        assert renamed[name] == plain[name]
    for name in ("iou", "pq"):
        assert renamed[name] == pytest.approx(plain[name])
    assert renamed["vi"]["total"] == pytest.approx(plain["vi"]["total"])


@settings(max_examples=50, deadline=None)
@given(pair=label_pairs())
def test_itself_is_perfect(pair: tuple[NDArray[np.int64], NDArray[np.int64]]) -> None:
    scores = evaluate(pair[0], pair[0].astype(np.uint32), LEVELS)
    assert set(scores["ap"].values()) == {1.0}
    assert scores["iou"] == scores["dice"] == scores["pq"] == 1
    assert (scores["splits"], scores["merges"]) == (0, 0)
    assert scores["vi"]["total"] == pytest.approx(0, abs=1e-12)
    assert scores["surface"]["mean"] in (0, None)
