"""Commands of the menus and the palette, in the real window."""

import numpy as np
import pytest
from napari.layers import Labels

from napari_cellseg.widgets import commands
from widgets.steps import add_image, count


@pytest.fixture
def window(make_napari_viewer, engine):
    return make_napari_viewer()


@pytest.fixture
def warnings_said(monkeypatch):
    said = []
    monkeypatch.setattr(commands, "show_warning", said.append)
    return said


def test_segment_the_selected_image_opens_the_dock(window, qtbot, settle):
    add_image(window, name="first")
    window.layers.selection.active = add_image(window, name="second")
    commands.segment_selected(window)
    _, dock = window.window.add_plugin_dock_widget("napari-cellseg", "Segment")
    settle(dock)
    assert dock.source.image.currentText() == "second"
    assert count(window.layers["second cells"].data) == 2


def test_without_an_image_they_say_so(window, warnings_said):
    commands.segment_selected(window)
    commands.new_cells_layer(window)
    commands.save_cells(window)
    assert len(warnings_said) == 3
    assert all(sentence.endswith(".") for sentence in warnings_said)


def test_a_new_cells_layer_lies_on_its_image(window):
    image = add_image(window)
    commands.new_cells_layer(window)
    layer = window.layers["embryo cells"]
    assert isinstance(layer, Labels)
    assert layer.data.shape == image.data.shape
    assert layer.data.dtype == np.uint32
    assert tuple(layer.scale) == tuple(image.scale)
    assert layer.units == image.units


def test_napari_knows_the_commands(window):
    from napari._app_model import get_app_model

    known = {name for name, _ in get_app_model().commands}
    assert {
        "napari-cellseg.segment",
        "napari-cellseg.segment_selected",
        "napari-cellseg.new_cells_layer",
        "napari-cellseg.save_cells",
        "napari-cellseg.start_prompting",
        "napari-cellseg.prompt",
    } <= known


def test_the_palette_gives_commands_the_viewer(window):
    from napari._app_model import get_app_model

    add_image(window)
    get_app_model().commands.execute_command("napari-cellseg.new_cells_layer").result()
    assert "embryo cells" in window.layers


def test_start_prompting_opens_the_dock_on_the_selected_image(window, qtbot, tiny):
    add_image(window, name="first")
    window.layers.selection.active = add_image(window, name="second")
    commands.start_prompting(window)
    _, dock = window.window.add_plugin_dock_widget("napari-cellseg", "Prompt")
    assert dock.source.image.currentText() == "second"
    assert dock.session.prompts.active
    qtbot.waitUntil(lambda: dock.session.prompts.ready)
