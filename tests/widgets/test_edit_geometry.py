"""Clicks, lines and lassos in every orientation mean the same voxels."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.plane_view import AXES, Plane
from napari_cellseg.widgets.edit_geometry import (
    across,
    ids_in,
    lasso_region,
    picked,
    plane_region,
    polyline,
    viewed_plane,
)
from napari_cellseg.widgets.edit_ground import Ground
from napari_cellseg.widgets.edit_sight import ids_in_sight, plane_of_line
from napari_cellseg.widgets.placement import aligned, layer_letters
from napari_cellseg.widgets.prompt_mouse import Click, ClickTool
from widgets.prompt_steps import canvas_of

SIZES = {"t": 3, "c": 2, "z": 8, "y": 20, "x": 30}


def on_ground(viewer, axes="zyx", image_axes=None, spacing=2.0):
    """Labels with one object of id 5 in the middle, on an image with these axes."""
    image_axes = image_axes or axes
    labels = np.zeros([SIZES[axis] for axis in axes], np.uint32)
    middle = {"t": slice(1, 2), "z": slice(3, 6), "y": slice(8, 13), "x": slice(14, 20)}
    labels[tuple(middle[axis] for axis in axes)] = 5
    letters = layer_letters(image_axes, axes)
    shape = tuple(SIZES[axis] for axis in image_axes)
    layer = viewer.add_labels(
        aligned(labels, axes, image_axes, shape),
        scale=[spacing if letter == "z" else 0.5 for letter in letters],
        translate=[3.0 * (letter in "zyx") for letter in letters],
    )
    return Ground(layer, letters, labels, axes)


def look_at(viewer, ground, **position):
    """Turn the sliders to a voxel."""
    voxel = [float(position.get(axis, 0)) for axis in ground.axes]
    world = ground.world([voxel])[0]
    viewer.dims.point = (*viewer.dims.point[: viewer.dims.ndim - len(world)], *world)


def click(viewer, world, direction=None):
    return Click(tuple(world), direction, tuple(viewer.dims.displayed), False, False)


@pytest.mark.parametrize(
    ("axes", "image_axes"),
    [("zyx", "zyx"), ("yx", "yx"), ("tzyx", "tzyx"), ("zyx", "zcyx"), ("tzyx", "tczyx")],
)
def test_positions_go_to_the_world_and_back(viewer, axes, image_axes):
    viewer.add_image(np.zeros((2, 2, 2, 2, 2)))  # a viewer of more axes than the labels have
    ground = on_ground(viewer, axes, image_axes)
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 8, (5, len(axes)))
    world = ground.world(places)
    padded = np.hstack([np.zeros((5, 5 - world.shape[1])), world])
    np.testing.assert_allclose(ground.positions(padded), places)
    np.testing.assert_allclose(world[0], ground.layer.data_to_world(_full(ground, places[0])))


def _full(ground, place):
    at = dict(zip(ground.axes, place, strict=True))
    return [at.get(letter, 0.0) for letter in ground.letters]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_viewed_plane_and_what_is_clicked_in_it(viewer, order):
    ground = on_ground(viewer)
    viewer.dims.order = order
    look_at(viewer, ground, z=4, y=10, x=15)
    plane = viewed_plane(viewer, ground)
    fixed = "zyx"[order[0]]
    assert plane.axes[0] == fixed
    assert plane.index == {"z": 4, "y": 10, "x": 15}[fixed]
    assert across(plane, "zyx") == (order[0], plane.index)
    region = plane_region(plane, ground)
    assert region[order[0]] == slice(plane.index, plane.index + 1)
    assert [region[axis] for axis in order[1:]] == [
        slice(0, SIZES["zyx"[axis]]) for axis in order[1:]
    ]
    found = picked(click(viewer, ground.world([[4.3, 10.2, 14.8]])[0]), ground)
    assert (found.voxel, found.t, found.id) == ((4, 10, 15), 0, 5)
    assert picked(click(viewer, ground.world([[4, 1, 1]])[0]), ground).id == 0
    assert picked(click(viewer, ground.world([[4, 20, 1]])[0]), ground) is None
    assert picked(click(viewer, ground.world([[4, -1, 1]])[0]), ground) is None


def test_planes_of_labels_with_time_and_without_z(viewer):
    ground = on_ground(viewer, "tzyx", "tczyx")
    look_at(viewer, ground, t=1, z=4)
    plane = viewed_plane(viewer, ground)
    assert plane == Plane("xy", 4, 1)
    assert across(plane, "tzyx") == (0, 4)
    assert plane_region(plane, ground)[:2] == (slice(1, 2), slice(4, 5))
    found = picked(click(viewer, (0.5, 0.0, *ground.world([[1, 4, 10, 15]])[0][-3:])), ground)
    assert (found.voxel, found.t, found.id) == ((1, 4, 10, 15), 1, 5)
    viewer.dims.order = (2, 1, 3, 0, 4)  # time along the rows
    assert viewed_plane(viewer, ground) is None
    viewer.layers.clear()
    viewer.dims.order = tuple(range(viewer.dims.ndim))
    flat = on_ground(viewer, "yx")
    assert viewed_plane(viewer, flat) == Plane("xy", 0, 0)
    assert across(Plane("xy", 0, 0), "yx") is None
    assert plane_region(Plane(), flat) == (slice(0, 20), slice(0, 30))


def test_beside_the_labels_no_plane_is_viewed(viewer):
    viewer.add_image(np.zeros((40, 5, 5)), scale=(2, 1, 1))
    ground = on_ground(viewer)
    look_at(viewer, ground, z=7)
    assert viewed_plane(viewer, ground).index == 7
    look_at(viewer, ground, z=9)
    assert viewed_plane(viewer, ground) is None
    viewer.dims.ndisplay = 3
    assert viewed_plane(viewer, ground) is None


@pytest.mark.parametrize("axes", ["zyx", "tzyx"])
@pytest.mark.parametrize("sight", [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, 0, -1), (1, 0.4, 0.3)])
def test_in_3d_the_first_object_along_the_line_of_sight_is_clicked(viewer, axes, sight):
    ground = on_ground(viewer, axes, spacing=0.5)
    viewer.dims.ndisplay = 3
    look_at(viewer, ground, t=1)
    middle = ground.world([[1, 4, 10, 16][-len(axes) :]])[0]
    direction = np.zeros(len(axes))
    direction[-3:] = np.asarray(sight) / np.linalg.norm(sight)
    found = picked(click(viewer, middle - 50 * direction, direction), ground)
    assert found.id == 5
    before = np.rint(ground.positions([ground.world([found.voxel])[0] - 0.6 * direction])[0])
    assert ground.labels[tuple(before.astype(int))] == 0  # it is the near face
    beside = middle + 30 * np.roll(direction[-3:], 1).sum() * np.ones(len(axes))
    assert picked(click(viewer, beside, direction), ground) is None


def test_time_along_an_axis_of_a_3d_view_is_nothing_to_click(viewer):
    ground = on_ground(viewer, "tzyx")
    viewer.dims.ndisplay = 3
    viewer.dims.order = (1, 0, 2, 3)
    direction = np.array([1.0, 0, 0, 0])
    assert picked(click(viewer, ground.world([[0, 4, 10, 16]])[0], direction), ground) is None


@pytest.mark.parametrize("orientation", AXES)
def test_a_line_is_given_in_rows_and_columns(viewer, orientation):
    ground = on_ground(viewer)
    plane = Plane(orientation, 4)
    line = np.array([[1.0, 2.0], [1.0, 2.0], [6.5, 7.25]])
    world = ground.world([plane.position(*vertex, "zyx") for vertex in line])
    np.testing.assert_allclose(polyline(world, plane, ground), line[1:])
    with pytest.raises(InputError, match="single point"):
        polyline(world[:2], plane, ground)


@pytest.mark.parametrize("axes", ["zyx", "tzyx", "yx"])
@pytest.mark.parametrize("orientation", AXES)
def test_a_lasso_selects_in_the_plane_or_through_it(viewer, axes, orientation):
    if axes == "yx" and orientation != "xy":
        orientation = "xy"
    ground = on_ground(viewer, axes)
    ground.labels[tuple({"t": 1, "z": 0, "y": 10, "x": 15}[axis] for axis in axes)] = 9
    index = {"xy": 4, "xz": 10, "yz": 15}[orientation] if "z" in axes else 0
    plane = Plane(orientation, index, 1 if "t" in axes else 0)
    _, row, col = plane.axes
    middle = {"z": 4, "y": 10, "x": 16}
    r, c = middle[row], middle[col]
    outline = [[r - 2.5, c - 2.5], [r - 2.5, c + 2.5], [r + 2.5, c + 2.5], [r + 2.5, c - 2.5]]
    region, mask = lasso_region(outline, plane, ground)
    assert mask.shape == ground.labels[region].shape
    assert mask.sum() == 25
    inside = ids_in(ground, region, mask)
    assert 5 in inside
    region, mask = lasso_region(outline, plane, ground, through=True)
    assert ground.labels[region].ndim == mask.ndim
    expected = np.unique(ground.labels[region][np.broadcast_to(mask, ground.labels[region].shape)])
    assert ids_in(ground, region, mask) == [one for one in expected.tolist() if one]
    if orientation == "xy":
        assert ids_in(ground, region, mask) == [5, 9]
    with pytest.raises(InputError, match="lasso"):
        lasso_region([[-9, -9], [-9, -2], [-2, -2]], plane, ground)


@given(st.integers(0, 2**31), st.sampled_from(list(AXES)))
def test_ids_under_a_lasso_are_those_of_a_plain_count(seed, orientation):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 30, (6, 9, 10)).astype(np.uint32)
    ground = Ground(None, "zyx", labels, "zyx")
    plane = Plane(orientation, int(rng.integers(0, 6)))
    corners = rng.uniform(0, 6, (5, 2))
    for through in (False, True):
        try:
            region, mask = lasso_region(corners, plane, ground, through)
        except InputError:
            return
        box = labels[region]
        assert ids_in(ground, region, mask) == sorted(
            set(box[np.broadcast_to(mask, box.shape)].tolist()) - {0}
        )


@pytest.mark.parametrize("sight", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 2, 3)])
@pytest.mark.parametrize("axes", ["zyx", "tzyx"])
def test_in_3d_a_lasso_selects_what_lies_behind_it(viewer, axes, sight):
    ground = on_ground(viewer, axes)
    viewer.dims.ndisplay = 3
    displayed = tuple(viewer.dims.displayed)
    direction = np.zeros(len(axes))
    direction[-3:] = np.asarray(sight) / np.linalg.norm(sight)
    centroids = np.array([[4, 10, 16], [1, 2, 2], [4, 10, 17]])
    aside = np.linalg.svd(direction[-3:][None])[2][1:]
    middle = ground.world([[1, *centroids[0]][-len(axes) :]])[0]
    ring = []
    for angle in np.linspace(0, 2 * np.pi, 12, endpoint=False):
        vertex = middle - 40 * direction
        vertex[-3:] += 2.0 * (np.cos(angle) * aside[0] + np.sin(angle) * aside[1])
        ring.append(vertex)
    found = ids_in_sight(ring, direction, displayed, centroids, [5, 6, 7], 1, ground)
    assert found == [5, 7]
    assert ids_in_sight(ring, direction, displayed, np.zeros((0, 3)), [], 1, ground) == []
    assert ids_in_sight(ring[:2], direction, displayed, centroids, [5, 6, 7], 1, ground) == []
    with pytest.raises(InputError, match="3D view"):
        ids_in_sight(ring, direction, displayed[1:], centroids, [5, 6, 7], 1, ground)


@pytest.mark.parametrize("axes", ["zyx", "tzyx"])
def test_in_3d_a_line_is_the_plane_behind_it(viewer, axes):
    ground = on_ground(viewer, axes)  # 2 along z, 0.5 along y and x
    viewer.dims.ndisplay = 3
    shown = tuple(viewer.dims.displayed)
    direction = np.zeros(len(axes))
    direction[-3:] = np.array([0.0, 0.6, 0.8])
    ends = ground.world([[1, 2, 10, 16][-len(axes) :], [1, 6, 10, 16][-len(axes) :]])
    ends = ends - 30 * direction
    point, normal = plane_of_line(ends, direction, shown, (2, 0.5, 0.5), ground)
    np.testing.assert_allclose(normal, (0, -0.8, 0.6), atol=1e-9)
    offset = (np.array(point) - (2, 10, 16)) * (2, 0.5, 0.5)
    assert abs(offset @ normal) < 1e-9  # it runs through where the line was aimed
    with pytest.raises(InputError, match="single point"):
        plane_of_line(ends[:1], direction, shown, (2, 0.5, 0.5), ground)
    with pytest.raises(InputError, match="3D view"):
        plane_of_line(ends, direction, shown[1:], (2, 0.5, 0.5), ground)


def test_a_real_click_on_the_canvas_is_the_object_under_the_mouse(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    ground = on_ground(viewer)
    look_at(viewer, ground, z=4)
    clicks = []
    tool = ClickTool(clicks.append)
    tool.connect(ground.layer)
    canvas = canvas_of(viewer)
    camera = viewer.scene.camera
    from qtpy.QtCore import QPoint, Qt

    def press(voxel):
        world = ground.world([voxel])[0][-2:]
        y, x = (world - np.asarray(camera.center[-2:])) * camera.zoom
        at = QPoint(round(canvas.width() / 2 + x), round(canvas.height() / 2 + y))
        qtbot.mouseMove(canvas, at)
        qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=at)

    press((4, 10, 16))
    assert picked(clicks[0], ground).voxel == (4, 10, 16)
    assert picked(clicks[0], ground).id == 5
    viewer.dims.order = (0, 2, 1)  # rows and columns swapped
    viewer.reset_view()
    y, x = ground.world([(4, 12, 19)])[0][-2:]
    down, right = (np.array([x, y]) - np.asarray(camera.center[-2:])) * camera.zoom
    at = QPoint(round(canvas.width() / 2 + right), round(canvas.height() / 2 + down))
    qtbot.mouseMove(canvas, at)
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=at)
    assert picked(clicks[1], ground).voxel == (4, 12, 19)
    viewer.dims.order = (0, 1, 2)
    viewer.dims.ndisplay = 3
    viewer.scene.camera.center = tuple(ground.world([(4, 10, 16)])[0])
    qtbot.wait(50)
    middle = QPoint(canvas.width() // 2, canvas.height() // 2)
    qtbot.mouseMove(canvas, middle)
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=middle)
    found = picked(clicks[2], ground)
    assert found.id == 5
    assert found.voxel[1:] == (10, 16)
