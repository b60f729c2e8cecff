import io
import json
import logging
import os
import re
import tempfile
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_cellseg import InputError, read_volume

DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "?"]
KINDS = {
    "plain": {},
    "plain without metadata": {"metadata": None},
    "zlib": {"compression": "zlib"},
    "lzw tiles": {"compression": "lzw", "tile": (16, 16)},
    "zstd predictor": {"compression": "zstd", "predictor": True},
    "single-row strips": {"compression": "zlib", "rowsperstrip": 1},
    "tiles": {"tile": (16, 16)},
    "BigTIFF": {"bigtiff": True},
    "OME": {"ome": True, "metadata": {"axes": "ZYX"}, "compression": "zlib"},
    "ImageJ": {"imagej": True, "metadata": {"axes": "ZYX"}},
}


def _array(shape, dtype, seed=0):
    values = np.random.default_rng(seed).integers(0, 100, shape)
    return (values > 50) if dtype == "?" else values.astype(dtype)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    dtype=st.sampled_from(DTYPES),
    order=st.sampled_from("<>"),
    kind=st.sampled_from(["plain", "zlib", "lzw tiles", "BigTIFF", "single-row strips"]),
    shape=st.sampled_from([(7, 9), (3, 20, 33), (2, 3, 20, 17), (1, 1), (1, 5, 6)]),
)
def test_every_type_and_byte_order_comes_back(dtype, order, kind, shape):
    if dtype == "?" and "tile" in KINDS[kind]:
        return  # tifffile does not write packed bits in tiles
    data = _array(shape, dtype)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.tif")
        tifffile.imwrite(path, data, byteorder=order, photometric="minisblack", **KINDS[kind])
        volume = read_volume(path)
        assert volume.dtype == np.dtype(dtype)
        assert volume.dtype.isnative
        assert (
            volume.axes
            == {2: "yx", 3: "zyx", 4: "tzyx"}[np.squeeze(data).ndim if data.size > 1 else 2]
        )
        got = np.asarray(volume.data)
        del volume
    assert np.array_equal(got, data.reshape(got.shape))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back_with_z(tmp_path, kind):
    data = _array((5, 40, 50), "u2")
    tifffile.imwrite(tmp_path / "a.tif", data, **KINDS[kind])
    volume = read_volume(tmp_path / "a.tif")
    assert (volume.axes, volume.name, volume.source) == ("zyx", "a", tmp_path / "a.tif")
    assert np.array_equal(np.asarray(volume.data), data)
    assert np.array_equal(np.asarray(volume.data[2, 3:9, 4:8]), data[2, 3:9, 4:8])
    assumed = any(text.startswith("Axes") for text in volume.notices)
    assert assumed is (kind not in ("OME", "ImageJ"))


@pytest.mark.parametrize("axes", ["TZCYX", "TCYX", "CYX", "ZCYX", "TYX"])
@pytest.mark.parametrize("flavour", ["imagej", "ome"])
def test_axes_stated_by_the_file_are_put_in_order(tmp_path, axes, flavour):
    sizes = {"T": 2, "Z": 4, "C": 3, "Y": 12, "X": 15}
    data = _array([sizes[a] for a in axes], "u2")
    tifffile.imwrite(
        tmp_path / "a.tif",
        data,
        metadata={"axes": axes},
        photometric="minisblack",
        **{flavour: True},
    )
    volume = read_volume(tmp_path / "a.tif")
    expected = "".join(a for a in "tczyx" if a.upper() in axes)
    assert volume.axes == expected
    assert volume.notices == tuple(text for text in volume.notices if text.startswith("Spacing"))
    order = [axes.index(a.upper()) for a in expected]
    assert np.array_equal(np.asarray(volume.data), data.transpose(order))


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("um", 1),
        ("micron", 1),
        ("\\u00B5m", 1),
        ("nm", 1e-3),
        ("mm", 1e3),
        ("cm", 1e4),
        ("inch", 25400),
    ],
)
def test_imagej_spacing_and_unit(tmp_path, unit, factor):
    y, x, z = 0.5 / factor, 0.25 / factor, 2 / factor
    tifffile.imwrite(
        tmp_path / "a.tif", _array((3, 8, 9), "u2"), imagej=True, resolution=(1 / x, 1 / y),
        metadata={"axes": "ZYX", "spacing": z, "unit": unit},
    )  # fmt: skip
    volume = read_volume(tmp_path / "a.tif")
    assert volume.spacing == pytest.approx((2, 0.5, 0.25), rel=1e-5)
    assert volume.spacing_known
    assert volume.notices == ()


