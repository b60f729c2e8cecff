import json
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

import napari_cellseg as nc
from fakes import BlobNetwork, blob_volume
from napari_cellseg.evaluation import evaluate
from napari_cellseg.flows import run
from napari_cellseg.volume import Volume


def ap(result: nc.Segmentation, truth: np.ndarray) -> float:
    return float(evaluate(result.labels, truth, thresholds=(0.75,))["ap"][0.75])


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.5, 1.0, 1.0), (1.0, 0.5, 1.0)])
def test_separate_balls_are_found_whatever_the_spacing(
    spacing: tuple[float, float, float],
) -> None:
    shape = tuple(round(n / s) for n, s in zip((40, 60, 60), spacing, strict=True))
    image, truth = blob_volume(shape, spacing)
    result = nc.segment(image, BlobNetwork(), spacing=spacing, diameter=14)
    assert ap(result, truth) == 1.0
    assert result.labels.dtype == np.uint32
    assert result.field.flow.shape == (3, *shape)
    assert result.field.flow.dtype == np.float16
    table = result.table
    assert list(table.index.get_level_values("id")) == list(range(1, len(table) + 1))
    assert table["diameter_um"].median() == pytest.approx(14, rel=0.1)
    assert not table["touches_border"].any()


def test_two_dimensions_and_time() -> None:
    image, truth = blob_volume((32, 60, 60))
    plane = nc.segment(image[10], BlobNetwork(), diameter=14)
    assert plane.field.flow.shape == (2, 60, 60)
    assert ap(plane, truth[10]) == 1.0

    movie = nc.segment(np.stack([image, image[:, ::-1]]), BlobNetwork(), diameter=14)
    assert movie.labels.shape == (2, 32, 60, 60)
    assert movie.field.flow.shape == (2, 3, 32, 60, 60)
    np.testing.assert_array_equal(movie.labels[0] > 0, movie.labels[1, :, ::-1] > 0)
    assert set(movie.table.index.get_level_values("t")) == {0, 1}


def test_colour_is_reduced_to_grey() -> None:
    image, truth = blob_volume((32, 60, 60))
    rgb = np.repeat(image[10].astype(np.uint8)[None], 3, 0)
    result = nc.segment(Volume(rgb, "cyx", rgb=True), BlobNetwork(), diameter=14)
    assert ap(result, truth[10]) == 1.0


def test_a_colour_array_is_told_by_its_axes_and_a_file_by_its_path(tmp_path: Path) -> None:
    image, truth = blob_volume((32, 60, 60))
    rgb = np.repeat(image[10].astype(np.uint8)[..., None], 3, -1)
    assert ap(nc.segment(rgb, BlobNetwork(), axes="yxs", diameter=14), truth[10]) == 1.0
    file = tmp_path / "rgb.tif"
    tifffile.imwrite(file, rgb, photometric="rgb")
    assert ap(nc.segment(file, BlobNetwork(), diameter=14), truth[10]) == 1.0
    with pytest.raises(nc.InputError, match="there is no file"):
        nc.segment(str(tmp_path / "nothing.tif"), BlobNetwork())


def test_the_repr_is_one_line() -> None:
    image, _ = blob_volume()
    result = nc.segment(image, BlobNetwork(), diameter=14)
    assert repr(result) == f"<Segmentation: {len(result.table)} cells in 32 × 64 × 64 voxels>"


def test_noise_is_no_reason_to_assume_cells_of_a_voxel() -> None:
    noise = np.random.default_rng(0).normal(size=(96, 96)).astype(np.float32)
    result = nc.segment(noise, BlobNetwork())
    assert result.parameters["diameter"] >= 4


