"""The Prompt dock's controls and the session they set; no canvas is needed."""

import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from napari_cellseg.widgets import PromptDock
from napari_cellseg.worker import prompting
from widgets.steps import add_image, blobs, click


@pytest.fixture
def dock(viewer, tiny, qtbot):
    dock = PromptDock(viewer)
    qtbot.addWidget(dock)
    yield dock
    dock.let_go()
    qtbot.waitUntil(lambda: dock.session.prompts.encoding.running is None)


def start(qtbot, viewer, dock, **image):
    layer = add_image(viewer, **image)
    click(qtbot, dock.tools.prompt)
    qtbot.waitUntil(lambda: dock.session.prompts.ready)
    return layer


def test_the_plane_in_view_is_encoded_and_shown(dock, viewer, qtbot):
    start(qtbot, viewer, dock)
    viewer.dims.set_current_step(0, 4)
    qtbot.waitUntil(lambda: dock.model.ready.text().startswith("plane 4"))
    qtbot.waitUntil(lambda: dock.model.bar.done == dock.model.bar.count == 6)


def test_contrast_is_frozen_at_the_start_taken_on_demand_and_followed(dock, viewer, qtbot):
    image = add_image(viewer)
    image.contrast_limits = (0.1, 0.8)
    click(qtbot, dock.tools.prompt)
    settings = dock.session.prompts.settings
    assert settings.limits == ((0.1, 0.8),)
    image.contrast_limits = (0.2, 0.7)
    qtbot.wait(350)
    assert settings.limits == ((0.1, 0.8),)
    click(qtbot, dock.model.take)
    assert settings.limits == ((0.2, 0.7),)
    dock.model.follow.click()
    image.contrast_limits = (0.0, 0.5)
    qtbot.waitUntil(lambda: settings.limits == ((0.0, 0.5),))


def test_two_channels_are_shown_to_the_model_together(dock, viewer, qtbot):
    data = np.stack([blobs(), blobs()[:, ::-1]], axis=0)
    image = viewer.add_image(data, name="two", axis_labels=("c", "z", "y", "x"))
    assert dock.layers.image is image
    dock.image.choose(image, "czyx")
    first = dock.session.volume.channels[0]
    assert dock.source.channels.text() == first
    second = dock.source.menu.actions()[1]
    second.trigger()
    settings = dock.session.prompts.settings
    assert settings.channels == (0, 1)
    assert len(settings.limits) == 2
    click(qtbot, dock.tools.prompt)
    qtbot.waitUntil(lambda: dock.session.prompts.ready)
    click(qtbot, dock.model.picture)
    qtbot.waitUntil(lambda: "two as the model sees it" in viewer.layers)
    seen = viewer.layers["two as the model sees it"].data.reshape(32, 40, 3)
    assert seen[8, 5, 0] > 200
    assert seen[8, 5, 1] < 50
    assert not seen[..., 2].any()
    second.trigger()
    assert settings.channels == (0,)
    dock.source.menu.actions()[0].trigger()  # one stays ticked
    assert settings.channels == (0,)


def test_missing_weights_are_said_with_a_download_where_there_is_one(
    dock, viewer, qtbot, monkeypatch
):
    monkeypatch.setattr(prompting, "weights_missing", lambda model, files: f"no file of {model}.")
    add_image(viewer)
    dock.model.model_chosen.emit("sam")
    assert dock.model.missing.text() == "no file of sam."
    assert not dock.model.download_button.isHidden()
    assert not dock.tools.prompt.isEnabled()
    assert "weights" in dock.tools.prompt.toolTip()
    dock.model.model_chosen.emit("medsam")
    assert dock.model.download_button.isHidden()
    monkeypatch.setattr(prompting, "weights_missing", lambda model, files: "")
    dock.model.model_chosen.emit("mobile-sam")
    assert dock.model.missing.isHidden()
    assert dock.tools.prompt.isEnabled()


def test_a_model_file_is_dropped_onto_the_dock(dock, viewer, qtbot, tmp_path):
    import torch

    file = tmp_path / "mine.pth"
    torch.save({"image_encoder.patch_embed.proj.weight": torch.zeros(2)}, file)
    other = tmp_path / "notes.txt"
    other.write_text("nothing")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(file)), QUrl.fromLocalFile(str(other))])
    event = QDropEvent(
        QPointF(5, 5),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    dock.dropEvent(event)
    settings = dock.session.prompts.settings
    qtbot.waitUntil(lambda: settings.model == "sam")
    assert settings.checkpoint == file
    assert "MedSAM" in dock.strip.text
    dock.model.model_chosen.emit("medsam")
    assert settings.checkpoint == file  # files of both look alike
    dock.model.model_chosen.emit("mobile-sam")
    assert settings.checkpoint is None


def test_a_file_that_is_no_model_is_refused_in_a_sentence(dock, qtbot, tmp_path):
    file = tmp_path / "broken.pt"
    file.write_bytes(b"nothing at all")
    dock.scene.use_files([file])
    qtbot.waitUntil(lambda: "broken.pt" in dock.strip.text and "damaged" in dock.strip.text)
    assert dock.session.prompts.settings.checkpoint is None


def test_a_click_outside_the_image_is_a_sentence_and_not_a_notification(dock, viewer, qtbot):
    start(qtbot, viewer, dock)
    dock.run.failed.emit(ValueError("outside"))
    assert dock.strip.text == "outside"


def test_overwriting_is_only_on_demand(dock, viewer, qtbot):
    start(qtbot, viewer, dock)
    prompts = dock.session.prompts
    dock.objects.overwrite.click()
    assert prompts.settings.overwrite
    dock.tools.several.click()
    assert prompts.settings.several


def test_strokes_and_acceptances_are_undone_in_turn(dock, viewer, qtbot):
    start(qtbot, viewer, dock)
    prompts = dock.session.prompts
    one = prompts.click((2, 8, 8))
    qtbot.waitUntil(lambda: one.pending is None)
    prompts.accept()
    cells = viewer.layers["embryo cells"]
    cells.paint((2, 28, 35), 9)
    other = prompts.click((2, 20, 12))
    qtbot.waitUntil(lambda: other.pending is None)
    prompts.accept()
    assert set(np.unique(cells.data)) == {0, 1, 9, 10}
    cells.undo()
    assert set(np.unique(cells.data)) == {0, 1, 9}
    cells.undo()
    assert set(np.unique(cells.data)) == {0, 1}
    cells.redo()
    cells.redo()
    assert set(np.unique(cells.data)) == {0, 1, 9, 10}


def test_an_image_with_time_is_prompted_at_the_time_in_view(dock, viewer, qtbot):
    start(qtbot, viewer, dock, data=np.stack([blobs(), blobs()[:, ::-1]]))
    viewer.dims.set_current_step(0, 1)
    viewer.dims.set_current_step(1, 3)
    prompts = dock.session.prompts
    qtbot.waitUntil(lambda: prompts.encoding.view.t == 1 and prompts.encoding.view.index == 3)


def test_an_image_of_one_plane(dock, viewer, qtbot):
    start(qtbot, viewer, dock, data=blobs()[0])
    prompts = dock.session.prompts
    one = prompts.click((8, 8))
    qtbot.waitUntil(lambda: one.pending is None)
    assert one.voxels == 64
    qtbot.waitUntil(lambda: "64 pixels" in dock.objects.object.text())
    assert "one plane" in dock.objects.buttons["through"].toolTip()