def test_imagej_without_a_unit_gives_the_ratio_and_says_so(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        _array((3, 8, 9), "u2"),
        imagej=True,
        metadata={"axes": "ZYX", "spacing": 2.18},
    )
    volume = read_volume(tmp_path / "a.tif")
    assert volume.spacing == pytest.approx((2.18, 1, 1))
    assert not volume.spacing_known
    assert "2.18 : 1 : 1" in volume.notices[0]


@pytest.mark.parametrize("spacing", [0, -2, float("nan")])
def test_impossible_spacing_in_the_file_is_ignored_with_a_notice(tmp_path, spacing):
    tifffile.imwrite(
        tmp_path / "a.tif", _array((3, 8, 9), "u2"), imagej=True, resolution=(2, 2),
        metadata={"axes": "ZYX", "spacing": spacing, "unit": "um"},
    )  # fmt: skip
    volume = read_volume(tmp_path / "a.tif")
    assert (volume.spacing, volume.spacing_known) == ((1, 1, 1), False)
    assert "is ignored" in volume.notices[0]


def test_ome_physical_sizes_and_channel_names(tmp_path):
    metadata = {
        "axes": "ZCYX", "PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5,
        "PhysicalSizeZ": 0.002, "PhysicalSizeZUnit": "mm", "Channel": {"Name": ["DAPI", "GFP"]},
    }  # fmt: skip
    tifffile.imwrite(tmp_path / "a.ome.tif", _array((3, 2, 8, 9), "u2"), metadata=metadata)
    volume = read_volume(tmp_path / "a.ome.tif")
    assert volume.name == "a"
    assert volume.spacing == pytest.approx((2, 0.5, 0.25))
    assert (volume.axes, volume.channels) == ("czyx", ("DAPI", "GFP"))
    assert volume.notices == ()
    assert np.array_equal(volume.load("GFP"), tifffile.imread(tmp_path / "a.ome.tif")[:, 1])


def test_the_first_of_several_series_is_used_with_a_notice(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        writer.write(_array((3, 8, 9), "u2"), metadata={"axes": "ZYX"})
        writer.write(_array((20, 21), "u2"), metadata={"axes": "YX"})
    volume = read_volume(tmp_path / "a.ome.tif")
    assert volume.shape == (3, 8, 9)
    assert "holds 2 images" in volume.notices[0]


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_rgb(tmp_path, planar):
    data = _array((20, 30, 3), "u1")
    stored = data if planar == "contig" else np.moveaxis(data, -1, 0)
    tifffile.imwrite(
        tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar, compression="zlib"
    )
    volume = read_volume(tmp_path / "a.tif")
    assert (volume.rgb, volume.axes, volume.n_channels) == (True, "cyx", 1)
    assert np.array_equal(np.asarray(volume.stack()), data)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_samples_that_are_no_colours_are_channels(tmp_path, count):
    data = _array((20, 30, count), "u1")
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", planarconfig="contig")
    volume = read_volume(tmp_path / "a.tif")
    assert (volume.rgb, volume.axes, volume.n_channels) == (False, "cyx", count)
    assert np.array_equal(np.moveaxis(np.asarray(volume.data), 0, -1), data)


def test_an_rgb_stack_keeps_z(tmp_path):
    data = _array((4, 20, 30, 3), "u1")
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb")
    volume = read_volume(tmp_path / "a.tif")
    assert (volume.rgb, volume.axes, volume.label_shape) == (True, "czyx", (4, 20, 30))
    assert np.array_equal(np.asarray(volume.stack()), data)


def test_plain_resolution_tags_count_only_if_they_can_be_a_microscope_s(tmp_path):
    image = _array((8, 9), "u1")
    tifffile.imwrite(
        tmp_path / "a.tif", image, resolution=(1e4 / 0.5, 1e4 / 0.25), resolutionunit="CENTIMETER"
    )
    tifffile.imwrite(tmp_path / "b.tif", image, resolution=(72, 72), resolutionunit="INCH")
    assert read_volume(tmp_path / "a.tif").spacing == pytest.approx((1, 0.25, 0.5))
    assert not read_volume(tmp_path / "b.tif").spacing_known


def test_given_axes_and_spacing_win(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", _array((3, 8, 9), "u1"), photometric="minisblack")
    volume = read_volume(tmp_path / "a.tif", axes="cyx", spacing=(0.5, 0.5))
    assert (volume.axes, volume.spacing, volume.notices) == ("cyx", (1, 0.5, 0.5), ())
    with pytest.raises(InputError, match="axes='tzyx' names 4"):
        read_volume(tmp_path / "a.tif", axes="tzyx")
    with pytest.raises(InputError, match="spacing"):
        read_volume(tmp_path / "a.tif", spacing=(1, 1))


def test_five_dimensions_without_axes_ask_for_them(tmp_path):
    data = _array((2, 2, 3, 8, 9), "u1")
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack")
    with pytest.raises(InputError, match="pass axes"):
        read_volume(tmp_path / "a.tif")
    assert read_volume(tmp_path / "a.tif", axes="tczyx").sizes == dict(
        zip("tczyx", data.shape, strict=True)
    )


def test_a_stack_that_calls_itself_channels_is_taken_as_z(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", _array((30, 8, 9), "u1"), imagej=True)
    volume = read_volume(tmp_path / "a.tif")
    assert volume.axes == "zyx"
    assert "30 channels" in volume.notices[0]
    assert read_volume(tmp_path / "a.tif", axes="cyx").axes == "cyx"


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"byteorder": ">"}], ids=str)
def test_opening_reads_no_voxels(tmp_path, monkeypatch, options):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, _array((50, 64, 64), "u2"), **options)
    read = []
    original = tifffile.FileHandle.read

    def counting(self, size=-1, /):
        content = original(self, size)
        read.append(len(content))
        return content

    monkeypatch.setattr(tifffile.FileHandle, "read", counting)
    volume = read_volume(path)
    assert read
    assert sum(read) < 50_000, "more than headers was read"
    assert isinstance(volume.data, np.memmap if not options else da.Array)


