import subprocess
import sys

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr

from napari_cellseg import InputError, write_labels
from napari_cellseg.contributions import get_reader, read_layers, sample_embryo, write_labels_layer
from napari_cellseg.sample import sample_path
from napari_cellseg.volume import read_label_file, read_labels, read_volume


def _image(path, axes="ZYX", shape=(4, 20, 30), **metadata):
    data = np.random.default_rng(0).integers(0, 1000, shape).astype(np.uint16)
    sizes = {"PhysicalSizeZ": 2, "PhysicalSizeY": 0.5, "PhysicalSizeX": 0.25}
    tifffile.imwrite(
        path, data, ome=True, photometric="minisblack", metadata={"axes": axes, **sizes, **metadata}
    )
    return data


def test_what_is_not_ours_is_left_to_others(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in ("a.png", "a.zarr", str(tmp_path / "folder"), ["a.tif", "a.png"], []):
        assert get_reader(path) is None
    assert get_reader("a.tif") is read_layers
    assert get_reader(["a.tif", "b.TIFF"]) is read_layers
    zarr.create_array(tmp_path / "a.zarr", data=np.zeros((3, 4)))
    assert get_reader(str(tmp_path / "a.zarr")) is read_layers


def test_an_image_has_scale_units_axis_labels_and_origin(tmp_path):
    data = _image(tmp_path / "a.ome.tif")
    [(layer, attributes, kind)] = read_layers(str(tmp_path / "a.ome.tif"))
    assert kind == "image"
    assert np.array_equal(np.asarray(layer), data)
    assert attributes["name"] == "a"
    assert attributes["scale"] == (2, 0.5, 0.25)
    assert attributes["units"] == ("micrometer",) * 3
    assert attributes["axis_labels"] == ("z", "y", "x")
    low, high = attributes["contrast_limits"]
    assert data.min() <= low < high <= data.max()
    record = attributes["metadata"]["napari-cellseg"]
    again = read_volume(record["source"])
    assert (again.axes, again.spacing) == (record["axes"], record["spacing"])
    assert record["spacing_known"]


def test_channels_become_layers_with_their_names_and_colours(tmp_path):
    data = _image(tmp_path / "a.ome.tif", "TCYX", (3, 2, 20, 30), Channel={"Name": ["DAPI", "GFP"]})
    layers = read_layers(str(tmp_path / "a.ome.tif"))
    assert [attributes["name"] for _, attributes, _ in layers] == ["a DAPI", "a GFP"]
    assert len({attributes["colormap"] for _, attributes, _ in layers}) == 2
    assert layers[1][1]["blending"] == "additive"
    assert layers[1][1]["axis_labels"] == ("t", "y", "x")
    assert layers[1][1]["units"] == ("pixel", "micrometer", "micrometer")
    assert np.array_equal(np.asarray(layers[1][0]), data[:, 1])


def test_rgb_is_one_layer_with_colours_last(tmp_path):
    data = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb", compression="zlib")
    [(layer, attributes, _)] = read_layers(str(tmp_path / "a.tif"))
    assert attributes["rgb"]
    assert len(attributes["scale"]) == 2
    assert "contrast_limits" not in attributes
    assert np.array_equal(np.asarray(layer), data)


def _store(path, levels=3):
    data = np.random.default_rng(0).integers(0, 1000, (4, 64, 80)).astype(np.uint16)
    datasets = [
        {
            "path": str(i),
            "coordinateTransformations": [
                {"type": "scale", "scale": [2.0, 0.5 * 2**i, 0.5 * 2**i]}
            ],
        }
        for i in range(levels)
    ]
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    ome = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    group = zarr.create_group(path, attributes={"ome": ome})
    for i in range(levels):
        group.create_array(str(i), data=np.ascontiguousarray(data[:, :: 2**i, :: 2**i]))
    return data


def test_a_pyramid_opens_as_multiscale_with_its_labels(tmp_path):
    data = _store(tmp_path / "a.ome.zarr")
    labels = (data // 100).astype(np.uint8)
    write_labels(
        tmp_path / "a.ome.zarr", labels, spacing=(2, 0.5, 0.5), metadata={"model": "builtin"}
    )
    (levels, attributes, kind), (found, label_attributes, label_kind) = read_layers(
        str(tmp_path / "a.ome.zarr")
    )
    assert (kind, label_kind) == ("image", "labels")
    assert attributes["multiscale"]
    assert [level.shape for level in levels] == [(4, 64, 80), (4, 32, 40), (4, 16, 20)]
    assert np.array_equal(np.asarray(levels[0]), data)
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.uint32
    assert np.array_equal(found, labels)
    assert label_attributes["name"] == "a cells"
    assert label_attributes["scale"] == attributes["scale"]
    assert label_attributes["metadata"]["napari-cellseg"]["model"] == "builtin"


def test_an_image_opens_although_its_labels_are_damaged(tmp_path):
    data = _store(tmp_path / "a.ome.zarr")
    write_labels(tmp_path / "a.ome.zarr", data.astype(np.uint8))
    (tmp_path / "a.ome.zarr/labels/cells/0/zarr.json").write_text("{")
    [(levels, attributes, _)] = read_layers(str(tmp_path / "a.ome.zarr"))
    assert np.array_equal(np.asarray(levels[0]), data)
    assert "Labels 'cells'" in attributes["metadata"]["napari-cellseg"]["notices"][-1]


@pytest.mark.parametrize("name", ["cells.ome.tif", "cells.ome.zarr"])
def test_our_own_labels_open_as_one_labels_layer(tmp_path, name):
    labels = np.random.default_rng(0).integers(0, 9, (4, 20, 30))
    write_labels(tmp_path / name, labels, spacing=(2, 0.5, 0.5))
    [(found, attributes, kind)] = read_layers(str(tmp_path / name))
    assert kind == "labels"
    assert attributes["name"] == "cells"
    assert np.array_equal(found, labels)


def test_several_images_of_one_shape_are_a_stack(tmp_path):
    planes = []
    for index in range(3):
        planes.append(np.full((20, 30), index, np.uint8))
        tifffile.imwrite(tmp_path / f"{index}.tif", planes[-1])
    paths = [str(tmp_path / f"{index}.tif") for index in range(3)]
    [(stack, attributes, _)] = read_layers(paths)
    assert np.array_equal(np.asarray(stack), planes)
    assert attributes["axis_labels"] == ("z", "y", "x")
    _image(tmp_path / "other.tif")
    assert len(read_layers([*paths, str(tmp_path / "other.tif")])) == 4


def test_opening_a_huge_store_reads_little(tmp_path):
    zarr.create_array(
        tmp_path / "a.zarr", shape=(5000, 5000, 5000), dtype="u2", chunks=(16, 128, 128)
    )
    [(layer, attributes, _)] = read_layers(str(tmp_path / "a.zarr"))
    assert isinstance(layer, da.Array)
    assert attributes["contrast_limits"] == (0, 1)


@pytest.mark.parametrize(
    "values", [np.full((9, 9), 7.0), np.full((9, 9), np.nan), np.eye(9, dtype=bool)]
)
def test_contrast_limits_are_usable_for_any_image(tmp_path, values):
    tifffile.imwrite(tmp_path / "a.tif", values)
    [(_, attributes, _)] = read_layers(str(tmp_path / "a.tif"))
    low, high = attributes["contrast_limits"]
    assert np.isfinite([low, high]).all()
    assert low < high


def test_damaged_files_raise_one_sentence(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\x00")
    reader = get_reader(str(tmp_path / "a.tif"))
    assert reader is not None
    with pytest.raises(InputError):
        reader(str(tmp_path / "a.tif"))


@pytest.mark.parametrize("name", ["a.ome.tif", "a.ome.zarr"])
def test_the_writer_keeps_scale_and_recipe_of_a_real_layer(tmp_path, name):
    layers = pytest.importorskip("napari.layers")
    labels = np.random.default_rng(0).integers(0, 9, (2, 4, 20, 30))
    layer = layers.Labels(
        labels,
        scale=(1, 2000, 500, 250),
        units=("pixel", "nm", "nm", "nm"),
        axis_labels=("t", "z", "y", "x"),
        metadata={"napari-cellseg": {"model": "builtin"}},
    )
    data, attributes, _ = layer.as_layer_data_tuple()
    for _ in range(2):  # napari has asked: the second replaces the first
        assert write_labels_layer(str(tmp_path / name), data, attributes) == [str(tmp_path / name)]
    file = read_label_file(tmp_path / name)
    assert np.array_equal(file.labels, labels)
    assert file.axes == "tzyx"
    assert file.spacing == pytest.approx((2, 0.5, 0.25))
    assert file.metadata["model"] == "builtin"
    [(found, again, kind)] = read_layers(str(tmp_path / name))
    assert kind == "labels"
    assert np.array_equal(layers.Labels(found, **again).data, labels)


def test_the_writer_takes_a_plain_layer_in_pixels(tmp_path):
    labels = np.ones((4, 20, 30), np.uint8)
    write_labels_layer(
        str(tmp_path / "a.tif"), labels, {"scale": (1, 1, 1), "axis_labels": ("-3", "-2", "-1")}
    )
    assert not read_label_file(tmp_path / "a.tif").spacing_known
    write_labels_layer(
        str(tmp_path / "b.tif"), [labels, labels[:, ::2]], {"scale": (2.0, 1.0, 1.0)}
    )
    found, spacing = read_labels(tmp_path / "b.tif")
    assert found.shape == (4, 20, 30)
    assert spacing == (2, 1, 1)


def test_layers_are_accepted_by_napari(tmp_path):
    layers = pytest.importorskip("napari.layers")
    _store(tmp_path / "a.ome.zarr")
    _image(tmp_path / "b.ome.tif", "TZCYX", (2, 3, 2, 20, 30))
    for path in ("a.ome.zarr", "b.ome.tif"):
        for data, attributes, _ in read_layers(str(tmp_path / path)):
            layer = layers.Image(data, **attributes)
            assert str(layer.units[-1]) == "micrometer"


def test_the_sample_is_the_real_stack_with_its_truth():
    (image, attributes, kind), (truth, truth_attributes, truth_kind) = sample_embryo()
    assert (kind, truth_kind) == ("image", "labels")
    assert attributes["name"] == "embryo"
    assert image.shape == truth.shape == (51, 120, 122)
    assert attributes["scale"] == truth_attributes["scale"] == (1.75, 0.8, 0.8)
    assert np.array_equal(np.unique(truth), np.arange(17))
    files = sample_path("embryo")
    assert files.image.stat().st_size + files.truth.stat().st_size < 1_500_000
    assert read_volume(files.image).notices == ()
    with pytest.raises(InputError, match="no sample"):
        sample_path("mammoth")


def test_the_sample_equals_the_shared_original(shared_data):
    files = sample_path("embryo")
    folder = shared_data / "qcanet_mouse_embryo_3d"
    for path, kind in ((files.image, "image"), (files.truth, "label")):
        assert np.array_equal(
            tifffile.imread(path), tifffile.imread(folder / f"16_cell_stage_{kind}.tif")
        )


def test_neither_napari_nor_qt_nor_torch_is_imported(tmp_path):
    _image(tmp_path / "a.tif")
    path = str(tmp_path / "a.tif")
    script = (
        "import sys; from napari_cellseg import contributions as c; "
        f"c.get_reader({path!r})({path!r}); c.sample_embryo(); "
        "assert not {'napari', 'qtpy', 'torch', 'numba'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
