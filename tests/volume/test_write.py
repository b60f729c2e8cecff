import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time

import dask.array as da
import numpy as np
import pytest
import tifffile
import yaozarrs
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellseg import Cancelled, InputError, StorageError, read_volume, write_labels
from napari_cellseg.volume import as_volume, read_label_file, read_labels

NAMES = ["a.tif", "a.ome.tiff", "a.zarr", "a.ome.zarr"]


def _labels(shape=(6, 20, 30), dtype=np.uint32, seed=0):
    return np.random.default_rng(seed).integers(0, 90, shape).astype(dtype)


def _names(folder):
    return sorted(p.name for p in folder.iterdir())


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    dtype=st.sampled_from(["u1", "i2", ">u2", "i4", ">i4", "u4", "i8", "u8"]),
    axes=st.sampled_from(["yx", "zyx", "tyx", "tzyx"]),
    known=st.booleans(),
    chunked=st.booleans(),
)
def test_labels_come_back_with_axes_spacing_and_recipe(
    tmp_path_factory, name, dtype, axes, known, chunked
):
    path = tmp_path_factory.mktemp("labels") / name
    labels = _labels([{"t": 2, "z": 3, "y": 20, "x": 30}[a] for a in axes], dtype)
    spacing = (2.0 if "z" in axes else 1.0, 0.5, 0.25) if known else None
    metadata = {
        "model": "builtin",
        "probability": np.float32(0.5),
        "limits": np.array([1, 2]),
        "µ": "ü<>&",
        "nan": [float("nan")],
    }
    given_labels = da.from_array(labels, chunks=7) if chunked else labels
    assert write_labels(path, given_labels, axes=axes, spacing=spacing, metadata=metadata) == path
    file = read_label_file(path)
    assert file.labels.dtype == np.uint32
    assert np.array_equal(file.labels, labels)
    assert file.axes == axes
    assert file.spacing == (spacing or (1, 1, 1))
    assert file.spacing_known is known
    stored = {"probability": 0.5, "limits": [1, 2], "nan": [None]}
    assert file.metadata == {**metadata, **stored}
    assert _names(path.parent) == [name]


def test_like_gives_axes_and_spacing_and_checks_the_shape(tmp_path):
    volume = as_volume(np.zeros((2, 3, 4, 8, 9)), axes="tczyx", spacing=(2, 1, 0.5))
    labels = _labels((2, 4, 8, 9))
    for name in ("a.tif", "a.ome.zarr"):
        write_labels(tmp_path / name, labels, like=volume)
        file = read_label_file(tmp_path / name)
        assert (file.axes, file.spacing) == ("tzyx", (2, 1, 0.5))
        with pytest.raises(InputError, match=r"\(4, 8, 9\).*\(2, 4, 8, 9\)"):
            write_labels(tmp_path / "b.tif", labels[0], like=volume)
    write_labels(tmp_path / "c.tif", labels, like=volume, spacing=(7, 1, 1))
    assert read_labels(tmp_path / "c.tif")[1] == (7, 1, 1)


def test_others_can_read_the_ome_tiff(tmp_path):
    labels = _labels((2, 3, 20, 30))
    write_labels(tmp_path / "a.tif", labels, spacing=(2, 0.5, 0.25), metadata={"model": "builtin"})
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_ome
        assert file.series[0].axes == "TZYX"
        assert file.pages[0].compression == tifffile.COMPRESSION.ADOBE_DEFLATE
        pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
        assert [pixels[f"PhysicalSize{a}"] for a in "ZYX"] == [2, 0.5, 0.25]
        assert pixels["PhysicalSizeZUnit"] == "µm"
        assert np.array_equal(file.asarray(), labels)


