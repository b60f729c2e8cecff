"""Volumes segmented block by block: the same as in memory, resumable, and careful with files."""

import json
import os
import signal
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile
import torch
import zarr

import napari_cellseg as nc
from fakes import BlobNetwork, blob_volume
from napari_cellseg.errors import Cancelled, InputError, StorageError
from napari_cellseg.flows import instances
from napari_cellseg.flows.blockwise import predict_store, relabel_store, segment_store
from napari_cellseg.flows.blockwise.work import Work, growing_labels
from napari_cellseg.volume import Volume

SPACING = (2.0, 1.0, 1.0)


class Uphill(BlobNetwork):
    """Flows up the slope of the blurred plane: nothing to compute, and a view that is local."""

    def predict(self, planes):
        blurred = planes[:, None]
        for _ in range(3):
            blurred = torch.nn.functional.avg_pool2d(blurred, 7, 1, 3, count_include_pad=False)
        rows, cols = torch.gradient(blurred[:, 0], dim=(1, 2))
        length = torch.hypot(rows, cols) + 1e-3
        return torch.stack([rows / length, cols / length, (planes - 0.5) * 12], 1)


OPTIONS = {"model": Uphill(), "diameter": 14, "spacing": SPACING, "block": (16, 32, 32)}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    image, _ = blob_volume((20, 64, 64), SPACING)
    path = tmp_path_factory.mktemp("images") / "stack.tif"
    tifffile.imwrite(path, image.astype(np.float32))
    return path


def labels_of(store: Path) -> np.ndarray:
    return zarr.open_array(store / "labels" / "cells" / "0", mode="r")[:]


