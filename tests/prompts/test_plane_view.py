"""Planes of a volume and back: every pixel is the voxel it came from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.plane_view import AXES, Plane, pixel_size, read_plane
from napari_cellseg.volume import as_volume

ORIENTATIONS = tuple(AXES)


def numbered(axes="zyx", shape=(4, 5, 6)):
    return as_volume(np.arange(np.prod(shape), dtype=np.uint16).reshape(shape), axes=axes)


@given(st.data(), st.sampled_from(ORIENTATIONS), st.booleans())
def test_a_pixel_is_its_voxel(data, orientation, timed):
    axes, shape = ("tzyx", (2, 4, 5, 6)) if timed else ("zyx", (4, 5, 6))
    volume = numbered(axes, shape)
    across = AXES[orientation][0]
    index = data.draw(st.integers(0, volume.sizes[across] - 1))
    plane = Plane(orientation, index, data.draw(st.integers(0, volume.n_times - 1)))
    rows, cols = plane.shape(volume)
    row, col = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, cols - 1))
    position = plane.position(row, col, volume.label_axes)
    pixels = read_plane(volume, plane)
    assert pixels.shape == (rows, cols)
    assert pixels[row, col] == volume.data[tuple(int(p) for p in position)]
    assert plane.pixel(position, volume.label_axes) == (row, col)
    assert np.array_equal(plane.cut(volume.data, volume.axes), pixels)
    where = plane.region(slice(row, row + 1), slice(0, cols), volume.label_axes)
    upright = plane.upright(pixels[row : row + 1], volume.label_axes)
    assert np.array_equal(volume.data[where], upright)


def test_a_plane_without_z():
    volume = numbered("yx", (5, 6))
    assert np.array_equal(read_plane(volume, Plane()), volume.data)
    assert Plane().region(slice(1, 3), slice(2, 4), "yx") == (slice(1, 3), slice(2, 4))
    assert Plane(t=2).position(1, 2, "tyx") == (2, 1, 2)


def test_a_composite_holds_its_channels_by_their_limits():
    data = np.zeros((2, 3, 8, 8), np.uint16)
    data[0, :, 2, 2], data[1, :, 5, 5] = 100, 2000
    volume = as_volume(data, axes="czyx")
    seen = read_plane(volume, Plane("xy", 1), (0, 1), ((0, 100), (0, 4000)))
    assert seen.dtype == np.uint8
    assert seen.shape == (8, 8, 3)
    assert tuple(seen[2, 2]) == (255, 0, 0)
    assert tuple(seen[5, 5]) == (0, 128, 0)


def test_pixel_size():
    spacing = (2.0, 0.5, 0.4)
    assert pixel_size(Plane("xy"), spacing) == (0.5, 0.4)
    assert pixel_size(Plane("xz"), spacing) == (2.0, 0.4)
    assert pixel_size(Plane("yz"), spacing) == (2.0, 0.5)


@pytest.mark.parametrize(
    ("plane", "said"),
    [
        (Plane("xy", 4), "no xy plane 4"),
        (Plane("xz", -1), "no xz plane -1"),
        (Plane("xy", 0, 1), "no time point 1"),
        (Plane("zy", 0), "no 'zy' planes"),
    ],
)
def test_planes_that_are_not_there(plane, said):
    with pytest.raises(InputError, match=said):
        read_plane(numbered(), plane)


def test_too_many_channels():
    with pytest.raises(InputError, match="one to three channels"):
        read_plane(numbered(), Plane(), (0, 0, 0, 0))


def test_a_lazy_volume_gives_a_lazy_plane():
    da = pytest.importorskip("dask.array")
    reads = []

    def block(block_info=None):
        reads.append(block_info[None]["chunk-location"])
        return np.zeros((1, 5, 6), np.uint8)

    volume = as_volume(da.map_blocks(block, chunks=((1,) * 4, 5, 6), dtype=np.uint8), axes="zyx")
    plane = read_plane(volume, Plane("xy", 2))
    reads.clear()
    assert np.asarray(plane).shape == (5, 6)
    assert {location[0] for location in reads} == {2}