@pytest.mark.filterwarnings("ignore::yaozarrs._validation_warning.ValidationWarning")
@pytest.mark.parametrize("spacing", [None, (2, 0.5, 0.25)])
def test_others_can_read_the_ome_zarr(tmp_path, spacing):
    labels = _labels((5, 600, 700))
    path = write_labels(tmp_path / "a.ome.zarr", labels, spacing=spacing)
    for where in (path, path / "labels", path / "labels/cells"):
        yaozarrs.validate_zarr_store(where)
    group = zarr.open_group(path / "labels/cells", mode="r")
    ome = group.attrs["ome"]
    assert ome["version"] == "0.5"
    assert "image-label" in ome
    multiscale = ome["multiscales"][0]
    assert [axis["name"] for axis in multiscale["axes"]] == ["z", "y", "x"]
    assert [axis.get("unit") for axis in multiscale["axes"]] == [
        ("micrometer" if spacing else None)
    ] * 3
    assert len(multiscale["datasets"]) == 3
    for dataset in multiscale["datasets"]:
        scale = dataset["coordinateTransformations"][0]["scale"]
        step = [round(s / o) for s, o in zip(scale, spacing or (1, 1, 1), strict=True)]
        array = group[dataset["path"]]
        # Every voxel of a coarse level is a voxel of the finest: no id is invented.
        assert np.array_equal(array[:], labels[:: step[0], :: step[1], :: step[2]])
        assert array.dtype == np.uint32
        assert "blosc" in str(array.compressors).lower()
    volume = read_volume(path)
    assert np.array_equal(np.asarray(volume.data), labels)


def test_empty_chunks_are_not_stored(tmp_path):
    write_labels(tmp_path / "a.zarr", np.zeros((4, 600, 600), np.uint8))
    assert not list((tmp_path / "a.zarr/labels/cells/0").rglob("c/*/*/*"))
    assert read_labels(tmp_path / "a.zarr")[0].max() == 0


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.zeros((4, 5)), "type float64"),
        (np.zeros((4, 5), bool), "type bool"),
        (np.zeros((4, 5), complex), "complex"),
        (np.full((4, 5), -3), "negative value -3"),
        (np.full((4, 5), 2**33), "more than 32 bits"),
        (np.full((4, 5), 2**63, "u8"), "more than 32 bits"),
        (np.zeros((0, 5), int), "shape"),
        (np.zeros(5, int), "shape"),
        (np.zeros((1, 1, 1, 4, 5), int), "shape"),
        ([["a"]], "type"),
        (None, "type"),
    ],
)
@pytest.mark.parametrize("name", ["a.tif", "a.zarr"])
def test_what_are_no_labels_is_refused_and_nothing_is_left(tmp_path, name, labels, said):
    with pytest.raises(InputError, match=said):
        write_labels(tmp_path / name, labels)
    assert _names(tmp_path) == []


@pytest.mark.parametrize(
    "options",
    [
        {"spacing": (0, 1, 1)},
        {"spacing": (1, 1)},
        {"axes": "zy"},
        {"axes": "yxz"},
        {"axes": "cyx"},
        {"metadata": {"a": object()}},
    ],
    ids=str,
)
def test_other_bad_input_is_refused_before_writing(tmp_path, options):
    with pytest.raises(InputError):
        write_labels(tmp_path / "a.tif", _labels(), **options)
    assert _names(tmp_path) == []


@pytest.mark.parametrize("name", ["a.png", "a", "a.zarr.zip", ""])
def test_unknown_suffixes_are_named(tmp_path, name):
    with pytest.raises(InputError, match=r"ome\.zarr"):
        write_labels(tmp_path / name, _labels())
    with pytest.raises(InputError, match="path"):
        write_labels(None, _labels())


@pytest.mark.parametrize("name", ["a.tif", "a.ome.zarr"])
def test_labels_are_replaced_only_when_asked(tmp_path, name):
    write_labels(tmp_path / name, _labels(seed=1))
    with pytest.raises(StorageError, match="overwrite=True"):
        write_labels(tmp_path / name, _labels(seed=2))
    assert np.array_equal(read_labels(tmp_path / name)[0], _labels(seed=1))
    write_labels(tmp_path / name, _labels((4, 5), seed=2), overwrite=True)
    assert np.array_equal(read_labels(tmp_path / name)[0], _labels((4, 5), seed=2))
    assert _names(tmp_path) == [name]


