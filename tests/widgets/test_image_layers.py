import dask.array as da
import numpy as np
import pytest
from napari.layers import Image

from napari_cellseg.errors import InputError
from napari_cellseg.widgets.image_layers import (
    forget,
    layer_axes,
    layer_spacing,
    layer_volume,
    set_spacing,
)


@pytest.mark.parametrize(
    ("shape", "labels", "axes", "known"),
    [
        ((8, 8), None, "yx", True),
        ((3, 8, 8), None, "zyx", False),
        ((3, 8, 8), ("t", "y", "x"), "tyx", True),
        ((3, 8, 8), ("Time", "Y", "X"), "tyx", True),
        ((3, 8, 8), ("x", "y", "z"), "zyx", False),
        ((2, 3, 8, 8), None, "tzyx", False),
        ((2, 3, 8, 8), ("c", "z", "y", "x"), "czyx", True),
        ((2, 2, 3, 8, 8), None, "tczyx", True),
    ],
)
def test_axes_come_from_labels_that_make_sense(shape, labels, axes, known):
    found = layer_axes(Image(np.zeros(shape), axis_labels=labels))
    assert (found.axes, found.known) == (axes, known)
    assert found.axes in found.choices


def test_too_many_dimensions_are_refused():
    with pytest.raises(InputError, match="6 dimensions"):
        layer_axes(Image(np.zeros((1, 1, 1, 1, 8, 8)), name="deep"))


@pytest.mark.parametrize(
    ("scale", "units", "spacing"),
    [
        ((2, 0.5, 0.4), ("um", "um", "um"), (2, 0.5, 0.4)),
        ((2000, 500, 400), ("nm", "nm", "nm"), (2, 0.5, 0.4)),
        ((2, 0.5, 0.4), None, (2, 0.5, 0.4)),
        ((1, 1, 1), None, None),
        ((1, 1, 1), ("um", "um", "um"), (1, 1, 1)),
    ],
)
def test_spacing_comes_from_scale_and_units(scale, units, spacing):
    found = layer_spacing(Image(np.zeros((3, 8, 8)), scale=scale, units=units), "zyx")
    assert found == (None if spacing is None else pytest.approx(spacing))


def test_setting_a_spacing_touches_space_only():
    layer = Image(np.zeros((2, 3, 8, 8)), scale=(7, 1, 1, 1))
    set_spacing(layer, "tzyx", (2.0, 0.5, 0.4))
    assert tuple(layer.scale) == (7, 2.0, 0.5, 0.4)
    assert [str(unit) for unit in layer.units] == ["pixel", *["micrometer"] * 3]


def test_nothing_is_read_and_the_same_layer_gives_the_same_volume():
    def explode(block):
        raise AssertionError("the data were read")

    data = da.zeros((4, 64, 64), chunks=(1, 64, 64), dtype=np.uint8).map_blocks(
        explode, dtype=np.uint8, meta=np.zeros((0, 0, 0), np.uint8)
    )
    layer = Image(np.zeros((4, 64, 64), np.uint8), name="lazy")
    layer._data = data  # a layer reads its first plane when it is made; that is not ours
    volume = layer_volume(layer)
    assert volume.name == "lazy"
    assert volume.axes == "zyx"
    assert layer_volume(layer) is volume
    forget(layer)
    assert layer_volume(layer) is not volume


def test_rgb_is_one_colour_image():
    volume = layer_volume(Image(np.zeros((8, 9, 3), np.uint8), rgb=True))
    assert volume.rgb
    assert volume.axes == "cyx"
    assert volume.shape == (3, 8, 9)


def test_a_pyramid_gives_its_finest_level():
    fine = np.zeros((64, 80))
    assert layer_volume(Image([fine, fine[::2, ::2]], multiscale=True)).shape == (64, 80)


def test_axes_of_length_one_are_dropped_but_the_layer_keeps_them():
    layer = Image(np.zeros((5, 1, 8, 8)), axis_labels=("t", "z", "y", "x"))
    assert layer_axes(layer).axes == "tzyx"
    assert layer_volume(layer).axes == "tyx"