def test_the_labels_are_those_of_the_field_in_memory(stack, tmp_path):
    told = []
    result = segment_store(
        stack, tmp_path / "out.ome.zarr", field=tmp_path / "field.zarr",
        progress=lambda f, m: told.append((f, m)), **OPTIONS,
    )  # fmt: skip
    labels = labels_of(result.path)
    field = nc.FlowField.open(result.field)
    size = result.parameters["min_size"]
    np.testing.assert_array_equal(labels, instances(field, min_size=size))
    fractions = [f for f, _ in told]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    whole = nc.segment(stack, OPTIONS["model"], diameter=14, spacing=SPACING)
    assert len(whole.table) == len(result.table) > 5
    near = (whole.labels > 0) == (labels > 0)
    assert near.mean() > 0.999
    assert list(result.table.columns) == list(whole.table.columns)
    for column in ("voxels", "diameter_um", "centroid_z", "bbox_x1", "probability", "disagreement"):
        np.testing.assert_allclose(result.table[column], whole.table[column], rtol=0.1, atol=0.2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["field.zarr", "out.ome.zarr"]
    assert repr(result) == f"<StoreResult: {len(result.table)} cells in '{result.path}'>"


def test_the_store_is_multiscale_and_opens_like_any_other(tmp_path):
    image, _ = blob_volume((10, 40, 272), (2, 1, 1))
    result = segment_store(
        image, tmp_path / "out.ome.zarr", model=Uphill(), diameter=14, spacing=(2, 1, 1)
    )
    cells = result.path / "labels" / "cells"
    levels = sorted(child.name for child in cells.iterdir() if child.is_dir())
    assert levels == ["0", "1"]
    fine, coarse = (zarr.open_array(cells / name, mode="r")[:] for name in levels)
    np.testing.assert_array_equal(coarse, fine[:, ::2, ::2])
    again = tmp_path / "again.ome.zarr"
    nc.write_labels(again, fine, spacing=(2, 1, 1), metadata={})
    ours, theirs = (
        json.loads((path / "zarr.json").read_text())["attributes"]["ome"]
        for path in (result.path, again)
    )
    assert ours == theirs
    volume = nc.read_volume(result.path)
    assert (volume.spacing, volume.shape) == ((2.0, 1.0, 1.0), fine.shape)


def test_a_plane_and_time(tmp_path):
    image, _ = blob_volume((32, 60, 60))
    plane = segment_store(
        image[10], tmp_path / "plane.ome.zarr", model=Uphill(), diameter=14, block=(1, 32, 32)
    )
    assert labels_of(plane.path).shape == (60, 60)
    assert len(plane.table) > 3
    assert "bbox_z0" not in plane.table
    movie = np.stack([image, image[:, ::-1]])
    moved = segment_store(
        movie, tmp_path / "movie.ome.zarr", model=Uphill(), diameter=14, block=(32, 32, 60)
    )
    labels = labels_of(moved.path)
    assert labels.shape == (2, 32, 60, 60)
    assert set(moved.table.index.get_level_values("t")) == {0, 1}
    np.testing.assert_array_equal(np.unique(labels[1])[1:], moved.table.loc[1].index)


def test_blocks_differ_little_from_one_piece(stack, tmp_path):
    fields = []
    for name, block in (("a", (16, 32, 32)), ("b", (64, 128, 128))):
        segment_store(
            stack, tmp_path / f"{name}.ome.zarr", **{**OPTIONS, "block": block},
            field=tmp_path / name,
        )  # fmt: skip
        fields.append(nc.FlowField.open(tmp_path / name))
    far = np.abs(fields[0].flow.astype(float) - fields[1].flow.astype(float))
    covered = np.broadcast_to(fields[1].logits > 0, far.shape)
    assert far[covered].mean() < 0.01


def stopped_after(blocks, stage="running the network"):
    """A progress that stops the run once so many blocks of a stage are done."""
    cancel = threading.Event()

    def report(fraction, message):
        if message.startswith(f"{stage}, block {blocks} of"):
            cancel.set()

    return {"progress": report, "cancel": cancel}


@pytest.mark.parametrize(
    ("blocks", "stage"), [(3, "running the network"), (5, "finding basins"), (2, "writing labels")]
)
def test_a_run_that_was_stopped_goes_on(stack, tmp_path, monkeypatch, blocks, stage):
    output = tmp_path / "out.ome.zarr"
    segment_store(stack, tmp_path / "whole.ome.zarr", **OPTIONS)
    with pytest.raises(Cancelled):
        segment_store(stack, output, **OPTIONS, **stopped_after(blocks, stage))
    assert not output.exists()
    calls = []
    predict = predict_store.predict_block
    monkeypatch.setattr(
        predict_store, "predict_block", lambda job: calls.append(job) or predict(job)
    )
    result = segment_store(stack, output, **OPTIONS)
    assert len(calls) == (2 * 2 * 2 - blocks if stage.startswith("running") else 0)
    np.testing.assert_array_equal(labels_of(output), labels_of(tmp_path / "whole.ome.zarr"))
    assert len(result.table) == labels_of(output).max()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.ome.zarr", "whole.ome.zarr"]


def test_labels_grow_where_it_is_said(stack, tmp_path):
    output = tmp_path / "out.ome.zarr"
    with pytest.raises(Cancelled):
        segment_store(stack, output, **OPTIONS, **stopped_after(3, "writing labels"))
    assert zarr.open_array(growing_labels(output), mode="r")[:].any()


def test_an_unfinished_run_with_other_settings_is_not_mixed_up(stack, tmp_path):
    output = tmp_path / "out.ome.zarr"
    with pytest.raises(Cancelled):
        segment_store(stack, output, **OPTIONS, **stopped_after(3))
    with pytest.raises(InputError, match=r"made with probability=0.5 instead of 0.4: .* overwrite"):
        segment_store(stack, output, **OPTIONS, probability=0.4)
    done = len(list((tmp_path / "out.ome.zarr.partial" / "predict").iterdir()))
    assert done == 3
    result = segment_store(stack, output, **OPTIONS, probability=0.4, overwrite=True)
    assert result.parameters["probability"] == 0.4


def test_an_unfinished_field_with_other_settings_is_replaced_only_when_asked(stack, tmp_path):
    options = {**OPTIONS, "field": tmp_path / "field"}
    with pytest.raises(Cancelled):
        segment_store(stack, tmp_path / "a.ome.zarr", **options, **stopped_after(2))
    options["diameter"] = 12
    with pytest.raises(StorageError, match="of another run"):
        segment_store(stack, tmp_path / "b.ome.zarr", **options)
    result = segment_store(stack, tmp_path / "b.ome.zarr", **options, overwrite=True)
    assert nc.FieldStore.open(tmp_path / "field").recipe["diameter"] == 12
    assert len(result.table) == 18


def test_an_error_in_a_block_keeps_what_is_done(stack, tmp_path, monkeypatch):
    output = tmp_path / "out.ome.zarr"
    predict = predict_store.predict_block

    def full(job):
        if job.core[2].start:
            raise StorageError("the disk is full: free space.")
        return predict(job)

    with monkeypatch.context() as patch:
        patch.setattr(predict_store, "predict_block", full)
        with pytest.raises(StorageError, match="disk is full"):
            segment_store(stack, output, **OPTIONS)
    segment_store(stack, output, **OPTIONS)
    assert labels_of(output).any()


def test_processes_give_the_same_and_a_killed_one_is_survived(tmp_path):
    image, _ = blob_volume((18, 32, 64))
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, image.astype(np.float32))
    options = {"diameter": 14, "block": (18, 32, 16), "spacing": (1, 1, 1), "device": "cpu"}
    segment_store(path, tmp_path / "one.ome.zarr", **options)
    killed = []

    def kill(fraction, message):
        if not killed and "block 1 of" in message:
            workers = [
                child
                for child in psutil.Process().children(recursive=True)
                if "spawn_main" in " ".join(child.cmdline())
            ]
            killed.append(workers[0].pid)
            os.kill(workers[0].pid, signal.SIGKILL)

    segment_store(path, tmp_path / "two.ome.zarr", workers=2, progress=kill, **options)
    assert killed
    np.testing.assert_array_equal(
        labels_of(tmp_path / "one.ome.zarr"), labels_of(tmp_path / "two.ome.zarr")
    )