def test_images_and_strange_folders_are_never_replaced(tmp_path):
    tifffile.imwrite(
        tmp_path / "image.tif", np.ones((6, 20, 30), np.uint8), metadata={"axes": "ZYX"}
    )
    volume = read_volume(tmp_path / "image.tif")
    with pytest.raises(StorageError, match="image itself"):
        write_labels(tmp_path / "image.tif", _labels(), like=volume, overwrite=True)
    (tmp_path / "folder.zarr").mkdir()
    (tmp_path / "folder.zarr/precious").write_text("x")
    (tmp_path / "folder.tif").mkdir()
    zarr.create_array(tmp_path / "array.zarr", data=np.ones((3, 4)))
    (tmp_path / "file.zarr").write_text("x")
    before = _names(tmp_path)
    for name in ("folder.zarr", "array.zarr", "file.zarr", "folder.tif"):
        with pytest.raises(StorageError):
            write_labels(tmp_path / name, _labels(), overwrite=True)
    assert (tmp_path / "folder.zarr/precious").read_text() == "x"
    assert _names(tmp_path) == before


def _image_store(path, version=3):
    scale = [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]
    multiscale = {
        "axes": [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"],
        "datasets": [{"path": "0", "coordinateTransformations": scale}],
    }
    ome = {"version": "0.5", "multiscales": [multiscale]}
    attributes = (
        {"ome": ome} if version == 3 else {"multiscales": [{**multiscale, "version": "0.4"}]}
    )
    group = zarr.create_group(path, zarr_format=version, attributes=attributes)
    names = tuple("zyx") if version == 3 else None
    group.create_array("0", data=np.ones((6, 20, 30), np.uint16), dimension_names=names)
    return path


@pytest.mark.filterwarnings("ignore::yaozarrs._validation_warning.ValidationWarning")
def test_labels_are_added_to_the_store_of_an_image(tmp_path):
    path = _image_store(tmp_path / "image.ome.zarr")
    volume = read_volume(path)
    write_labels(path, _labels(seed=1), like=volume)
    yaozarrs.validate_zarr_store(path)
    with pytest.raises(StorageError, match="overwrite=True"):
        write_labels(path, _labels(seed=2), like=volume)
    assert np.array_equal(read_labels(path)[0], _labels(seed=1))
    write_labels(path, _labels(seed=2), like=volume, overwrite=True)
    assert np.array_equal(read_labels(path)[0], _labels(seed=2))
    assert np.array_equal(np.asarray(read_volume(path).data), np.ones((6, 20, 30)))
    assert _names(path) == ["0", "labels", "zarr.json"]
    assert _names(path / "labels") == ["cells", "zarr.json"]


def test_labels_join_others_in_a_store(tmp_path):
    path = _image_store(tmp_path / "image.ome.zarr")
    write_labels(path, _labels(seed=1))
    os.rename(path / "labels/cells", path / "labels/nuclei")
    document = json.loads((path / "labels/zarr.json").read_text())
    document["attributes"]["ome"]["labels"] = ["nuclei"]
    (path / "labels/zarr.json").write_text(json.dumps(document))
    write_labels(path, _labels(seed=2))
    listed = json.loads((path / "labels/zarr.json").read_text())["attributes"]["ome"]["labels"]
    assert listed == ["nuclei", "cells"]
    assert np.array_equal(read_labels(path)[0], _labels(seed=2))
    assert np.array_equal(read_labels(path / "labels/nuclei")[0], _labels(seed=1))


def test_a_label_store_with_labels_of_others_is_left_alone(tmp_path):
    path = write_labels(tmp_path / "a.ome.zarr", _labels(seed=1))
    shutil.copytree(path / "labels/cells", path / "labels/nuclei")
    with pytest.raises(StorageError, match="nuclei"):
        write_labels(path, _labels(seed=2), overwrite=True)
    assert np.array_equal(read_labels(path)[0], _labels(seed=1))


def test_a_store_of_the_old_version_is_left_alone(tmp_path):
    path = _image_store(tmp_path / "image.ome.zarr", version=2)
    with pytest.raises(StorageError, match=r"0\.4"):
        write_labels(path, _labels(), overwrite=True)
    assert read_volume(path).shape == (6, 20, 30)


@pytest.mark.parametrize("name", ["a.tif", "a.ome.zarr"])
def test_a_full_disk_leaves_the_old_labels_and_nothing_else(tmp_path, monkeypatch, name):
    write_labels(tmp_path / name, _labels(seed=1))
    full = OSError(errno.ENOSPC, "No space left on device")

    def fail(*args, **options):
        raise full

    if name == "a.tif":
        monkeypatch.setattr(tifffile.FileHandle, "write", fail)
    else:
        monkeypatch.setattr(zarr.Array, "__setitem__", fail)
    for overwrite, target in ((True, name), (False, f"new{name}")):
        with pytest.raises(StorageError, match="No space left on device"):
            write_labels(tmp_path / target, _labels(seed=2), overwrite=overwrite)
    monkeypatch.undo()
    assert _names(tmp_path) == [name]
    assert np.array_equal(read_labels(tmp_path / name)[0], _labels(seed=1))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on file sizes")
@pytest.mark.parametrize("name", ["a.tif", "a.ome.zarr"])
def test_a_system_that_refuses_more_bytes_leaves_the_old_labels(tmp_path, name):
    target = tmp_path / name
    write_labels(target, _labels(seed=1))
    script = textwrap.dedent(f"""
        import resource, signal
        import numpy as np
        from napari_cellseg import StorageError, write_labels

        labels = np.random.default_rng(0).integers(0, 2**31, (64, 200, 200))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            write_labels({str(target)!r}, labels, overwrite=True)
        except StorageError as error:
            assert "nothing was changed" in str(error), error
        else:
            raise SystemExit("it was written all the same")
        """)
    subprocess.run([sys.executable, "-c", script], check=True)
    assert _names(tmp_path) == [name]
    assert np.array_equal(read_labels(target)[0], _labels(seed=1))


@pytest.mark.parametrize("name", ["a.tif", "a.ome.zarr"])
def test_cancelling_leaves_the_old_labels_and_nothing_else(tmp_path, name):
    write_labels(tmp_path / name, _labels(seed=1))
    cancel = threading.Event()

    class Cancelling:
        shape, dtype, ndim = (200, 600, 700), np.dtype("u4"), 3

        def __getitem__(self, key):
            cancel.set()
            return np.zeros(self.shape, "u4")[key]

    with pytest.raises(Cancelled, match="nothing was written"):
        write_labels(tmp_path / name, Cancelling(), overwrite=True, cancel=cancel)
    with pytest.raises(Cancelled):
        write_labels(tmp_path / f"new{name}", _labels(), cancel=cancel)
    assert _names(tmp_path) == [name]
    assert np.array_equal(read_labels(tmp_path / name)[0], _labels(seed=1))


@pytest.mark.parametrize("name", ["a.tif", "a.ome.zarr"])
def test_a_place_that_cannot_be_written_is_named(tmp_path, name):
    (tmp_path / "file").write_text("x")
    for folder in ("missing", "file"):
        with pytest.raises(StorageError, match=r"cannot be written"):
            write_labels(tmp_path / folder / name, _labels())
    assert _names(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["a.tif", "a.ome.zarr"])
def test_a_killed_writer_leaves_the_old_labels(tmp_path, name):
    target = tmp_path / name
    write_labels(target, _labels(seed=1))
    script = textwrap.dedent(f"""
        import sys, time
        import numpy as np
        from napari_cellseg import write_labels

        class Slow:
            shape, dtype, ndim = (640, 64, 64), np.dtype("u4"), 3
            def __getitem__(self, key):
                print("reading", flush=True)
                time.sleep(0.02)
                return np.ones(self.shape, "u4")[key]

        write_labels({str(target)!r}, Slow(), overwrite=True)
        """)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline() == b"reading\n"
    time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert np.array_equal(read_labels(target)[0], _labels(seed=1))
    left = [one for one in _names(tmp_path) if one != name]
    assert all(one.startswith(f".{name}.") and one.endswith(".partial") for one in left)
    write_labels(target, _labels(seed=2), overwrite=True)
    assert np.array_equal(read_labels(target)[0], _labels(seed=2))
