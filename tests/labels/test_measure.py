"""Measured numbers agree with what is known of the objects, and with a naive count."""

import csv
import math
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.labels.measure import centroids, measure, unique_ids
from napari_cellseg.labels.measure_csv import write_csv
from napari_cellseg.labels.measure_neighbours import offsets_within
from napari_cellseg.labels.measure_regions import count_in_regions
from napari_cellseg.labels.measure_surface import crofton
from napari_cellseg.volume import as_volume

small = hnp.arrays(
    np.uint32,
    hnp.array_shapes(min_dims=2, max_dims=4, max_side=5),
    elements=st.sampled_from([0, 0, 1, 2, 7, 2**32 - 1]),
)


def ellipsoid(axes: tuple[float, ...], spacing: tuple[float, ...], seed: int = 0) -> np.ndarray:
    """Semi-axes in µm along z, y, x, at a random place between voxels."""
    shift = np.random.default_rng(seed).random(len(axes)) - 0.5
    grids = [
        (np.arange(-n, n + 1) + s) * size
        for n, s, size in (
            (math.ceil(a / size) + 1, s, size)
            for a, s, size in zip(axes, shift, spacing, strict=True)
        )
    ]
    parts = np.meshgrid(*grids, indexing="ij")
    inside = sum((part / a) ** 2 for part, a in zip(parts, axes, strict=True)) <= 1
    return np.asarray(inside).astype(np.uint32)


@settings(deadline=None, max_examples=50)
@given(small)
def test_counts_boxes_and_centroids_agree_with_a_recount(labels: np.ndarray):
    table = measure(labels, (2.0, 0.5, 0.25), image=labels.astype(np.float64) / 7)
    frames = labels if labels.ndim == 4 else labels[None]
    letters = "zyx"[-min(labels.ndim, 3) :]
    spacing = (2.0, 0.5, 0.25)[-len(letters) :]
    assert table.index.tolist() == [
        (t, int(n)) for t, frame in enumerate(frames) for n in np.unique(frame) if n
    ]
    for (t, number), row in table.iterrows():  # type: ignore[misc]
        places = np.argwhere(frames[t] == number)
        assert row.voxels == len(places)
        low, high = places.min(0), places.max(0) + 1
        for k, axis in enumerate(letters):
            assert (row[f"bbox_{axis}0"], row[f"bbox_{axis}1"]) == (low[k], high[k])
            assert row[f"extent_{axis}"] == pytest.approx((high[k] - low[k]) * spacing[k])
            assert row[f"centroid_{axis}"] == pytest.approx(places[:, k].mean() * spacing[k])
        assert row.touches_border == ((low == 0) | (high == frames[t].shape)).any()
        assert row.intensity_mean == pytest.approx(number / 7)
        assert row.intensity_sd == pytest.approx(0, abs=1e-6 * number)


@settings(deadline=None)
@given(small, st.sampled_from([0.0, 0.3, 1.0]))
def test_neighbours_agree_with_comparing_all_voxels(labels: np.ndarray, gap: float):
    frame = labels.reshape(-1, *labels.shape[-2:]) if labels.ndim < 4 else labels[0]
    spacing = np.array([1.0, 0.5, 0.25])
    table = measure(frame, tuple(spacing), "zyx", gap=gap)
    for (_, number), row in table.iterrows():  # type: ignore[misc]
        mine = np.argwhere(frame == number)
        near = set()
        for other in np.unique(frame[(frame > 0) & (frame != number)]):
            steps = np.abs(mine[:, None] - np.argwhere(frame == other))
            apart = np.linalg.norm(np.maximum(steps - 1, 0) * spacing, axis=2)
            if apart.min() <= gap * (1 + 1e-9):
                near.add(int(other))
        assert row.neighbours == len(near)
        assert row.neighbour_ids == " ".join(map(str, sorted(near)))


@pytest.mark.parametrize("spacing", [(1, 1, 1), (1.0, 0.4, 0.4), (2.0, 0.4, 0.4), (0.5, 0.5, 1.0)])
def test_the_surface_of_balls(spacing: tuple[float, ...]):
    for radius in (5, 8):
        for seed in range(4):
            ball = ellipsoid((radius * max(spacing),) * 3, spacing, seed)
            row = measure(ball, spacing).iloc[0]
            assert row.surface_um2 == pytest.approx(
                4 * np.pi * (radius * max(spacing)) ** 2, rel=0.03
            )
            assert 0.96 <= row.sphericity <= 1