def test_what_is_there_is_only_replaced_when_asked(stack, tmp_path):
    output = tmp_path / "out.ome.zarr"
    segment_store(stack, output, **OPTIONS)
    before = labels_of(output)
    with pytest.raises(StorageError, match="exists"):
        segment_store(stack, output, **OPTIONS)
    segment_store(stack, output, **OPTIONS, probability=0.9, overwrite=True)
    assert (labels_of(output) > 0).sum() < (before > 0).sum()
    foreign = tmp_path / "foreign.zarr"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine")
    with pytest.raises(StorageError, match="not a label store"):
        segment_store(stack, foreign, **OPTIONS, overwrite=True)
    assert (foreign / "notes.txt").exists()


def test_labels_are_added_to_an_image(tmp_path):
    image, _ = blob_volume((20, 40, 40))
    store = tmp_path / "image.ome.zarr"
    group = zarr.create_group(store)
    array = group.create_array("0", shape=image.shape, dtype="f4", chunks=(20, 40, 40))
    array[:] = image
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
    scale = [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    segment_store(store, store, model=Uphill(), diameter=14)
    assert labels_of(store).any()
    np.testing.assert_array_equal(nc.read_volume(store).load(), image.astype("f4"))
    with pytest.raises(StorageError, match="exists"):
        segment_store(store, store, model=Uphill(), diameter=14)


def test_a_kept_field_is_used_again_and_labelled_again(stack, tmp_path, monkeypatch):
    kept = tmp_path / "field.zarr"
    segment_store(stack, tmp_path / "a.ome.zarr", field=kept, **OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(predict_store, "predict_block", lambda job: pytest.fail("predicted again"))
        segment_store(stack, tmp_path / "b.ome.zarr", field=kept, **OPTIONS, probability=0.3)
    with pytest.raises(StorageError, match="other settings"):
        segment_store(
            stack, tmp_path / "c.ome.zarr", field=kept, **{**OPTIONS, "diameter": 10}
        )  # fmt: skip
    result = relabel_store(kept, tmp_path / "d.ome.zarr", probability=0.3)
    np.testing.assert_array_equal(
        labels_of(tmp_path / "b.ome.zarr"), labels_of(tmp_path / "d.ome.zarr")
    )
    assert (result.field, result.parameters["probability"]) == (kept, 0.3)
    with pytest.raises(InputError, match="no flow field"):
        relabel_store(tmp_path / "a.ome.zarr", tmp_path / "e.ome.zarr")


def test_the_field_may_be_stored_in_8_bits(stack, tmp_path):
    result = segment_store(
        stack, tmp_path / "a.ome.zarr", field=tmp_path / "f", precision="int8", **OPTIONS
    )
    assert nc.FieldStore.open(tmp_path / "f").precision == "int8"
    assert len(result.table) > 5


def test_the_diameter_is_estimated_once_and_kept(stack, tmp_path):
    options = {**OPTIONS, "diameter": None}
    with pytest.raises(Cancelled):
        segment_store(stack, tmp_path / "a.ome.zarr", **options, **stopped_after(1))
    settled = json.loads((tmp_path / "a.ome.zarr.partial" / "settled.json").read_text())
    result = segment_store(stack, tmp_path / "a.ome.zarr", **options)
    assert result.parameters["diameter"] == settled["cells"]
    assert any("diameter of the cells was estimated" in text for text in result.notices)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"block": (16, 32)}, "three"),
        ({"block": (16, 32, 0)}, "three"),
        ({"block": (16, 67, 37), "spacing": SPACING}, None),
        ({"workers": 0}, "workers"),
        ({"workers": 2}, "by its name"),
        ({"scheduler": "tcp://127.0.0.1:9", "model": "builtin"}, "No dask scheduler"),
        ({"scheduler": "tcp://127.0.0.1:9", "workers": 2}, "exclude"),
        ({"fusion": "xy"}, "joins planes"),
        ({"fusion": "nonsense"}, "fusion"),
        ({"precision": "int4"}, "precision"),
        ({"probability": 2}, "probability"),
        ({"diameter": -1}, "diameter"),
        ({"channel": 4}, "channel"),
    ],
)
def test_what_cannot_be_is_told_before_any_work(stack, tmp_path, changed, message):
    if message is None:
        assert len(segment_store(stack, tmp_path / "a.ome.zarr", **{**OPTIONS, **changed}).table)
        return
    with pytest.raises(InputError, match=message):
        segment_store(stack, tmp_path / "a.ome.zarr", **{**OPTIONS, **changed})
    assert not (tmp_path / "a.ome.zarr").exists()


