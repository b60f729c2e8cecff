import numpy as np
import pytest
from napari.components import ViewerModel

from napari_cellseg.widgets.view import region_in_view


@pytest.fixture
def viewer():
    return ViewerModel()


def test_without_a_canvas_it_is_the_whole_plane(viewer):
    layer = viewer.add_image(np.zeros((6, 32, 40)), scale=(2, 0.5, 0.5))
    viewer.dims.set_current_step(0, 4)
    assert region_in_view(viewer, layer, "zyx", "zyx") == (slice(4, 5), slice(0, 32), slice(0, 40))


def test_what_the_canvas_shows(viewer):
    layer = viewer.add_image(np.zeros((6, 32, 40)))
    viewer.dims.set_current_step(0, 2)
    layer.corner_pixels = np.array([[0, 5, 10], [0, 20, 39]])
    assert region_in_view(viewer, layer, "zyx", "zyx") == (slice(2, 3), slice(5, 21), slice(10, 40))


def test_another_orientation_is_a_plane_of_that_orientation(viewer):
    layer = viewer.add_image(np.zeros((6, 32, 40)))
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_current_step(1, 7)
    assert region_in_view(viewer, layer, "zyx", "zyx") == (slice(0, 6), slice(7, 8), slice(0, 40))


def test_a_3d_view_means_the_plane_at_the_slider(viewer):
    layer = viewer.add_image(np.zeros((3, 6, 32, 40)))
    viewer.dims.set_current_step(0, 1)
    viewer.dims.set_current_step(1, 5)
    viewer.dims.ndisplay = 3
    region = region_in_view(viewer, layer, "tzyx", "tzyx")
    assert region == (slice(1, 2), slice(5, 6), slice(0, 32), slice(0, 40))


def test_channels_and_axes_of_length_one_are_left_out(viewer):
    layer = viewer.add_image(np.zeros((3, 2, 1, 32, 40)))
    viewer.dims.set_current_step(0, 2)
    region = region_in_view(viewer, layer, "tczyx", "tyx")
    assert region == (slice(2, 3), slice(0, 32), slice(0, 40))


def test_beside_a_layer_with_more_dimensions(viewer):
    viewer.add_image(np.zeros((3, 6, 32, 40)))
    layer = viewer.add_image(np.zeros((6, 32, 40)))
    viewer.dims.set_current_step(1, 3)
    assert region_in_view(viewer, layer, "zyx", "zyx")[0] == slice(3, 4)


def test_a_translated_layer_and_a_position_outside_it(viewer):
    viewer.add_image(np.zeros((20, 8, 8)))
    layer = viewer.add_image(np.zeros((6, 8, 8)), translate=(4, 0, 0))
    viewer.dims.set_current_step(0, 6)
    assert region_in_view(viewer, layer, "zyx", "zyx")[0] == slice(2, 3)
    viewer.dims.set_current_step(0, 19)
    assert region_in_view(viewer, layer, "zyx", "zyx")[0] == slice(5, 6)


def test_a_multiscale_layer_counts_in_its_finest_level(viewer):
    fine = np.zeros((64, 80))
    layer = viewer.add_image([fine, fine[::2, ::2]], multiscale=True)
    layer._data_level = 1
    layer.corner_pixels = np.array([[4, 5], [19, 24]])
    rows, cols = region_in_view(viewer, layer, "yx", "yx")
    assert rows == slice(8, 40)
    assert cols == slice(10, 50)