def test_a_sparse_file_larger_than_memory_opens_at_once(tmp_path):
    path = tmp_path / "huge.tif"
    header = tifffile.memmap(path, shape=(5, 64, 64), dtype=np.uint8, bigtiff=True)
    offset = header.offset
    del header
    planes = 200_000_000  # about 0.8 TB, without a block on the disk
    with tifffile.TiffFile(path, mode="r+b") as file:
        tags = file.pages[0].tags
        tags["ImageDescription"].overwrite(json.dumps({"shape": [planes, 64, 64]}))
    try:
        os.truncate(path, offset + planes * 64 * 64)
    except OSError:
        pytest.skip("this file system holds no sparse files of that size")
    volume = read_volume(path)
    assert volume.shape == (planes, 64, 64)
    assert int(volume.data[planes - 1].sum()) == 0
    with pytest.raises(InputError, match="memory"):
        volume.load()


def test_files_are_not_kept_open_and_tifffile_says_nothing(tmp_path, capfd):
    tifffile.imwrite(tmp_path / "a.tif", _array((9, 64, 64), "u2"), compression="zlib")
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    volumes = [read_volume(tmp_path / "a.tif") for _ in range(20)]
    assert all(int(volume.data.max()) > 0 for volume in volumes)
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before + 1
    (tmp_path / "b.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:5000])
    with pytest.raises(InputError):
        read_volume(tmp_path / "b.tif")
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("tifffile").filters == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_truncation_is_one_sentence_and_never_wrong_voxels(tmp_path, kind):
    data = _array((5, 40, 50), "u2")
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, data, **KINDS[kind])
    whole = buffer.getvalue()
    path = tmp_path / "a.tif"
    messages = []
    for size in [*range(0, len(whole), max(1, len(whole) // 25)), len(whole) - 1]:
        path.write_bytes(whole[:size])
        try:
            got = np.asarray(read_volume(path).data)
        except InputError as error:
            messages.append(str(error))
        else:  # only bytes after the voxels were lost
            assert np.array_equal(got, data)
    assert len(messages) >= 24
    assert all(re.fullmatch(r"[^<\n]+\.", message) for message in messages)


def test_damaged_voxels_are_reported_when_they_are_read(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, _array((5, 40, 50), "u2"), compression="zlib")
    with tifffile.TiffFile(path) as file:
        offset = file.pages[2].dataoffsets[0]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 64)
    volume = read_volume(path)
    assert volume.data[0].compute().shape == (40, 50)
    with pytest.raises(InputError, match=r"'a.tif' is damaged or incomplete"):
        volume.load()


def test_shared_images_open_with_what_they_state(shared_data):
    expected = {
        "qcanet_mouse_embryo_3d/16_cell_stage": ("zyx", (1.75, 0.8, 0.8)),
        "plantseg_ovule_membrane_3d/ovule_membrane": ("zyx", (0.235, 0.15, 0.15)),
        "t98g_phase_timelapse_SILVER/t00-17": ("tyx", None),
        "stardist_samples/worm3d": ("zyx", None),
        "usiigaci_phase/set01": ("yx", None),
    }
    for name, (axes, spacing) in expected.items():
        volume = read_volume(shared_data / f"{name}_image.tif")
        assert volume.axes == axes
        assert volume.spacing == (spacing or (1, 1, 1))
        assert volume.spacing_known is (spacing is not None)
    colour = next((shared_data / "dsb2018/histo-colour").glob("*_image.tif"))
    assert read_volume(colour).rgb
