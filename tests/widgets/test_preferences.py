from pathlib import Path

from napari_cellseg.widgets.preferences import Preferences
from widgets.steps import add_image, click


def test_a_device_that_was_chosen_is_used_from_the_next_run_on(
    dock, viewer, settle, monkeypatch, qtbot
):
    add_image(viewer)
    assert dock.session.parameters.device == "auto"
    chosen = Preferences("cpu", Path("x"))
    monkeypatch.setattr("napari_cellseg.widgets.segment_run.preferences", lambda: chosen)
    click(qtbot, dock.model.try_button)
    settle(dock)
    assert dock.session.parameters.device == "cpu"


def test_a_recipes_device_stays(dock, viewer, settle, qtbot):
    add_image(viewer)
    dock.session.parameters.device = "cpu"
    click(qtbot, dock.model.segment_button)
    settle(dock)
    assert dock.session.parameters.device == "cpu"