@pytest.mark.parametrize("spacing", [(1, 1, 1), (2.0, 0.5, 0.5)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_surface_and_axes_of_long_objects(spacing: tuple[float, ...], axis: int):
    semi = [7.0 * max(spacing)] * 3
    semi[axis] *= 2
    row = measure(ellipsoid(tuple(semi), spacing, axis), spacing).iloc[0]
    a, c = min(semi), max(semi)
    e = math.sqrt(1 - (a / c) ** 2)
    true = 2 * np.pi * a * a * (1 + c / (a * e) * math.asin(e))
    assert row.surface_um2 == pytest.approx(true, rel=0.03)
    found = [row.major_axis_um, row.middle_axis_um, row.minor_axis_um]
    assert found == pytest.approx([2 * c, 2 * a, 2 * a], rel=0.02)
    assert row.sphericity == pytest.approx(np.pi * row.diameter_um**2 / true, rel=0.03)


@pytest.mark.parametrize("spacing", [(1, 1), (0.5, 0.25)])
def test_the_perimeter_of_discs(spacing: tuple[float, ...]):
    for radius in (5, 20):
        disc = ellipsoid((radius * max(spacing),) * 2, spacing, radius)
        row = measure(disc, spacing).iloc[0]
        assert row.perimeter_um == pytest.approx(2 * np.pi * radius * max(spacing), rel=0.03)
        assert row.circularity > 0.95
        assert row.area_um2 == pytest.approx(np.pi * (radius * max(spacing)) ** 2, rel=0.06)
        assert row.major_axis_um == pytest.approx(2 * radius * max(spacing), rel=0.03)


def test_directions_cover_all_and_shares_add_up():
    offsets, factors = crofton((1.0, 1.0, 1.0))
    assert len(offsets) == 13
    lengths = np.linalg.norm(offsets, axis=1)
    assert (factors * lengths).sum() == pytest.approx(4)
    assert len(crofton((1.0, 2.0))[0]) == 4
    thick, _ = crofton((2.0, 0.4, 0.4))
    assert [1, 5, 5] in thick.tolist()
    assert [0, 1, 1] in thick.tolist()


def test_a_single_voxel_and_the_border():
    labels = np.zeros((3, 3), np.uint32)
    labels[0, 0] = 5
    row = measure(labels).iloc[0]
    assert (row.voxels, row.circularity, row.neighbours, bool(row.touches_border)) == (
        1,
        1,
        0,
        True,
    )
    assert "area_um2" not in row
    assert {"diameter", "perimeter", "major_axis"} <= set(row.index)


def test_unknown_spacing_keeps_proportions():
    ball = ellipsoid((12, 12, 12), (2, 1, 1))
    table = measure(ball, (4, 2, 2), spacing_known=False)
    assert "volume_um3" not in table
    row = table.iloc[0]
    assert row.diameter == pytest.approx(24, rel=0.02)
    assert row.surface == pytest.approx(4 * np.pi * 144, rel=0.03)
    assert row.extent_z == row.bbox_z1 - row.bbox_z0
    assert row.centroid_y == pytest.approx((row.bbox_y0 + row.bbox_y1 - 1) / 2, abs=0.6)


def test_ids_may_be_large_and_sparse():
    labels = np.zeros((40, 50), np.uint32)
    labels[:, ::2] = np.random.default_rng(1).choice(2**32 - 2, (40, 25), replace=False) + 1
    table = measure(labels)
    assert len(table) == 1000
    assert table.index.get_level_values("id").tolist() == sorted(labels[labels > 0].tolist())
    assert (table.voxels == 1).all()


@pytest.mark.parametrize("dtype", ["u1", "i8", ">i4"])
def test_labels_of_other_types(dtype: str):
    assert measure(np.eye(3).astype(dtype)).voxels.tolist() == [3]


@pytest.mark.parametrize("shape", [(4, 5), (2, 4, 5), (2, 2, 4, 5)])
def test_no_object_no_row(shape: tuple[int, ...]):
    table = measure(np.zeros(shape, np.uint32), image=np.zeros(shape), regions={"a": np.eye(3, 2)})
    assert len(table) == 0
    assert {"voxels", "neighbours", "intensity_mean", "region"} <= set(table.columns)
    assert table.index.names == ["t", "id"]


def test_time_points_are_measured_apart():
    labels = np.zeros((2, 4, 4), np.uint32)
    labels[0, :2], labels[1, 2:] = 3, 3
    table = measure(labels, (0.5, 0.5), "tyx", image=labels * np.array([1, 10])[:, None, None])
    assert table.index.tolist() == [(0, 3), (1, 3)]
    assert table.intensity_mean.tolist() == [3, 30]
    assert table.centroid_y.tolist() == [0.25, 1.25]


@settings(deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int16, ">u2", np.float32, np.float16, bool]),
        (3, 4, 5),
    )
)
def test_intensities_agree_with_numpy(image: np.ndarray):
    labels = np.random.default_rng(3).integers(0, 4, image.shape).astype(np.uint32)
    with np.errstate(all="ignore"):
        table = measure(labels, image=image)
        for (_, number), row in table.iterrows():  # type: ignore[misc]
            values = image[labels == number].astype(np.float64)
            values = values[~np.isnan(values)]
            found = [row[f"intensity_{k}"] for k in ("mean", "sd", "min", "max", "sum")]
            if not len(values) or not np.isfinite(values).all() or np.abs(values).max() > 1e150:
                continue
            expected = [values.mean(), values.std(), values.min(), values.max(), values.sum()]
            size = np.abs(values).max()
            assert found == pytest.approx(expected, rel=1e-6, abs=1e-6 * size + 1e-30)


