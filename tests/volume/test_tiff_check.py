import resource

import numpy as np
import pytest
import tifffile

from napari_cellseg import InputError, read_volume


def _lie(path, **tags):
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name, value in tags.items():
            file.pages[0].tags[name].overwrite(value)


@pytest.mark.parametrize("compression", [None, "zlib", "zstd", "lzma", "lzw", "packbits"])
@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_a_page_that_claims_a_million_squared_is_refused_without_allocating(
    tmp_path, compression, tile
):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.ones((32, 32), np.uint16), compression=compression, tile=tile, metadata=None
    )
    _lie(path, ImageWidth=10**6, ImageLength=10**6)
    if tile is None:
        _lie(path, RowsPerStrip=10**6)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"'a.tif'"):
        np.asarray(read_volume(path).data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes


@pytest.mark.parametrize(
    "description",
    [
        '{"shape": [1000000, 1000000]}', '{"shape": [10000000, 64, 64]}',
        "ImageJ=1.54\nimages=1000000\nslices=1000000\n", "ImageJ=1.54\nimages=-5\nslices=-5\n",
        '{"shape": [-1, 64]}', '{"shape": "many"}', '{"shape": [0, 64]}', '{"shape"',
    ],
)  # fmt: skip
def test_a_description_that_claims_more_than_the_file_holds(tmp_path, description):
    path = tmp_path / "a.tif"
    data = np.arange(5 * 64 * 64, dtype=np.uint8).reshape(5, 64, 64)
    tifffile.imwrite(path, data, description="x" * 200, metadata=None, contiguous=True)
    _lie(path, ImageDescription=description)
    message = ""
    try:
        volume = read_volume(path)
    except InputError as error:
        message = str(error)
    else:  # the lie was seen through, and the pages themselves were read
        assert volume.nbytes <= data.nbytes
        assert np.asarray(volume.data).max() == 255
    assert "\n" not in message


def test_offsets_beyond_the_end_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((32, 32), np.uint16), metadata=None)
    _lie(path, StripOffsets=10**9)
    with pytest.raises(InputError, match="truncated"):
        read_volume(path)


def test_byte_counts_smaller_than_the_image_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((32, 32), np.uint16), metadata=None)
    _lie(path, StripByteCounts=100)
    with pytest.raises(InputError, match="holds only"):
        np.asarray(read_volume(path).data)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_images_are_refused(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((8, 8), dtype))
    with pytest.raises(InputError, match="complex"):
        read_volume(tmp_path / "a.tif")


def test_an_honest_image_of_zeros_passes(tmp_path):
    for compression in ("zlib", "zstd"):
        path = tmp_path / f"{compression}.tif"
        tifffile.imwrite(path, np.zeros((6000, 7000), np.uint16), compression=compression)
        assert read_volume(path).shape == (6000, 7000)
        assert int(read_volume(path).data[5000:, 6000:].max()) == 0


def test_random_damage_to_headers_never_escapes(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.arange(5 * 20 * 30, dtype=np.uint16).reshape(5, 20, 30), compression="zlib"
    )
    whole = path.read_bytes()
    random = np.random.default_rng(7)
    messages = []
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[random.integers(4, 330)] = random.integers(256)
        path.write_bytes(damaged)
        try:
            volume = read_volume(path)
            if volume.nbytes < 1 << 24:
                np.asarray(volume.data)
        except InputError as error:
            messages.append(str(error))
    assert len(messages) > 30
    assert not any("\n" in message for message in messages)
