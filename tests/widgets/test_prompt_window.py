"""Prompting in the real window, with the mouse on the canvas."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt

from fakes import BlobNetwork, blob_volume
from napari_cellseg.widgets.prompt_tools import Tool
from napari_cellseg.worker import worker
from widgets.prompt_steps import canvas_of, click_at, drag_along, drag_over, on_canvas
from widgets.steps import add_image, blobs, click, count

RIGHT = Qt.MouseButton.RightButton
SHIFT, ALT = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.AltModifier


@pytest.fixture
def prompting(prompt_window, qtbot):
    """A window with prompting on, its plane encoded."""
    viewer, dock = prompt_window
    add_image(viewer)
    viewer.dims.set_current_step(0, 2)
    qtbot.wait(50)
    click(qtbot, dock.tools.prompt)
    qtbot.waitUntil(lambda: dock.session.prompts.ready)
    return viewer, dock, dock.session.prompts


def found(prompts):
    return {n: one.voxels for n, one in prompts.objects.items() if one.pending is None}


def test_a_click_finds_the_cell_under_it_and_enter_accepts_it(prompting, qtbot):
    viewer, dock, prompts = prompting
    click_at(qtbot, viewer, dock, 8, 8)
    qtbot.waitUntil(lambda: found(prompts) == {1: 64})
    shown = viewer.layers["embryo open objects"].data
    expected = np.zeros(shown.shape, bool)
    expected[2, 4:12, 4:12] = True
    np.testing.assert_array_equal(shown == 1, expected)
    assert viewer.layers["embryo in hand"].data.sum() == 28  # its border
    assert len(viewer.layers["embryo prompts"].data) == 1
    qtbot.keyClick(canvas_of(viewer), Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "embryo cells" in viewer.layers)
    np.testing.assert_array_equal(viewer.layers["embryo cells"].data == 1, expected)
    assert not shown.any()
    assert not len(viewer.layers["embryo prompts"].data)
    assert viewer.layers.selection.active is viewer.layers["embryo prompts"]
    assert [layer.name for layer in viewer.layers][1] == "embryo cells"  # under what is prompted


def test_a_box_a_scribble_and_a_lasso_are_drawn_with_the_mouse(prompting, qtbot):
    viewer, dock, prompts = prompting
    dock.tools.several.click()
    click(qtbot, dock.tools.tools[Tool.BOX])
    drag_along(qtbot, viewer, dock, [(2, 2), (14, 14)])
    qtbot.waitUntil(lambda: found(prompts) == {1: 64})
    box = next(iter(prompts.objects[1].said.values())).box
    np.testing.assert_allclose(box, (2, 2, 14, 14), atol=0.3)
    dock.tools.several.click()
    click(qtbot, dock.objects.buttons["next"])
    click(qtbot, dock.tools.tools[Tool.SCRIBBLE])
    drag_along(qtbot, viewer, dock, [(18, 10), (24, 12), (24, 16)])
    qtbot.waitUntil(lambda: found(prompts) == {1: 64, 2: 100})
    prompts.discard()
    click(qtbot, dock.tools.tools[Tool.LASSO])
    drag_along(qtbot, viewer, dock, [(14, 6), (14, 20), (28, 20), (28, 6), (15, 6)])
    qtbot.waitUntil(lambda: found(prompts) == {1: 64, 3: 100})
    assert viewer.layers["embryo boxes"].shape_type == ["rectangle", "polygon"]


@pytest.mark.parametrize(
    ("button", "modifier"), [(RIGHT, None), (Qt.MouseButton.LeftButton, SHIFT)]
)
def test_a_right_click_or_shift_is_negative_and_does_not_zoom(prompting, qtbot, button, modifier):
    viewer, dock, prompts = prompting
    click(qtbot, dock.tools.tools[Tool.BOX])
    drag_along(qtbot, viewer, dock, [(1, 1), (29, 20)])
    qtbot.waitUntil(lambda: found(prompts) == {1: 164})
    click(qtbot, dock.tools.tools[Tool.POINT])
    zoom, center = viewer.scene.camera.zoom, viewer.scene.camera.center
    click_at(qtbot, viewer, dock, 8, 8, button, modifier or Qt.KeyboardModifier.NoModifier)
    qtbot.waitUntil(lambda: found(prompts) == {1: 100})
    assert (viewer.scene.camera.zoom, viewer.scene.camera.center) == (zoom, center)
    assert [point.positive for point in prompts.current.points] == [False]


def test_a_drag_pans_and_prompts_nothing(prompting, qtbot):
    viewer, dock, prompts = prompting
    center = viewer.scene.camera.center
    middle = on_canvas(viewer, dock, 8, 8)
    drag_over(qtbot, viewer, [middle, middle + QPointF(60, 20)])
    assert viewer.scene.camera.center != center
    assert not prompts.objects


def test_candidates_are_cycled_by_key_and_chosen_by_button(prompting, qtbot):
    viewer, dock, prompts = prompting
    click_at(qtbot, viewer, dock, 8, 8)
    qtbot.waitUntil(lambda: found(prompts) == {1: 64})
    qtbot.waitUntil(lambda: dock.objects.candidates[0].text() == "① 0.90")
    qtbot.keyClick(canvas_of(viewer), Qt.Key.Key_C)
    qtbot.waitUntil(lambda: found(prompts) == {1: 144})
    qtbot.waitUntil(dock.objects.candidates[1].isChecked)
    click(qtbot, dock.objects.candidates[2])
    qtbot.waitUntil(lambda: found(prompts) == {1: 16})


def test_reopening_brings_prompts_back_and_undo_takes_an_acceptance_back(prompting, qtbot):
    viewer, dock, prompts = prompting
    click_at(qtbot, viewer, dock, 8, 8)
    qtbot.waitUntil(lambda: found(prompts) == {1: 64})
    click(qtbot, dock.objects.buttons["accept"])
    cells = viewer.layers["embryo cells"]
    qtbot.waitUntil(lambda: count(cells.data) == 1)
    click_at(qtbot, viewer, dock, 8, 8)
    qtbot.wait(50)
    assert not prompts.objects  # it is finished
    click_at(qtbot, viewer, dock, 8, 8, modifier=ALT)
    assert prompts.current.label == 1
    assert len(prompts.current.points) == 1
    qtbot.keyClick(canvas_of(viewer), Qt.Key.Key_Escape)
    assert not prompts.objects
    qtbot.keyClick(canvas_of(viewer), Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not cells.data.any()
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(canvas_of(viewer), Qt.Key.Key_Z, both)
    assert count(cells.data) == 1


def test_points_and_boxes_are_moved_and_deleted_with_naparis_own_tools(prompting, qtbot):
    viewer, dock, prompts = prompting
    click_at(qtbot, viewer, dock, 8, 8)
    qtbot.waitUntil(lambda: found(prompts) == {1: 64})
    points = viewer.layers["embryo prompts"]
    points.mode = "select"
    drag_along(qtbot, viewer, dock, [(8, 8), (20, 12)])
    qtbot.waitUntil(lambda: found(prompts) == {1: 100})
    np.testing.assert_allclose(prompts.objects[1].points[0].position, (2, 20, 12), atol=0.3)
    points.selected_data = {0}
    points.remove_selected()
    qtbot.waitUntil(lambda: not prompts.objects)
    assert not len(points.data)
    click(qtbot, dock.tools.tools[Tool.BOX])
    drag_along(qtbot, viewer, dock, [(2, 2), (14, 14)])
    qtbot.waitUntil(lambda: found(prompts) == {2: 64})
    boxes = viewer.layers["embryo boxes"]
    boxes.selected_data = {0}
    boxes.remove_selected()
    qtbot.waitUntil(lambda: not prompts.objects)
    assert not viewer.layers["embryo open objects"].data.any()


def test_another_layer_pauses_and_a_tool_goes_on(prompting, qtbot):
    viewer, dock, prompts = prompting
    viewer.layers.selection.active = viewer.layers["embryo"]
    qtbot.waitUntil(lambda: dock.tools.state.text().startswith("Paused"))
    click_at(qtbot, viewer, dock, 8, 8)
    qtbot.wait(50)
    assert not prompts.objects
    click(qtbot, dock.tools.tools[Tool.POINT])
    click_at(qtbot, viewer, dock, 8, 8)
    qtbot.waitUntil(lambda: found(prompts) == {1: 64})


def test_other_orientations_are_prompted_where_they_are_seen(prompting, qtbot):
    viewer, dock, prompts = prompting
    viewer.dims.order = (1, 0, 2)  # xz
    viewer.dims.set_current_step(1, 20)
    viewer.reset_view()
    qtbot.waitUntil(lambda: dock.run.looking.plane.orientation == "xz")
    qtbot.waitUntil(lambda: prompts.ready)
    click_at(qtbot, viewer, dock, 3, 12)
    qtbot.waitUntil(lambda: found(prompts) == {1: 60})
    np.testing.assert_array_equal(
        np.argwhere(viewer.layers["embryo open objects"].data).min(axis=0), (0, 20, 8)
    )


def test_stopping_takes_the_layers_away_unless_something_is_open(prompting, qtbot):
    viewer, dock, prompts = prompting
    click_at(qtbot, viewer, dock, 8, 8)
    qtbot.waitUntil(lambda: found(prompts) == {1: 64})
    click(qtbot, dock.tools.prompt)
    assert "embryo prompts" in viewer.layers
    assert not prompts.active
    click(qtbot, dock.objects.buttons["discard"])
    qtbot.waitUntil(lambda: [layer.name for layer in viewer.layers] == ["embryo"])


def test_through_z_and_the_picture(prompting, qtbot):
    viewer, dock, prompts = prompting
    click(qtbot, dock.model.picture)
    qtbot.waitUntil(lambda: "embryo as the model sees it" in viewer.layers)
    seen = viewer.layers["embryo as the model sees it"]
    assert seen.data.shape == (1, 32, 40, 3)
    assert viewer.layers.selection.active is viewer.layers["embryo prompts"]
    assert dock.source.image.count() == 1  # it is no image to prompt
    click_at(qtbot, viewer, dock, 8, 8)
    qtbot.waitUntil(lambda: found(prompts) == {1: 64})
    qtbot.waitUntil(dock.objects.buttons["through"].isEnabled)
    click(qtbot, dock.objects.buttons["through"])
    qtbot.waitUntil(lambda: found(prompts) == {1: 6 * 64})
    click(qtbot, dock.objects.buttons["accept"])
    qtbot.waitUntil(lambda: np.count_nonzero(viewer.layers["embryo cells"].data) == 6 * 64)


def test_a_click_in_the_3d_view_finds_the_whole_cell(prompt_window, qtbot):
    viewer, dock = prompt_window
    image, truth = blob_volume((24, 44, 44), radius=6.0)
    for device in ("auto", "cpu"):
        worker().models.get("flow", "builtin", None, device, BlobNetwork)
    layer = add_image(viewer, image.astype(np.float32), spacing=(1.0, 1.0, 1.0))
    layer.contrast_limits = (float(image.min()), float(image.max()))
    session = dock.session
    session.parameters.device, session.parameters.diameter = "cpu", 12.0
    viewer.dims.ndisplay = 3
    click(qtbot, dock.tools.prompt)
    qtbot.waitUntil(lambda: dock.run.looking is not None and dock.run.looking.solid)
    click_on_ray(qtbot, viewer, truth == 1)
    assert "flow field" in dock.strip.text  # nothing was segmented yet
    session.try_region([slice(None)] * 3)
    qtbot.waitUntil(lambda: session.proposal is not None, timeout=20_000)
    dock.run.use(Tool.POINT)
    click_on_ray(qtbot, viewer, truth == 1)
    prompts = session.prompts
    qtbot.waitUntil(lambda: prompts.current is not None and not prompts.waiting, timeout=20_000)
    assert prompts.settings.in_3d
    part = prompts.current.whole("zyx")
    assert part is not None, prompts.current.problem
    label = truth[tuple(round(at) for at in prompts.current.points[0].position)]
    assert label
    found = np.zeros(truth.shape, bool)
    found[part.region] = part.mask
    whole = truth == label
    assert (found & whole).sum() / (found | whole).sum() > 0.7


def click_on_ray(qtbot, viewer, mask):
    """Click where a cell is seen in a 3D view that looks along z."""
    _, row, col = np.argwhere(mask).mean(axis=0)
    camera, canvas = viewer.scene.camera, canvas_of(viewer)
    assert np.allclose(np.abs(camera.view_direction), (1, 0, 0))
    y, x = (np.array([row, col]) - camera.center[-2:]) * camera.zoom
    at = QPoint(round(canvas.width() / 2 + x), round(canvas.height() / 2 + y))
    qtbot.mouseMove(canvas, at)
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=at)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_dock_is_narrow_and_follows_the_theme(prompt_window, qtbot, theme):
    viewer, dock = prompt_window
    add_image(viewer, blobs())
    viewer.theme = theme
    qtbot.wait(50)
    assert 320 <= dock.width() <= 380
    assert dock.styleSheet()


def test_every_control_has_a_tooltip_and_disabled_ones_say_why(prompt_window):
    from qtpy.QtWidgets import QAbstractButton, QComboBox, QMenu

    _, dock = prompt_window
    controls = [
        child
        for kind in (QAbstractButton, QComboBox)
        for child in dock.findChildren(kind)
        if child.objectName() != "qt_toolbar_ext_button" and not isinstance(child, QMenu)
    ]
    assert not [child for child in controls if not child.toolTip()]
    buttons = [child for child in dock.findChildren(QAbstractButton) if not child.isEnabled()]
    assert buttons
    assert all("Not now:" in button.toolTip() for button in buttons)


def test_everything_in_the_plane_is_thinned_out_and_accepted(prompting, qtbot):
    viewer, dock, prompts = prompting
    prompts.everything(points_per_side=10, least_stability=0.0, least_score=0.8)
    qtbot.waitUntil(lambda: len(prompts.objects) >= 2)
    click_at(qtbot, viewer, dock, 8, 8)  # takes the one that is shown there in hand
    qtbot.waitUntil(lambda: prompts.current is not None)
    before = len(prompts.objects)
    qtbot.keyClick(canvas_of(viewer), Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: len(prompts.objects) == before - 1)
    qtbot.keyClick(canvas_of(viewer), Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: len(prompts.objects) == before)
    qtbot.keyClick(canvas_of(viewer), Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not prompts.objects)
    assert count(viewer.layers["embryo cells"].data) == before


def test_why_through_z_stopped_is_said(prompting, qtbot):
    viewer, dock, prompts = prompting
    stack = np.zeros((6, 32, 40), np.uint32)
    stack[3:, :, :20] = 9
    dock.session.adopt(stack)
    click_at(qtbot, viewer, dock, 8, 8)
    qtbot.waitUntil(lambda: found(prompts) == {1: 64})
    qtbot.waitUntil(dock.objects.buttons["through"].isEnabled)
    click(qtbot, dock.objects.buttons["through"])
    qtbot.waitUntil(lambda: bool(prompts.current.stops))
    qtbot.waitUntil(lambda: any("Stopped at plane" in s for s in dock.notices.sentences))


def test_the_voxel_size_may_be_stated_while_prompting(prompting, qtbot):
    viewer, dock, prompts = prompting
    image = viewer.layers["embryo"]
    image.scale = (1.0, 0.25, 0.25)
    layers = dock.run.layers
    qtbot.waitUntil(lambda: layers.shown and np.allclose(layers.points.scale, image.scale))
    viewer.fit_to_view()
    qtbot.wait(100)
    click_at(qtbot, viewer, dock, 8, 8)
    qtbot.waitUntil(lambda: found(prompts) == {1: 64})
