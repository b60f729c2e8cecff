import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_cellseg.widgets.placement import aligned, layer_letters, placement


@pytest.mark.parametrize(
    ("image_axes", "label_axes", "letters"),
    [
        ("yx", "yx", "yx"),
        ("zyx", "zyx", "zyx"),
        ("czyx", "zyx", "zyx"),
        ("tczyx", "tzyx", "tczyx"),
        ("tyx", "yx", "yx"),
        ("tzyx", "tyx", "tzyx"),
    ],
)
def test_letters_of_the_layer(image_axes, label_axes, letters):
    assert layer_letters(image_axes, label_axes) == letters


def test_labels_that_fit_are_the_same_array():
    labels = np.zeros((3, 4, 5), np.uint32)
    assert aligned(labels, "zyx", "czyx", (2, 3, 4, 5)) is labels


def test_painting_on_one_channel_paints_on_all_and_reaches_the_labels():
    labels = np.zeros((2, 3, 8, 8), np.uint32)
    shown = aligned(labels, "tzyx", "tczyx", (2, 4, 3, 8, 8))
    assert shown.shape == (2, 4, 3, 8, 8)
    layer = Labels(shown)
    layer.brush_size = 1
    layer.paint((1, 2, 0, 4, 4), 6)
    assert labels[1, 0, 4, 4] == 6
    assert labels.sum() == 6
    assert (shown[1, :, 0, 4, 4] == 6).all()
    layer.undo()
    assert not labels.any()


def test_placement_follows_the_image_and_the_offset():
    image = Image(
        np.zeros((2, 6, 8, 8)),
        scale=(1, 2.0, 0.5, 0.4),
        translate=(0, 10, 0, 0),
        units=("pixel", "um", "um", "um"),
    )
    place = placement(image, "czyx", "zyx", (3, 2, 1))
    assert tuple(place["scale"]) == (2.0, 0.5, 0.4)
    assert tuple(place["translate"]) == (16.0, 1.0, 0.4)
    assert [str(unit) for unit in place["units"]] == ["micrometer"] * 3
    assert place["axis_labels"] == ("z", "y", "x")


def test_layers_that_are_turned_are_refused():
    from napari.layers import Image

    from napari_cellseg.errors import InputError
    from napari_cellseg.widgets.placement import check_upright

    check_upright(Image(np.zeros((4, 8, 8)), scale=(2, 1, 1), translate=(1, 2, 3)))
    check_upright(Image(np.zeros((8, 8))))
    turned = {"rotate": 30}, {"shear": [0.5]}, {"affine": [[1, 0.5, 0], [0, 1, 0], [0, 0, 1]]}
    for change in turned:
        with pytest.raises(InputError, match="rotated, sheared or transformed"):
            check_upright(Image(np.zeros((8, 8)), **change))
