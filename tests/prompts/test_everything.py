"""Everything in a plane, by a predictor that knows the truth."""

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from napari_cellseg.errors import Cancelled, InputError, ModelError
from napari_cellseg.prompts import Capabilities
from napari_cellseg.prompts.everything import View, everything
from prompts.blob_predictor import BlobPredictor

Labels = NDArray[np.int64]


def disc(shape: tuple[int, int], row: float, col: float, radius: float) -> NDArray[np.bool_]:
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return (rows - row) ** 2 + (cols - col) ** 2 < radius**2


def blobs(shape: tuple[int, int] = (128, 96), step: int = 24, seed: int = 0) -> Labels:
    """Round cells on a jittered lattice, 10 to 18 pixels wide."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int64)
    for row in range(step // 2, shape[0], step):
        for col in range(step // 2, shape[1], step):
            middle = np.add((row, col), rng.uniform(-2, 2, 2))
            labels[disc(shape, *middle, rng.uniform(5, 9))] = labels.max() + 1
    return labels


def run(labels: Labels, predictor: BlobPredictor | None = None, **options: Any) -> Any:
    predictor = predictor or BlobPredictor()
    return everything(predictor, predictor.encode(labels), **{"points_per_side": 20} | options)


def same(found: NDArray[Any], truth: NDArray[Any]) -> bool:
    """Whether two label images are equal but for the names of the labels."""
    pairs = set(zip(found.ravel().tolist(), truth.ravel().tolist(), strict=True))
    return len(pairs) == len(np.unique(truth)) == len(np.unique(found)) and (0, 0) in pairs


@pytest.mark.parametrize("shape", [(128, 96), (64, 64), (50, 128)])
def test_every_blob_is_found_once(shape: tuple[int, int]) -> None:
    truth = blobs(shape)
    found = run(truth)
    assert same(found.labels, truth)
    assert found.labels.dtype == np.uint32
    assert len(found) == truth.max()


def test_the_table_describes_the_labels() -> None:
    truth = blobs()
    found = run(truth, BlobPredictor(score={3: 0.99, 5: 0.9}))
    assert found.table["id"].tolist() == list(range(1, len(found) + 1))
    assert (np.diff(found.table["score"]) <= 0).all()
    assert truth[found.labels == 1][0] == 3
    assert truth[found.labels == len(found)][0] == 5
    for row in found.table:
        rows, cols = np.nonzero(found.labels == row["id"])
        assert row["size"] == len(rows)
        assert (row["row0"], row["row1"]) == (rows.min(), rows.max() + 1)
        assert (row["col0"], row["col1"]) == (cols.min(), cols.max() + 1)
        assert found.labels[round(row["point_row"]), round(row["point_col"])] == row["id"]
        assert row["stability"] == 1


def test_the_diameter_sets_how_dense_the_points_are() -> None:
    truth = blobs()
    for diameter, count in ((12, 22 * 16), (16, 16 * 12)):
        predictor = BlobPredictor()
        found = run(truth, predictor, diameter=diameter, points_per_side=None)
        assert len(predictor.asked) == count
        assert diameter == 16 or same(found.labels, truth)


def test_the_background_is_no_object() -> None:
    truth = np.zeros((64, 64), np.int64)
    truth[disc((64, 64), 30, 30, 8)] = 1
    assert len(run(truth)) == 1
    # the ring touches all four sides but is small; the half plane is large but touches three
    truth[:] = 0
    truth[1:-1, 1:-1] = 1
    assert len(run(truth)) == 0
    truth[:] = 1
    truth[:36] = 2
    assert np.unique(run(truth).labels).tolist() == [0, 1]


def test_sizes_filter() -> None:
    truth = blobs()
    sizes = np.bincount(truth.ravel())[1:]
    middle = int(np.median(sizes))
    assert np.array_equal(
        np.sort(run(truth, min_size=middle).table["size"]), np.sort(sizes[sizes >= middle])
    )
    assert np.array_equal(
        np.sort(run(truth, max_size=middle).table["size"]), np.sort(sizes[sizes <= middle])
    )
    assert len(run(truth, diameter=4 * sizes.max() ** 0.5 * 2)) == 0  # all too small for those
    assert len(run(truth, diameter=sizes.min() ** 0.5 / 4)) == 0  # all too large


def test_of_nested_masks_the_cell_sized_one_is_kept() -> None:
    shape = (96, 96)
    cells = blobs(shape)
    nuclei = np.zeros(shape, bool)
    for number in range(1, cells.max() + 1):
        row, col = np.argwhere(cells == number).mean(axis=0)
        nuclei |= disc(shape, row, col, 3)

    def extra(labels: Labels, here: int) -> list[tuple[NDArray[np.bool_], float]]:
        mine = labels == here
        rows = np.nonzero(mine)[0]
        cluster = np.zeros(shape, bool)
        cluster[rows.min() : rows.max(), 2:-2] = True
        return [(mine & nuclei, 0.97), (cluster, 0.99)]

    found = run(cells, BlobPredictor(extra=extra), diameter=14)
    assert same(found.labels, cells)
    small = run(cells, BlobPredictor(extra=extra), diameter=5)
    assert np.array_equal(small.labels > 0, nuclei & (cells > 0))


def test_without_a_diameter_the_median_says_what_is_cell_sized() -> None:
    cells = blobs()

    def extra(labels: Labels, here: int) -> list[tuple[NDArray[np.bool_], float]]:
        cluster = np.zeros(labels.shape, bool)
        cluster[2:70, 2:70] = True
        return [(cluster, 0.99)] if here in (1, 5) else []

    assert same(run(cells, BlobPredictor(extra=extra)).labels, cells)


def test_what_is_unsure_or_unstable_is_dropped() -> None:
    truth = blobs()
    found = run(truth, BlobPredictor(score={1: 0.5, 2: 0.87, 3: 0.89}))
    assert not np.isin((1, 2), truth[found.labels > 0]).any()
    assert len(found) == truth.max() - 2
    assert len(run(truth, least_score=0.96)) == 0
    assert len(run(truth, BlobPredictor(soft=0.5))) == 0  # all logits are within the offset
    assert len(run(truth, BlobPredictor(soft=0.5), stability_offset=0.4)) == truth.max()


def test_where_masks_overlap_the_better_one_wins() -> None:
    shape = (64, 64)
    one, two = disc(shape, 30, 24, 12), disc(shape, 30, 40, 12)
    truth = np.where(one, 1, 0)
    truth[two & ~one] = 2

    def extra(labels: Labels, here: int) -> list[tuple[NDArray[np.bool_], float]]:
        return [(two, 0.99)] if here == 2 else []

    found = run(truth, BlobPredictor(extra=extra, score={2: 0.1}))
    assert np.array_equal(found.labels == 1, two)
    assert np.array_equal(found.labels == 2, one & ~two)


def test_the_largest_piece_is_kept() -> None:
    truth = np.zeros((64, 64), np.int64)
    truth[10:20, 10:20] = truth[40:44, 40:44] = 1
    for row in range(2, 60, 12):
        truth[row : row + 5, 50:55] = 2  # as many things as this are none
    found = run(truth)
    assert len(found) == 1
    assert np.array_equal(found.labels > 0, np.pad(np.ones((10, 10), bool), ((10, 44), (10, 44))))


@given(
    arrays(np.bool_, (32, 32), elements=st.booleans(), fill=st.just(False)),
    st.integers(0, 31),
    st.integers(0, 31),
    st.integers(0, 99),
)
@settings(deadline=None, max_examples=30)
def test_taken_pixels_are_never_touched(
    specks: NDArray[np.bool_], row: int, col: int, seed: int
) -> None:
    taken = specks.copy()
    taken[row : row + 12, col : col + 12] = True
    truth = blobs((32, 32), 16, seed)
    predictor = BlobPredictor()
    found = run(truth, predictor, taken=taken, points_per_side=10)
    assert not found.labels[taken].any()
    for place in np.rint(predictor.asked).astype(int).tolist():
        assert not taken[tuple(place)]
    for number in range(1, len(found) + 1):
        mine = found.labels == number
        assert len(np.unique(truth[mine])) == 1
        assert 2 * np.count_nonzero(mine) >= np.count_nonzero(truth == truth[mine][0])


def test_all_taken() -> None:
    truth = blobs()
    predictor = BlobPredictor()
    found = run(truth, predictor, taken=np.ones(truth.shape, bool))
    assert len(found) == 0
    assert not predictor.asked


def tiles(predictor: BlobPredictor, plane: Labels, side: int, overlap: int) -> list[View]:
    views = []
    for row in range(0, plane.shape[0] - overlap, side - overlap):
        for col in range(0, plane.shape[1] - overlap, side - overlap):
            place = (
                slice(row, min(row + side, plane.shape[0])),
                slice(col, min(col + side, plane.shape[1])),
            )
            views.append(View(predictor.encode(plane[place]), place))
    return views


@pytest.mark.parametrize("seed", range(3))
def test_tiles_give_what_one_view_gives(seed: int) -> None:
    truth = blobs((128, 128), seed=seed)
    predictor = BlobPredictor()
    views = tiles(predictor, truth, 64, 32)
    assert len(views) == 9
    found = everything(predictor, views, points_per_side=12)
    assert same(found.labels, truth)
    whole = run(truth)
    assert same(found.labels, whole.labels)


def test_a_mask_that_no_tile_sees_whole_is_left_out() -> None:
    truth = np.zeros((128, 128), np.int64)
    truth[20:30, 10:100] = 1
    truth[80:90, 80:90] = 2
    predictor = BlobPredictor()
    found = everything(predictor, tiles(predictor, truth, 64, 32), points_per_side=9)
    assert np.array_equal(found.labels > 0, truth == 2)


def test_a_part_of_a_plane() -> None:
    truth = blobs((128, 96))
    predictor = BlobPredictor()
    place = slice(24, 88), slice(0, 64)
    view = View(predictor.encode(truth[place]), place)
    found = everything(predictor, [view], shape=truth.shape, points_per_side=12)
    assert found.labels.shape == truth.shape
    inside = [
        n for n in range(1, truth.max() + 1) if (truth[place] == n).sum() == (truth == n).sum()
    ]
    assert set(truth[found.labels > 0]) <= set(inside)
    assert len(found) >= 4


def test_crops_find_what_the_points_miss() -> None:
    truth = blobs((128, 128))
    predictor = BlobPredictor()
    encoded = []

    def encode(place: tuple[slice, slice]) -> Any:
        encoded.append(place)
        return predictor.encode(truth[place])

    few = everything(predictor, predictor.encode(truth), points_per_side=6)
    assert len(few) < truth.max()
    found = everything(
        predictor, predictor.encode(truth), points_per_side=12, crop_layers=1, encode=encode
    )
    assert same(found.labels, truth)
    assert len(encoded) == 4
    with pytest.raises(InputError, match="encode"):
        run(truth, crop_layers=1)


def test_an_empty_plane() -> None:
    found = run(np.zeros((40, 60), np.int64))
    assert found.labels.shape == (40, 60)
    assert not found.labels.any()
    assert len(found) == 0
    assert {"id", "score", "stability", "size"} <= set(found.table.dtype.names)


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (3, 5)])
def test_a_tiny_plane(shape: tuple[int, int]) -> None:
    truth = np.zeros(shape, np.int64)
    truth[0, 0] = 1
    assert run(truth).labels.shape == shape


@pytest.mark.parametrize("after", [1, 40])
def test_cancelling_is_prompt(after: int) -> None:
    cancel = threading.Event()
    predictor = BlobPredictor(cancel_after=(after, cancel))
    with pytest.raises(Cancelled):
        run(blobs(), predictor, cancel=cancel)
    assert len(predictor.asked) == after


def test_cancelled_before_the_start() -> None:
    cancel = threading.Event()
    cancel.set()
    predictor = BlobPredictor()
    with pytest.raises(Cancelled):
        run(blobs(), predictor, cancel=cancel)
    assert not predictor.asked


def test_progress_rises_to_the_end() -> None:
    told: list[tuple[float, str]] = []
    run(blobs(), progress=lambda fraction, message: told.append((fraction, message)))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, 1)
    assert len(told) > 10
    assert told[-1][1] == "found 20 objects"


@pytest.mark.parametrize("broken", ["scores", "logits"])
def test_nan_is_reported(broken: str) -> None:
    with pytest.raises(ModelError, match=r"Blobs answered NaN for the point \(\d"):
        run(blobs(), BlobPredictor(broken=broken))


def test_a_model_without_points_is_refused() -> None:
    predictor = BlobPredictor(capabilities=Capabilities(points=False, multimask=False))
    with pytest.raises(InputError, match="Blobs takes no points"):
        run(blobs(), predictor)


def test_what_does_not_fit_is_refused() -> None:
    truth = blobs()
    predictor = BlobPredictor()
    embedding = predictor.encode(truth)
    with pytest.raises(InputError, match="taken"):
        run(truth, taken=np.zeros((3, 3), bool))
    with pytest.raises(InputError, match="bool"):
        run(truth, taken=np.zeros(truth.shape))
    with pytest.raises(InputError, match="no view"):
        everything(predictor, [])
    with pytest.raises(InputError, match="beyond the plane"):
        run(truth, shape=(100, 100))
    with pytest.raises(InputError, match="were encoded"):
        View(embedding, (slice(0, 9), slice(0, 9)))
    for name, value in (
        ("diameter", 0), ("diameter", np.nan), ("points_per_side", 0), ("points_per_side", 2.5),
        ("min_size", -1), ("max_size", 0), ("stability_offset", -1), ("crop_layers", 4),
        ("least_score", np.inf), ("batch", 0),
    ):  # fmt: skip
        with pytest.raises(InputError):
            run(truth, **{name: value})
    with pytest.raises(InputError, match="max_size above min_size"):
        run(truth, min_size=9, max_size=8)
