import json
import shutil

import numpy as np
import pytest
import zarr

from napari_cellseg import InputError, read_volume
from napari_cellseg.volume import read_labels

TYPES = {"t": "time", "c": "channel"}


def write_ome(
    path, data, axes, scale, *, version="0.5", unit="micrometer", extra=None, top=None, levels=1
):
    """A small OME-Zarr image, as another program might write it."""
    described = []
    for name in axes:
        axis = {"name": name, "type": TYPES.get(name, "space")}
        if unit and name in "zyx":
            axis["unit"] = unit
        described.append(axis)
    datasets = []
    for level in range(levels):
        factor = [2**level if a in "yx" else 1 for a in axes]
        datasets.append(
            {
                "path": f"s{level}",
                "coordinateTransformations": [
                    {
                        "type": "scale",
                        "scale": [float(s * f) for s, f in zip(scale, factor, strict=True)],
                    }
                ],
            }
        )
    multiscale = {"axes": described, "datasets": datasets}
    if top:
        multiscale["coordinateTransformations"] = [{"type": "scale", "scale": top}]
    ome = {"multiscales": [multiscale], **(extra or {})}
    if version == "0.5":
        attributes = {"ome": {"version": "0.5", **ome}}
    else:
        multiscale["version"] = version
        attributes = ome
    group = zarr.create_group(path, zarr_format=3 if version == "0.5" else 2, attributes=attributes)
    for level in range(levels):
        step = tuple(slice(None, None, 2**level) if a in "yx" else slice(None) for a in axes)
        group.create_array(f"s{level}", data=np.ascontiguousarray(data[step]))
    return path


def _data(axes, dtype="u2"):
    sizes = {"t": 2, "c": 3, "z": 4, "y": 12, "x": 14}
    shape = [sizes[a] for a in axes]
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["yx", "zyx", "tyx", "czyx", "tczyx"])
def test_both_versions_with_their_axes_and_spacing(tmp_path, version, axes):
    data = _data(axes)
    scale = [{"t": 10, "c": 1, "z": 2, "y": 0.5, "x": 0.25}[a] for a in axes]
    volume = read_volume(
        write_ome(tmp_path / "a.ome.zarr", data, axes, scale, version=version, levels=2)
    )
    assert volume.axes == axes
    assert volume.name == "a"
    assert volume.spacing == (2 if "z" in axes else 1, 0.5, 0.25)
    assert volume.spacing_known
    assert volume.notices == ()
    assert np.array_equal(np.asarray(volume.data), data)


def test_units_and_a_scale_for_all_levels_combine(tmp_path):
    path = write_ome(
        tmp_path / "a.zarr",
        _data("zyx"),
        "zyx",
        (1, 0.5, 0.5),
        unit="nanometer",
        top=[2000.0, 1000.0, 500.0],
    )
    assert read_volume(path).spacing == pytest.approx((2, 0.5, 0.25))


@pytest.mark.parametrize(
    ("unit", "scale", "spacing", "known", "said"),
    [
        (None, (2, 0.5, 0.5), (2, 0.5, 0.5), True, "µm is assumed"),
        (None, (1, 1, 1), (1, 1, 1), False, "not stated"),
        (None, (3, 1, 1), (3, 1, 1), False, "3 : 1 : 1"),
        ("furlong", (2, 1, 1), (1, 1, 1), False, "not understood"),
        ("micrometer", (0, 1, 1), (1, 1, 1), False, "ignored"),
        ("micrometer", (-2, 1, 1), (1, 1, 1), False, "ignored"),
    ],
)
def test_doubtful_spacing_is_said(tmp_path, unit, scale, spacing, known, said):
    volume = read_volume(write_ome(tmp_path / "a.zarr", _data("zyx"), "zyx", scale, unit=unit))
    assert (volume.spacing, volume.spacing_known) == (spacing, known)
    assert said in " ".join(volume.notices)


def test_channel_names_come_from_the_rendering_hints_even_if_these_are_not_valid(tmp_path):
    omero = {
        "omero": {"channels": [{"label": "DAPI"}, {"label": "GFP"}, {"label": "RFP", "color": 3}]}
    }
    path = write_ome(tmp_path / "a.zarr", _data("cyx"), "cyx", (1, 1, 1), extra=omero)
    assert read_volume(path).channels == ("DAPI", "GFP", "RFP")