def test_a_channel_is_chosen() -> None:
    image, truth = blob_volume((32, 60, 60))
    both = np.stack([np.random.default_rng(0).random(image.shape).astype(np.float32), image])
    volume = Volume(both, "czyx", channels=("noise", "cells"))
    assert ap(nc.segment(volume, BlobNetwork(), channel="cells", diameter=14), truth) == 1.0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_plane_of_any_orientation_can_be_tried(axis: int) -> None:
    image, truth = blob_volume((40, 60, 60))
    region = [slice(None)] * 3
    region[axis] = slice(10, 11)
    result = nc.segment(image, BlobNetwork(), diameter=14, region=tuple(region))
    assert result.labels.shape == tuple(1 if k == axis else n for k, n in enumerate(image.shape))
    assert ap(result, truth[tuple(region)]) == 1.0


def test_a_region_inherits_the_limits_of_its_volume() -> None:
    image, _ = blob_volume((32, 60, 60))
    image[:, :30] *= 0.1  # dim half: stretched to its own limits it would look bright
    whole = nc.segment(image, BlobNetwork(), diameter=14)
    region = (slice(None), slice(0, 30), slice(None))
    part = nc.segment(image, BlobNetwork(), diameter=14, region=region)
    assert part.parameters["limits"] == whole.parameters["limits"]
    assert not part.labels.any()
    assert part.region is not None


def test_the_diameter_is_estimated_and_said() -> None:
    image, truth = blob_volume((40, 60, 60))
    result = nc.segment(image, BlobNetwork(), spacing=(1, 1, 1))
    assert result.parameters["diameter"] == pytest.approx(14, rel=0.2)
    assert any("estimated" in notice for notice in result.notices)
    assert ap(result, truth) == 1.0


def test_an_image_without_cells_gives_none_and_says_so() -> None:
    faint = np.zeros((8, 40, 40), np.float32)
    faint[3, 5, 5] = 0.2  # one pixel is no cell
    faint[0, 0, 0] = 1.0
    result = nc.segment(faint, BlobNetwork())
    assert not result.labels.any()
    assert result.table.empty
    assert any("diameter" in notice for notice in result.notices)


def test_a_network_that_is_unsure_everywhere_is_reported() -> None:
    class Unsure(BlobNetwork):
        def predict(self, planes: torch.Tensor) -> torch.Tensor:
            return super().predict(planes) * 0.1

    image, _ = blob_volume()
    unsure = nc.segment(image, Unsure(), diameter=14)
    assert any("sure of only 0%" in notice for notice in unsure.notices)
    sure = nc.segment(image, BlobNetwork(), diameter=14)
    assert not any("sure of only" in notice for notice in sure.notices)


def test_the_recipe_is_ready_for_json_and_reproduces_the_labels() -> None:
    image, _ = blob_volume()
    first = nc.segment(image, BlobNetwork(), spacing=(1, 1, 1))
    recipe = json.loads(json.dumps(first.parameters))
    again = nc.segment(
        image,
        BlobNetwork(),
        **{k: recipe[k] for k in ("diameter", "probability", "min_size", "spacing", "channel")},
    )
    np.testing.assert_array_equal(first.labels, again.labels)
    assert {"model", "version", "limits"} <= recipe.keys()


def test_relabelling_changes_labels_but_not_the_field() -> None:
    image, _ = blob_volume()
    result = nc.segment(image, BlobNetwork(), spacing=(1, 1, 1), diameter=14)
    stricter = result.relabel(probability=0.99)
    assert stricter.field is result.field
    assert 0 < (stricter.labels > 0).sum() < (result.labels > 0).sum()
    assert result.relabel(min_size=10**6).table.empty
    np.testing.assert_array_equal(result.relabel().labels, result.labels)
    automatic = result.relabel(min_size=10**6).relabel(min_size=None)
    np.testing.assert_array_equal(automatic.labels, result.labels)
    with pytest.raises(nc.InputError, match="probability"):
        result.relabel(probability=2)


def test_progress_rises_to_one() -> None:
    seen: list[tuple[float, str]] = []
    image, _ = blob_volume()
    nc.segment(image, BlobNetwork(), diameter=14, progress=lambda f, m: seen.append((f, m)))
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert all(message for _, message in seen)