def test_the_spread_of_large_values_is_exact():
    labels = np.ones((1, 4), np.uint32)
    row = measure(labels, image=np.array([[1e9, 1e9 + 1, 1e9, 1e9 + 1]])).iloc[0]
    assert row.intensity_sd == pytest.approx(0.5)


def test_nan_is_passed_over():
    labels = np.array([[1, 1, 2, 2]], np.uint32)
    table = measure(labels, image=np.array([[3.0, np.nan, np.nan, np.nan]]))
    assert table.intensity_mean.tolist()[0] == 3
    assert np.isnan(table.intensity_sum.tolist()[1])


def test_channels_of_a_volume_are_columns():
    labels = np.ones((2, 3, 4), np.uint32)
    data = np.stack([labels * 5, labels * 9])
    volume = as_volume(data, axes="czyx")
    table = measure(labels, image=volume)
    assert table.channel_0_mean.tolist() == [5]
    assert table.channel_1_max.tolist() == [9]
    table = measure(labels, image={"a b": data[0], "a-b": data[1]})
    assert (table.a_b_0_sum.iloc[0], table.a_b_1_sum.iloc[0]) == (120, 216)


def test_a_lazy_volume_with_time_and_channels():
    labels = np.random.default_rng(1).integers(0, 4, (2, 3, 8, 9)).astype(np.uint32)
    data = np.random.default_rng(2).random((2, 2, 3, 8, 9))
    lazy = as_volume(da.from_array(data, chunks=(1, 1, 2, 4, 4)), axes="tczyx")
    table = measure(labels, image=lazy)
    for (t, number), row in table.iterrows():  # type: ignore[misc]
        inside = labels[t] == number
        assert row.channel_0_mean == pytest.approx(data[t, 0][inside].mean())
        assert row.channel_1_sum == pytest.approx(data[t, 1][inside].sum())


def test_an_image_is_read_only_around_objects():
    class Watched:
        shape, dtype = (6, 50, 60), np.dtype(np.uint16)
        read: list[Any]

        def __init__(self) -> None:
            self.read = []

        def __getitem__(self, index: Any) -> np.ndarray:
            self.read.append(index)
            return np.ones(self.shape, self.dtype)[index]

    labels = np.zeros(Watched.shape, np.uint32)
    labels[2:4, 10:20, 30:33] = 1
    image = Watched()
    assert measure(labels, image=image).intensity_sum.tolist() == [60]
    (index,) = image.read
    assert index[1:] == (slice(10, 20), slice(30, 33))


def test_slabs_add_up(monkeypatch: pytest.MonkeyPatch):
    labels = np.random.default_rng(1).integers(0, 3, (7, 5, 6)).astype(np.uint32)
    labels[3] = 0
    image = np.random.default_rng(2).random(labels.shape)
    whole = measure(labels, image=image)
    monkeypatch.setattr("napari_cellseg.labels.measure_intensity._SLAB", 1)
    pd.testing.assert_frame_equal(measure(labels, image=image), whole)


@pytest.mark.parametrize(
    ("labels", "options", "words"),
    [
        (np.zeros(4, int), {}, "cannot be measured"),
        (np.zeros((2, 2)), {}, "cannot be measured"),
        (np.array([[-1]]), {}, "cannot be measured"),
        (np.array([[2**33]]), {}, "32 bits"),
        (np.zeros((2, 2), int), {"axes": "zyx"}, "cannot be measured"),
        (np.zeros((2, 2), int), {"spacing": (0, 1)}, "spacing"),
        (np.zeros((2, 2), int), {"image": np.zeros((2, 3))}, "shape"),
        (np.zeros((2, 2), int), {"image": as_volume(np.zeros((3, 3)))}, "same image"),
        (np.zeros((2, 2), int), {"image": np.zeros((2, 2), complex)}, "numbers"),
        (np.ones((2, 2), int), {"gap": -1}, "gap"),
        (np.ones((900, 900), int), {"gap": 700}, "smaller"),
        (np.ones((2, 2), int), {"regions": {"a": [[0, 0], [1, 1]]}}, "polygon"),
    ],
)
def test_bad_input_is_one_sentence(labels: np.ndarray, options: Any, words: str):
    with pytest.raises(InputError, match=words):
        measure(labels, **options)