def test_impossible_places_are_told(stack, tmp_path):
    with pytest.raises(InputError, match=r"end the name in \.ome\.zarr"):
        segment_store(stack, tmp_path / "a.tif", **OPTIONS)
    with pytest.raises(StorageError, match="no such folder"):
        segment_store(stack, tmp_path / "nowhere" / "a.ome.zarr", **OPTIONS)
    with pytest.raises(InputError, match="there is no file"):
        segment_store(tmp_path / "nothing.tif", tmp_path / "a.ome.zarr", **OPTIONS)
    (tmp_path / "b.ome.zarr.partial").mkdir()
    (tmp_path / "b.ome.zarr.partial" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="in the way"):
        segment_store(stack, tmp_path / "b.ome.zarr", **OPTIONS)
    (tmp_path / "field").mkdir()
    with pytest.raises(StorageError, match="no flow field"):
        segment_store(stack, tmp_path / "c.ome.zarr", field=tmp_path / "field", **OPTIONS)


def test_an_image_in_memory_stays_in_its_process(tmp_path):
    image, _ = blob_volume((20, 40, 40))
    volume = Volume(image, "zyx")
    with pytest.raises(InputError, match="save it as OME-Zarr"):
        segment_store(volume, tmp_path / "a.ome.zarr", workers=2)
    with pytest.raises(Cancelled):
        segment_store(volume, tmp_path / "a.ome.zarr", model=Uphill(), diameter=14,
                      **stopped_after(1))  # fmt: skip
    segment_store(image[:, ::-1], tmp_path / "a.ome.zarr", model=Uphill(), diameter=14)
    segment_store(image[:, ::-1], tmp_path / "b.ome.zarr", model=Uphill(), diameter=14)
    np.testing.assert_array_equal(
        labels_of(tmp_path / "a.ome.zarr"), labels_of(tmp_path / "b.ome.zarr")
    )


def test_two_runs_do_not_share_a_folder(tmp_path):
    with Work(tmp_path / "a", {"x": 1}), pytest.raises(StorageError, match="Another process"):
        Work(tmp_path / "a", {"x": 1}).__enter__()


def test_a_run_that_did_nothing_leaves_nothing(stack, tmp_path):
    segment_store(stack, tmp_path / "a.zarr", model=BlobNetwork(), diameter=8.0,
                  field=tmp_path / "field")  # fmt: skip
    other = tmp_path / "b.zarr"
    with pytest.raises(StorageError, match="other settings"):
        segment_store(stack, other, model=BlobNetwork(), diameter=9.0, field=tmp_path / "field")
    assert not other.with_name("b.zarr.partial").exists()
    segment_store(stack, other, model=BlobNetwork(), diameter=9.0)


@pytest.mark.parametrize("cells", [float("nan"), 1e308, -5, "x"])
def test_a_field_whose_cells_have_no_size_is_labelled_as_one_that_states_none(
    stack, tmp_path, cells
):
    made = segment_store(stack, tmp_path / "a.zarr", model=BlobNetwork(), diameter=8.0,
                         field=tmp_path / "field")  # fmt: skip
    assert made.field is not None
    file = made.field / "zarr.json"
    document = json.loads(file.read_text())
    document["attributes"]["napari-cellseg-field"]["recipe"]["cells"] = cells
    file.write_text(json.dumps(document))
    assert relabel_store(made.field, tmp_path / "b.zarr").parameters["min_size"] == 15
