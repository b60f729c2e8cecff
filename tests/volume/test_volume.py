import dask.array as da
import numpy as np
import pytest

from napari_cellseg import InputError
from napari_cellseg.volume import Volume, as_volume


def test_arrays_get_axes_by_their_number_of_dimensions():
    for shape, axes in [((4, 5), "yx"), ((3, 4, 5), "zyx"), ((2, 3, 4, 5), "tzyx")]:
        volume = as_volume(np.zeros(shape))
        assert (volume.axes, volume.shape, volume.sizes) == (
            axes,
            shape,
            dict(zip(axes, shape, strict=True)),
        )
        assert volume.spacing == (1, 1, 1)
        assert not volume.spacing_known
        assert any("Spacing is not stated" in text for text in volume.notices)
        assert volume.is_3d is ("z" in axes)
        assert volume.n_times == (2 if "t" in axes else 1)


def test_stack_picks_channel_and_time_lazily():
    data = np.arange(2 * 3 * 4 * 5 * 6).reshape(2, 3, 4, 5, 6)
    for array in (data, da.from_array(data, chunks=2)):
        volume = as_volume(array, axes="tczyx", spacing=(2, 1, 1))
        part = volume.stack(channel=2, t=1)
        assert type(part) is type(array)
        assert np.array_equal(np.asarray(part), data[1, 2])
        assert np.array_equal(volume.load("channel 2", 1), data[1, 2])
        assert volume.load(0).flags.c_contiguous
        assert volume.load(0).dtype.isnative
        assert volume.label_shape == (2, 4, 5, 6)
        assert volume.label_axes == "tzyx"
    assert np.shares_memory(as_volume(data, axes="tczyx").stack(0, 0), data)


@pytest.mark.parametrize(
    "pick", [{"channel": 3}, {"channel": -1}, {"t": 2}, {"channel": "dapi"}, {"t": 0.5}]
)
def test_a_missing_channel_or_time_is_named(pick):
    volume = as_volume(np.zeros((2, 3, 4, 5, 6), np.uint8), axes="tczyx")
    with pytest.raises(InputError, match=r"channel|time"):
        volume.stack(**pick)


def test_rgb_stacks_have_colours_last():
    image = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    volume = as_volume(image, axes="yxs")
    assert volume.rgb
    assert volume.n_channels == 1
    assert volume.label_shape == (4, 5)
    assert np.array_equal(volume.stack(channel=0), image)


def test_nbytes_counts_without_reading_and_load_refuses_the_impossible():
    volume = as_volume(da.zeros((10**5, 10**5, 10**5), chunks=1000, dtype=np.uint16))
    assert volume.nbytes == 2 * 10**15
    with pytest.raises(InputError, match="memory"):
        volume.load()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 4)),
        np.zeros((4, 0, 4)),
        np.zeros(4),
        da.zeros((4, 4), chunks=2)[da.ones(4, chunks=2) > 0],
        np.float64(1),
        np.zeros((4, 4), complex),
        np.full((2, 2), "a"),
        np.full((2, 2), None),
        np.zeros((2, 2), "M8[s]"),
        object(),
        np.zeros((2, 2), [("a", "u1")]),
        np.zeros((2, 2, 2, 2, 2)),
        np.zeros((2,) * 6),
        [[1], [2, 3]],
        np.zeros((3, 3), np.longdouble),
    ],
    ids=lambda a: str(getattr(a, "dtype", a))[:20] + str(getattr(a, "shape", "")),
)
def test_what_is_no_image_is_refused(array):
    with pytest.raises(InputError) as caught:
        as_volume(array)
    assert str(caught.value).endswith(".")


def test_single_planes_times_and_channels_are_dropped():
    volume = as_volume(np.zeros((1, 1, 1, 4, 5)), axes="tczyx", spacing=(3, 2, 1))
    assert volume.axes == "yx"
    assert volume.spacing == (3, 2, 1)
    assert as_volume(np.zeros((1, 1))).shape == (1, 1)


def test_other_byte_orders_come_out_native():
    data = np.arange(60, dtype=">u2").reshape(3, 4, 5)
    for array in (data, data[:, ::2], da.from_array(data)):
        volume = as_volume(array)
        assert volume.dtype == np.uint16
        assert volume.dtype.isnative
        assert np.array_equal(np.asarray(volume.data), np.asarray(array))


def test_a_colour_image_without_axes_is_hinted_at():
    assert any("yxs" in text for text in as_volume(np.zeros((64, 64, 3), np.uint8)).notices)
    assert not any("yxs" in text for text in as_volume(np.zeros((64, 64, 30), np.uint8)).notices)


def test_with_spacing_retires_its_notices_only():
    volume = as_volume(np.zeros((64, 64, 3), np.uint8)).with_spacing((1, 2, np.float32(3)))
    assert volume.spacing == (1, 2, 3)
    assert volume.spacing_known
    assert [text for text in volume.notices if text.startswith("Spacing")] == []
    assert [text for text in volume.notices if text.startswith("Axes")] != []
    assert volume.with_spacing(None) is volume
    assert as_volume(volume) is volume
    with pytest.raises(InputError):
        volume.with_spacing((0, 1, 1))


def test_with_axes_renames_dimensions():
    data = np.arange(24).reshape(2, 3, 4)
    volume = as_volume(data, spacing=(5, 0.5, 0.4))
    times = volume.with_axes("tyx")
    assert (times.axes, times.spacing, times.spacing_known) == ("tyx", (1, 0.5, 0.4), True)
    channels = volume.with_axes("CYX")
    assert channels.n_channels == 2
    assert channels.channels == ("channel 0", "channel 1")
    swapped = volume.with_axes("yxz")
    assert np.array_equal(np.asarray(swapped.data), np.moveaxis(data, -1, 0))
    back = times.with_axes("zyx")
    assert not back.spacing_known
    assert any("along z is not stated" in text for text in back.notices)
    with pytest.raises(InputError):
        volume.with_axes("yx")


def test_a_volume_checks_itself():
    with pytest.raises(InputError, match="order"):
        Volume(np.zeros((2, 3, 4)), "xyz")
    with pytest.raises(InputError, match="RGB"):
        Volume(np.zeros((2, 3, 4)), "cyx", rgb=True)
    assert Volume(np.zeros((2, 3, 4)), "cyx").channels == ("channel 0", "channel 1")