def test_the_first_image_of_a_collection_is_used_with_a_notice(tmp_path):
    zarr.create_group(tmp_path / "a.zarr", zarr_format=2, attributes={"bioformats2raw.layout": 3})
    for name in "01":
        write_ome(
            tmp_path / "a.zarr" / name, _data("zyx") + int(name), "zyx", (1, 1, 1), version="0.4"
        )
    volume = read_volume(tmp_path / "a.zarr")
    assert int(volume.data[0, 0, 0]) == 0
    assert "holds 2 images" in volume.notices[0]
    assert int(read_volume(tmp_path / "a.zarr/1").data[0, 0, 0]) == 1


def _attributes(path, change):
    document = json.loads((path / "zarr.json").read_text())
    change(document["attributes"]["ome"])
    (path / "zarr.json").write_text(json.dumps(document))


BREAKS = {
    "no level": lambda ome: ome["multiscales"][0].update(datasets=[]),
    "no image": lambda ome: ome.update(multiscales=[]),
    "no list": lambda ome: ome.update(multiscales={}),
    "null image": lambda ome: ome.update(multiscales=[None]),
    "no axes": lambda ome: ome["multiscales"][0].pop("axes"),
    "too few axes": lambda ome: ome["multiscales"][0]["axes"].pop(),
    "no scale": lambda ome: ome["multiscales"][0]["datasets"][0].pop("coordinateTransformations"),
    "short scale": lambda ome: ome["multiscales"][0]["datasets"][0]["coordinateTransformations"][
        0
    ].update(scale=[1]),
    "missing array": lambda ome: ome["multiscales"][0]["datasets"][0].update(path="elsewhere"),
    "array outside": lambda ome: ome["multiscales"][0]["datasets"][0].update(path="../../b.zarr"),
    "old version": lambda ome: ome["multiscales"][0].update(version="0.2"),
    "a plate": lambda ome: (ome.pop("multiscales"), ome.update(plate={})),
}


@pytest.mark.parametrize("name", BREAKS)
def test_metadata_that_cannot_be_used_are_one_sentence(tmp_path, name):
    path = write_ome(tmp_path / "a.zarr", _data("zyx"), "zyx", (1, 1, 1))
    _attributes(path, BREAKS[name])
    with pytest.raises(InputError) as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)
    assert "'a.zarr'" in str(caught.value)


def test_a_missing_coarser_level_does_not_matter_and_wrong_dimensions_do(tmp_path):
    path = write_ome(tmp_path / "a.zarr", _data("zyx"), "zyx", (1, 1, 1), levels=2)
    shutil.rmtree(path / "s1")
    assert read_volume(path).shape == (4, 12, 14)
    shutil.rmtree(path / "s0")
    zarr.open_group(path).create_array("s0", data=np.zeros((4, 5)))
    with pytest.raises(InputError, match="3 axes"):
        read_volume(path)


def test_labels_inside_an_image_are_found_by_read_labels_only(tmp_path):
    path = write_ome(tmp_path / "a.zarr", _data("zyx"), "zyx", (2, 1, 1))
    labels = zarr.open_group(path).create_group(
        "labels", attributes={"ome": {"version": "0.5", "labels": ["nuclei"]}}
    )
    assert labels.path == "labels"
    image_label = {"image-label": {"source": {"image": "../../"}}}
    truth = (_data("zyx") // 100).astype("i4")
    write_ome(path / "labels/nuclei", truth, "zyx", (2, 1, 1), extra=image_label)
    assert read_volume(path).dtype == np.uint16
    for where in (path, path / "labels", path / "labels/nuclei"):
        found, spacing = read_labels(where)
        assert found.dtype == np.uint32
        assert np.array_equal(found, truth)
        assert spacing == (2, 1, 1)
    write_ome(path / "labels/other", truth, "zyx", (2, 1, 1), extra=image_label)
    with pytest.raises(InputError, match="'nuclei', 'other'"):
        read_labels(path)
    write_ome(path / "labels/cells", truth + 1, "zyx", (2, 1, 1), extra=image_label)
    assert np.array_equal(read_labels(path)[0], truth + 1)