def test_offsets_are_one_of_each_pair():
    offsets = offsets_within((9, 9, 9), (1.0, 1.0, 1.0), 0)
    assert len(offsets) == 13
    both = {tuple(o) for o in offsets.tolist()} | {tuple(-np.array(o)) for o in offsets.tolist()}
    assert len(both) == 26
    assert len(offsets_within((1, 9, 9), (1.0, 1.0, 1.0), 0)) == 4


@given(small)
@settings(deadline=None)
def test_unique_ids(labels: np.ndarray):
    assert unique_ids(labels).tolist() == [n for n in np.unique(labels).tolist() if n]


SQUARES = np.zeros((20, 30), np.uint32)
SQUARES[2:5, 2:5], SQUARES[2:5, 12:15], SQUARES[12:15, 2:5] = 1, 2, 9
LEFT = np.array([[-0.5, -0.5], [-0.5, 9.5], [19.5, 9.5], [19.5, -0.5]])


def test_objects_are_counted_in_polygons_and_masks():
    mask = np.zeros(SQUARES.shape, bool)
    mask[:10] = True
    regions = {"left": LEFT, "top": mask, "none": LEFT + 100}
    table = count_in_regions(SQUARES, regions, (0.5, 0.5))
    assert table.objects.tolist() == [2, 2, 0]
    assert table.area.tolist() == [50, 75, 50]
    assert table.per_area.tolist() == [2 / 50, 2 / 75, 0]
    assert table.index.tolist() == [(0, "left"), (0, "top"), (0, "none")]
    rows = measure(SQUARES, (0.5, 0.5), regions=regions)
    assert rows.region.tolist() == ["left", "top", "left"]
    again = count_in_regions(rows, regions, (1, 0.5, 0.5), shape=SQUARES.shape)
    pd.testing.assert_frame_equal(again, table)


def test_a_region_holds_all_planes_and_each_time_point_is_counted():
    labels = np.zeros((2, 3, *SQUARES.shape), np.uint32)
    labels[0, 1], labels[1, 2] = SQUARES, np.where(SQUARES == 1, 4, 0)
    deep = np.zeros(labels.shape[1:], bool)
    deep[1, :, :10] = True
    table = count_in_regions(labels, {"left": LEFT, "deep": deep})
    assert table.objects.to_dict() == {
        (0, "left"): 2, (0, "deep"): 2, (1, "left"): 1, (1, "deep"): 0
    }  # fmt: skip
    assert table.area.unique().tolist() == [200]


@pytest.mark.parametrize(
    ("regions", "words"),
    [
        ({}, "no regions"),
        ({"a": np.zeros((2, 2), bool)}, "shape"),
        ({"a": [[0, 0], [1, 1]]}, "polygon"),
        ({"a": np.array([[0, 0], [1, np.nan], [2, 2]])}, "polygon"),
        ({"a": "b"}, "polygon"),
    ],
)
def test_odd_regions(regions: Any, words: str):
    with pytest.raises(InputError, match=words):
        count_in_regions(SQUARES, regions)
    with pytest.raises(InputError):
        count_in_regions(pd.DataFrame({"a": [1]}), {"left": LEFT})


def test_centroids_of_each_time_point():
    labels = np.zeros((2, 3, 3), np.uint32)
    labels[1, 1, 2] = 8
    (none, _), (ids, points) = centroids(labels, "tyx")
    assert len(none) == 0
    assert (ids.tolist(), points.tolist()) == ([8], [[0, 1, 2]])


def test_csv_is_read_back_as_it_was(tmp_path: Path):
    table = measure(SQUARES, (0.1, 0.3), image=np.sqrt(SQUARES))
    table["class"] = ["a", 'b, "c"', "d\ne"]
    path = write_csv(tmp_path / "a.csv", table)
    with path.open(newline="", encoding="utf-8") as file:
        text = file.read()
        file.seek(0)
        rows = list(csv.reader(file))
    assert text.count("\r\n") == 4
    assert rows[0][:3] == ["t", "id", "voxels"]
    assert rows[2][-1] == 'b, "c"'
    again = pd.read_csv(path, index_col=["t", "id"], dtype={"neighbour_ids": str})
    again["neighbour_ids"] = again["neighbour_ids"].fillna("")
    pd.testing.assert_frame_equal(again, table, check_exact=True)


def test_a_csv_is_replaced_only_when_asked(tmp_path: Path):
    table = measure(SQUARES)
    write_csv(tmp_path / "a.csv", table)
    with pytest.raises(StorageError, match="exists"):
        write_csv(tmp_path / "a.csv", table)
    write_csv(tmp_path / "a.csv", table, overwrite=True)
    with pytest.raises(InputError, match=r"end the name"):
        write_csv(tmp_path / "a.xlsx", table)
    assert [one.name for one in tmp_path.iterdir()] == ["a.csv"]