@pytest.mark.parametrize("after", [0, 3, 8])
def test_cancelling_stops_with_its_own_error(after: int) -> None:
    cancel, count = Event(), 0

    def progress(fraction: float, message: str) -> None:
        nonlocal count
        count += 1
        if count > after:
            cancel.set()

    image, _ = blob_volume()
    with pytest.raises(nc.Cancelled):
        nc.segment(image, BlobNetwork(), diameter=14, progress=progress, cancel=cancel)


class _Hungry(BlobNetwork):
    """Out of memory everywhere but on the CPU."""

    def predict(self, planes: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("simulated")

    def to(self, device: str) -> BlobNetwork:
        assert device == "cpu"
        return BlobNetwork()


def test_a_full_graphics_card_falls_back_to_the_cpu_with_a_notice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image, truth = blob_volume()
    hungry = _Hungry()

    def frame(work: Any, t: int, span: Any) -> Any:
        if work.network is hungry:
            hungry.device = torch.device("meta")  # not the CPU, as a full card is not
            raise torch.OutOfMemoryError("simulated")
        return real(work, t, span)

    real = run.Run._frame
    monkeypatch.setattr(run.Run, "_frame", frame)
    result = nc.segment(image, hungry, diameter=14)
    assert ap(result, truth) == 1.0
    assert any("CPU" in notice for notice in result.notices)


def test_a_full_memory_is_one_sentence() -> None:
    image, _ = blob_volume()
    with pytest.raises(nc.ModelError, match="memory"):
        nc.segment(image, _Hungry(), diameter=14)


def test_lazy_volumes_are_accepted() -> None:
    import dask.array as da

    image, truth = blob_volume()
    lazy = Volume(da.from_array(image, chunks=(4, 64, 64)), "zyx", (1.0, 1.0, 1.0), True)
    assert ap(nc.segment(lazy, BlobNetwork(), diameter=14), truth) == 1.0


def test_shift_and_crop_keep_the_cells_that_lie_inside() -> None:
    image, truth = blob_volume((40, 80, 80))
    whole = nc.segment(image, BlobNetwork(), diameter=14)
    region = (slice(None), slice(20, None), slice(None))
    part = nc.segment(image, BlobNetwork(), diameter=14, region=region)
    inside = [i for i in np.unique(truth[:, 20:]) if i and not (truth[:, :20] == i).any()]
    assert inside
    for i in inside:
        where = truth[:, 20:] == i
        kept = whole.labels[:, 20:]
        a = kept == np.bincount(kept[where]).argmax()
        b = part.labels == np.bincount(part.labels[where]).argmax()
        assert (a & b).sum() / (a | b).sum() > 0.95


class Ranged(BlobNetwork):
    """Takes diameters from 8 to 40 pixels as they are."""

    diameters = (8.0, 40.0)


def test_a_network_of_a_range_runs_once_and_measures_what_it_found() -> None:
    image, truth = blob_volume((40, 60, 60))
    network = Ranged()
    result = nc.segment(image, network, spacing=(1, 1, 1))
    assert result.parameters["diameter"] == pytest.approx(14, rel=0.1)
    assert any("estimated as" in notice for notice in result.notices)
    assert ap(result, truth) == 1.0
    pixels = sum(int(np.prod(shape)) for shape in network.calls)
    # three orientations with their margins, once
    assert pixels == 40 * 128 * 128 + 60 * 112 * 128 + 60 * 112 * 128
    wider = nc.segment(image, Ranged(), spacing=(1, 1, 1), diameter=80)
    assert max(shape[1] for shape in network.calls) > 2 * 40
    assert wider.parameters["diameter"] == 80


def test_cells_outside_of_the_range_are_told() -> None:
    image, _ = blob_volume((32, 60, 60))

    class Large(BlobNetwork):
        diameters = (30.0, 60.0)

    result = nc.segment(image, Large(), spacing=(1, 1, 1))
    assert any("30 to 60" in notice for notice in result.notices)
    faint = np.zeros((40, 40), np.float32)
    faint[5, 5], faint[0, 0] = 0.2, 1.0
    empty = nc.segment(faint, Large())
    assert any("No cells were found" in notice for notice in empty.notices)


@pytest.mark.parametrize("fusion", ["mean", "weighted", "xy"])
def test_every_fusion_finds_separate_balls_and_is_in_the_recipe(fusion: str) -> None:
    image, truth = blob_volume((16, 60, 60), (2.5, 1.0, 1.0))
    result = nc.segment(image, BlobNetwork(), spacing=(2.5, 1, 1), diameter=14, fusion=fusion)
    assert ap(result, truth) == 1.0
    assert result.parameters["fusion"] == fusion
    assert result.field.stitched == (fusion == "xy")
    assert (result.field.disagreement is None) == (fusion == "xy")
    assert ("disagreement" in result.table) == (fusion != "xy")
    again = result.relabel(probability=0.9)
    assert again.parameters["fusion"] == fusion
    assert len(again.table) == len(result.table)
    np.testing.assert_array_equal(again.relabel(probability=0.5).labels, result.labels)


def test_a_movie_is_stitched_frame_by_frame() -> None:
    image, truth = blob_volume((16, 60, 60), (2.5, 1.0, 1.0))
    movie = np.stack([image, image[:, ::-1]])
    result = nc.segment(movie, BlobNetwork(), spacing=(2.5, 1, 1), diameter=14, fusion="xy")
    assert ap(nc.segment(image, BlobNetwork(), spacing=(2.5, 1, 1), diameter=14), truth) == 1.0
    np.testing.assert_array_equal(result.labels[0] > 0, result.labels[1, :, ::-1] > 0)
    plane = nc.segment(image[3], BlobNetwork(), diameter=14, fusion="xy")
    assert not plane.field.stitched
    fused = nc.segment(movie, BlobNetwork(), spacing=(2.5, 1, 1), diameter=14)
    assert fused.field.disagreement is not None
    assert fused.field.disagreement.shape == movie.shape
    assert fused.table["disagreement"].between(0, 0.5).all()


def test_an_unknown_fusion_is_refused() -> None:
    with pytest.raises(nc.InputError, match="mean, weighted, xy"):
        nc.segment(np.eye(20, dtype=np.float32), BlobNetwork(), fusion="sum")


def test_xy_is_suggested_where_cells_have_very_few_planes_and_never_taken() -> None:
    image, _ = blob_volume((10, 60, 60), (7.0, 1.0, 1.0))
    coarse = nc.segment(image, BlobNetwork(), spacing=(7, 1, 1), diameter=14)
    assert sum("fusion='xy'" in notice for notice in coarse.notices) == 1
    assert coarse.parameters["fusion"] == "mean"
    image, _ = blob_volume((16, 60, 60), (5.0, 1.0, 1.0))
    for more in ({"spacing": (5, 1, 1)}, {"spacing": (7, 1, 1), "fusion": "xy"}):
        other = nc.segment(image, BlobNetwork(), diameter=14, **more)
        assert not any("fusion='xy'" in notice for notice in other.notices)


def test_a_device_follows_the_flow_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    image, _ = blob_volume((24, 60, 60))
    usual = nc.segment(image, BlobNetwork(), diameter=14)
    monkeypatch.setattr(run, "_INTEGRATE", {"cpu"})
    handed: list[bool] = []
    real = nc.FlowField.handed_over

    def handed_over(field: nc.FlowField, t: int, floor: float) -> Any:
        found = real(field, t, floor)
        handed.append(found is not None)
        return found

    monkeypatch.setattr(nc.FlowField, "handed_over", handed_over)
    there = nc.segment(image, BlobNetwork(), diameter=14)
    np.testing.assert_array_equal(there.labels, usual.labels)
    assert handed == [True]
    assert there.field.kept_integration() is not None
    assert real(there.field, 0, 0.0) is None
    np.testing.assert_array_equal(
        there.field.integration().terminal, usual.field.integration().terminal
    )
