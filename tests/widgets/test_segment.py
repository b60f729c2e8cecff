"""The dock drives the session: open, try, run, refine, apply, save."""

import json

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_cellseg.volume import read_labels
from widgets.steps import add_image, blobs, click, count, layer, type_into


def test_without_an_image_everything_says_why_not(dock):
    for button in (
        dock.model.try_button,
        dock.model.segment_button,
        dock.model.measure,
        dock.result.apply_button,
        dock.result.save_button,
    ):
        assert not button.isEnabled()
        assert "Not now:" in button.toolTip()
    assert dock.source.file_button.isEnabled()
    assert "image" in dock.strip.text


def test_an_image_is_taken_with_what_it_states(dock, viewer):
    add_image(viewer)
    assert dock.source.image.currentText() == "embryo"
    assert dock.source.spacing.value == (2.0, 0.5, 0.5)
    assert not dock.source.spacing.fields["z"].property("asked")
    assert dock.source.axes.currentText() == "z · y · x"
    assert dock.source.channel.isHidden()
    assert dock.model._unit.text() == "µm"
    assert dock.model.segment_button.isEnabled()


def test_what_the_image_does_not_state_is_asked_for(dock, viewer, qtbot):
    viewer.add_image(blobs())
    assert dock.source.spacing.fields["z"].property("asked")
    assert dock.source.axes.property("asked")
    assert dock.model._unit.text() == "px"
    assert any("how large a voxel is" in sentence for sentence in dock.notices.sentences)
    for axis, text in zip("zyx", ("2", "0.5", "0.5"), strict=True):
        type_into(qtbot, dock.source.spacing.fields[axis], text)
    assert dock.session.parameters.spacing == (2.0, 0.5, 0.5)
    assert not dock.source.spacing.fields["z"].property("asked")
    assert not any("voxel" in sentence for sentence in dock.notices.sentences)
    assert dock.model._unit.text() == "µm"
    image = viewer.layers[0]
    assert tuple(image.scale) == (2.0, 0.5, 0.5)
    assert {str(unit) for unit in image.units} == {"micrometer"}


def test_axes_can_be_corrected(dock, viewer):
    image = viewer.add_image(blobs())
    index = dock.source.axes.findData("tyx")
    dock.source.axes.setCurrentIndex(index)
    dock.source.axes.activated.emit(index)
    assert dock.session.label_axes == "tyx"
    assert image.axis_labels == ("t", "y", "x")
    assert dock.source.spacing.fields["z"].isHidden()


def test_segment_all_makes_a_cells_layer_on_its_image(dock, viewer, qtbot, settle, engine):
    image = add_image(viewer)
    click(qtbot, dock.model.segment_button)
    settle(dock)
    cells = layer(viewer, "embryo cells")
    assert count(cells.data) == 2
    assert cells.data is dock.session.labels
    assert tuple(cells.scale) == tuple(image.scale)
    assert cells.units == image.units
    assert cells.axis_labels == ("z", "y", "x")
    assert cells.editable
    recipe = cells.metadata["napari-cellseg"]
    assert json.loads(json.dumps(recipe))["result"]["model"] == "builtin"
    assert {"version", "parameters"} <= set(recipe)
    assert dock.strip.text == "2 cells"


def test_try_here_shows_only_the_plane_in_view(dock, viewer, qtbot, settle, engine):
    add_image(viewer)
    viewer.dims.set_current_step(0, 3)
    click(qtbot, dock.model.try_button)
    settle(dock)
    proposal = layer(viewer, "embryo proposal")
    assert engine.calls[-1]["region"] == (slice(3, 4), slice(0, 32), slice(0, 40))
    assert proposal.data.shape == (1, 32, 40)
    assert tuple(proposal.translate) == (6.0, 0.0, 0.0)
    assert not proposal.editable
    assert "embryo cells" not in viewer.layers


def test_the_slider_relabels_into_the_proposal_and_apply_takes_it(
    dock, viewer, qtbot, settle, engine
):
    add_image(viewer)
    click(qtbot, dock.model.segment_button)
    settle(dock)
    runs = len(engine.calls)
    for step in (480, 460, 440, 420):  # p down to 0.29 and below
        dock.result.probability.slider.setValue(step)
    dock.result.probability.slider.setValue(400)
    settle(dock)
    assert len(engine.calls) == runs, "the network must not run again"
    proposal, cells = layer(viewer, "embryo proposal"), layer(viewer, "embryo cells")
    assert dock.session.parameters.probability < 0.3
    assert count(proposal.data) == 3
    assert count(cells.data) == 2
    assert not cells.visible
    click(qtbot, dock.result.apply_button)
    settle(dock)
    assert "embryo proposal" not in viewer.layers
    assert cells.visible
    assert count(cells.data) == 3
    assert cells.data is dock.session.labels
    assert cells.metadata["napari-cellseg"]["result"]["probability"] < 0.3
    click(qtbot, dock.result.undo_button)
    assert count(cells.data) == 2


def test_the_same_proposal_layer_is_reused(dock, viewer, qtbot, settle):
    add_image(viewer)
    click(qtbot, dock.model.segment_button)
    settle(dock)
    seen = set()
    for step in (450, 430, 400):
        dock.result.probability.slider.setValue(step)
        settle(dock)
        seen.add(id(layer(viewer, "embryo proposal")))
    assert len(seen) == 1
    click(qtbot, dock.result.discard_button)
    assert "embryo proposal" not in viewer.layers


def test_hand_edits_survive_another_run_and_its_apply(dock, viewer, qtbot, settle):
    add_image(viewer)
    click(qtbot, dock.model.segment_button)
    settle(dock)
    cells = layer(viewer, "embryo cells")
    cells.brush_size = 5
    cells.selected_label = 77
    cells.paint((2, 28, 35), 77)
    assert dock.session.edited
    painted = np.argwhere(cells.data == 77)
    assert len(painted)
    click(qtbot, dock.model.segment_button)
    settle(dock)
    assert (cells.data == 77).any(), "the run must not touch what was painted"
    assert layer(viewer, "embryo proposal")
    click(qtbot, dock.result.apply_button)
    settle(dock)
    assert (cells.data[tuple(painted.T)] == 77).all()
    cells.undo()  # the run found the same cells again, so the stroke was the last step
    assert not (cells.data == 77).any()
    cells.redo()
    assert (cells.data[tuple(painted.T)] == 77).all()


def test_undo_and_redo_of_the_brush_count_as_edits(dock, viewer, qtbot, settle, tmp_path):
    add_image(viewer)
    click(qtbot, dock.model.segment_button)
    settle(dock)
    cells = layer(viewer, "embryo cells")
    cells.paint((2, 28, 35), 77)
    dock.run.save(tmp_path / "cells.tif", False)
    settle(dock)
    assert not dock.session.dirty
    cells.undo()
    assert dock.session.dirty
    dock.run.save(tmp_path / "cells.tif", True)
    settle(dock)
    cells.redo()
    assert dock.session.dirty


def test_save_asks_where_and_writes(dock, viewer, qtbot, settle, tmp_path, monkeypatch):
    add_image(viewer)
    click(qtbot, dock.model.segment_button)
    settle(dock)
    target = tmp_path / "out.ome.zarr"
    monkeypatch.setattr("napari_cellseg.widgets.dialogs.ask_save_path", lambda *_: target)
    click(qtbot, dock.result.save_button)
    settle(dock)
    labels, spacing = read_labels(target)
    np.testing.assert_array_equal(labels, layer(viewer, "embryo cells").data)
    assert tuple(spacing) == (2.0, 0.5, 0.5)
    assert "saved" in dock.strip.text


def test_a_cancelled_dialog_does_nothing(dock, viewer, qtbot, settle, monkeypatch):
    add_image(viewer)
    click(qtbot, dock.model.segment_button)
    settle(dock)
    for ask in ("ask_save_path", "ask_image_file", "ask_image_folder"):
        monkeypatch.setattr(f"napari_cellseg.widgets.dialogs.{ask}", lambda *_: None)
    for button in (dock.result.save_button, dock.source.file_button, dock.source.folder_button):
        click(qtbot, button)
    assert not dock.session.busy
    assert dock.session.saved_path is None


def test_open_file_adds_layers_with_scale_units_and_axes(
    dock, viewer, qtbot, settle, tmp_path, monkeypatch
):
    import tifffile

    path = tmp_path / "stack.ome.tif"
    tifffile.imwrite(
        path,
        (blobs() * 200).astype(np.uint8),
        metadata={
            "axes": "ZYX",
            "PhysicalSizeX": 0.5,
            "PhysicalSizeY": 0.5,
            "PhysicalSizeZ": 2.0,
        },
    )
    monkeypatch.setattr("napari_cellseg.widgets.dialogs.ask_image_file", lambda *_: path)
    click(qtbot, dock.source.file_button)
    settle(dock)
    image = dock.image.image
    assert isinstance(image, Image)
    assert image.name == dock.source.image.currentText() == "stack"
    assert tuple(image.scale) == (2.0, 0.5, 0.5)
    assert image.axis_labels == ("z", "y", "x")
    assert dock.session.volume.source == path


def test_existing_labels_are_adopted_and_kept(dock, viewer, qtbot, settle):
    add_image(viewer)
    mine = np.zeros((6, 32, 40), np.uint32)
    mine[:, 20:24, 30:36] = 41
    viewer.add_labels(mine, name="by hand")
    dock.result.adopt_menu.aboutToShow.emit()
    action = dock.result.adopt_menu.actions()[0]
    assert action.text() == "by hand"
    action.trigger()
    assert dock.session.labels is mine
    assert dock.layers.cells is viewer.layers["by hand"]
    click(qtbot, dock.model.segment_button)
    settle(dock)
    click(qtbot, dock.result.apply_button)
    settle(dock)
    data = viewer.layers["by hand"].data
    assert (data[:, 20:24, 30:36] == 41).all()
    assert count(data) == 3


def test_labels_that_do_not_fit_are_refused_in_one_sentence(dock, viewer):
    add_image(viewer)
    viewer.add_labels(np.zeros((3, 3, 3), np.uint32), name="other")
    dock.result.adopt_menu.aboutToShow.emit()
    dock.result.adopt_menu.actions()[0].trigger()
    assert dock.layers.cells is None
    assert dock.session.labels is None
    assert dock.strip.text


@pytest.mark.parametrize("text", ["0", "-1", "wide"])
def test_a_bad_diameter_is_said_and_nothing_runs(dock, viewer, qtbot, text):
    add_image(viewer)
    type_into(qtbot, dock.model.diameter, text)
    assert not dock.model.segment_button.isEnabled()
    assert any("diameter" in sentence for sentence in dock.notices.sentences)
    type_into(qtbot, dock.model.diameter, "11")
    assert dock.model.segment_button.isEnabled()
    assert dock.session.parameters.diameter == 11
    assert not any("diameter" in sentence for sentence in dock.notices.sentences)


def test_a_bad_spacing_is_said_and_nothing_runs(dock, viewer, qtbot):
    add_image(viewer)
    type_into(qtbot, dock.source.spacing.fields["z"], "nan")
    assert not dock.model.try_button.isEnabled()
    assert dock.session.parameters.spacing == (2.0, 0.5, 0.5)
    assert any("z spacing" in sentence for sentence in dock.notices.sentences)
    type_into(qtbot, dock.source.spacing.fields["z"], "3")
    assert dock.model.try_button.isEnabled()
    assert dock.session.parameters.spacing == (3.0, 0.5, 0.5)


def test_an_error_is_one_sentence_in_strip_and_notification(
    dock, viewer, qtbot, settle, engine, monkeypatch
):
    from napari_cellseg.errors import InputError

    said = []
    monkeypatch.setattr("napari_cellseg.widgets.announce.show_error", said.append)
    add_image(viewer)
    engine.fail = InputError("The image is constant: choose another channel.")
    click(qtbot, dock.model.segment_button)
    settle(dock)
    assert said == ["The image is constant: choose another channel."]
    assert dock.strip.text == said[0]
    assert dock.strip.property("error")
    assert "embryo cells" not in viewer.layers
    engine.fail = None
    click(qtbot, dock.model.segment_button)
    settle(dock)
    assert dock.strip.text == "2 cells"


def test_an_unwritable_output_is_said(dock, viewer, qtbot, settle, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("napari_cellseg.widgets.announce.show_error", said.append)
    add_image(viewer)
    click(qtbot, dock.model.segment_button)
    settle(dock)
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    dock.run.save(blocked / "cells.tif", False)
    settle(dock)
    assert len(said) == 1
    assert dock.session.saved_path is None
    assert list(tmp_path.iterdir()) == [blocked]


@pytest.mark.parametrize(
    ("shape", "axes", "spacing"),
    [((32, 40), "yx", (1, 0.5, 0.5)), ((3, 6, 32, 40), "tzyx", (2.0, 0.5, 0.5))],
)
def test_2d_and_3d_in_time(dock, viewer, qtbot, settle, shape, axes, spacing):
    add_image(viewer, blobs(shape), spacing=spacing)
    assert dock.session.label_axes == axes
    click(qtbot, dock.model.try_button)
    settle(dock)
    assert layer(viewer, "embryo proposal").data.shape == (*[1] * (len(axes) - 2), 32, 40)
    click(qtbot, dock.model.segment_button)
    settle(dock)
    cells = layer(viewer, "embryo cells")
    assert cells.data.shape == shape
    assert cells.axis_labels == tuple(axes)


def test_a_channel_between_t_and_z_does_not_shift_the_cells(dock, viewer, qtbot, settle):
    data = np.stack([np.zeros((2, 6, 32, 40), np.float32), blobs((2, 6, 32, 40))], axis=1)
    viewer.add_image(data, name="two", axis_labels=tuple("tczyx"))
    assert not dock.source.channel.isHidden()
    dock.source.channel.setCurrentIndex(1)
    dock.source.channel.activated.emit(1)
    assert dock.session.parameters.channel == 1
    click(qtbot, dock.model.segment_button)
    settle(dock)
    cells = layer(viewer, "two cells")
    assert cells.data.shape == (2, 2, 6, 32, 40)
    assert count(cells.data) == 2
    cells.paint((1, 0, 2, 30, 38), 99)
    assert (dock.session.labels[1, 2] == 99).any()
    assert dock.session.edited


def test_switching_images_and_back_keeps_both_results(dock, viewer, qtbot, settle):
    add_image(viewer)
    click(qtbot, dock.model.segment_button)
    settle(dock)
    add_image(viewer, name="second")
    assert dock.source.image.currentText() == "embryo"
    index = dock.source.image.findText("second")
    dock.source.image.setCurrentIndex(index)
    dock.source.image.activated.emit(index)
    assert dock.session.labels is None
    click(qtbot, dock.model.segment_button)
    settle(dock)
    assert {"embryo cells", "second cells"} <= {layer.name for layer in viewer.layers}
    index = dock.source.image.findText("embryo")
    dock.source.image.activated.emit(index)
    assert dock.layers.cells is viewer.layers["embryo cells"]
    assert dock.session.labels is viewer.layers["embryo cells"].data


def test_renaming_the_image_shows_in_the_list(dock, viewer):
    image = add_image(viewer)
    image.name = "other"
    assert dock.source.image.currentText() == "other"


def test_replacing_the_layers_data_by_code_is_an_edit(dock, viewer, qtbot, settle):
    add_image(viewer)
    click(qtbot, dock.model.segment_button)
    settle(dock)
    cells = layer(viewer, "embryo cells")
    cells.data = np.ones((6, 32, 40), np.uint32)
    assert dock.session.edited
    assert (dock.session.labels == 1).all()


def test_removing_the_proposal_layer_discards_it(dock, viewer, qtbot, settle):
    add_image(viewer)
    click(qtbot, dock.model.try_button)
    settle(dock)
    viewer.layers.remove("embryo proposal")
    assert dock.session.proposal is None
    assert isinstance(dock.image.image, Image)
    assert not [layer for layer in viewer.layers if isinstance(layer, Labels)]


def test_the_newest_of_like_sentences_is_shown():
    from napari_cellseg.widgets.segment import latest

    said = ["The diameter was 12.2 µm.", "It looks unlike nuclei.", "The diameter was 7 µm."]
    assert list(latest(said)) == ["It looks unlike nuclei.", "The diameter was 7 µm."]


def test_a_fault_of_ours_keeps_its_traceback(dock, viewer, qtbot, settle, engine, monkeypatch):
    from napari.utils.notifications import notification_manager

    shown = []
    monkeypatch.setattr(notification_manager, "dispatch", shown.append)
    add_image(viewer)
    engine.fail = RuntimeError("a fault")
    click(qtbot, dock.model.segment_button)
    settle(dock)
    assert [type(notification).__name__ for notification in shown] == ["ErrorNotification"]
    assert shown[0].exception is not None
    assert dock.strip.text


def test_an_rgb_image_gives_plain_cells(dock, viewer, qtbot, settle):
    viewer.add_image(np.stack([blobs((32, 40))] * 3, axis=-1), rgb=True, name="stain")
    assert dock.source.channel.isHidden()
    click(qtbot, dock.model.segment_button)
    settle(dock)
    assert layer(viewer, "stain cells").data.shape == (32, 40)


def test_a_pyramid_is_segmented_at_its_finest_level(dock, viewer, qtbot, settle):
    fine = blobs((4, 64, 80))
    viewer.add_image([fine, fine[:, ::2, ::2]], multiscale=True, name="pyramid")
    click(qtbot, dock.model.segment_button)
    settle(dock)
    assert layer(viewer, "pyramid cells").data.shape == (4, 64, 80)


def test_a_layer_with_too_many_dimensions_is_refused(dock, viewer, monkeypatch):
    said = []
    monkeypatch.setattr("napari_cellseg.widgets.announce.show_error", said.append)
    viewer.add_image(np.zeros((1, 1, 2, 2, 8, 8)), name="deep")
    viewer.add_points(np.zeros((1, 2)))
    assert len(said) == 1, "it is said once"
    assert said[0].startswith("The layer “deep” has 6 dimensions")
    assert not dock.model.segment_button.isEnabled()
    add_image(viewer)
    assert dock.source.image.currentText() == "embryo"
    assert dock.model.segment_button.isEnabled()


def test_the_list_names_the_image_that_is_segmented(dock, viewer, qtbot, settle):
    first = add_image(viewer, blobs((32, 40)), name="first", spacing=(1, 0.5, 0.5))
    add_image(viewer, name="other")
    for name in ("other", "first"):
        index = dock.source.image.findText(name)
        dock.source.image.setCurrentIndex(index)
        dock.source.image.activated.emit(index)
        assert dock.source.image.currentText() == name
        click(qtbot, dock.model.try_button)
        settle(dock)
    assert dock.image.image is first
    assert dock.session.label_axes == "yx"


def test_removing_the_cells_layer_starts_afresh(dock, viewer, qtbot, settle):
    add_image(viewer)
    click(qtbot, dock.model.segment_button)
    settle(dock)
    layer(viewer, "embryo cells").paint((2, 28, 35), 77)
    viewer.layers.remove("embryo cells")
    assert not dock.result.save_button.isEnabled()
    click(qtbot, dock.model.segment_button)
    settle(dock)
    assert "embryo proposal" not in viewer.layers
    assert count(layer(viewer, "embryo cells").data) == 2


def test_the_brush_is_not_left_on_other_labels(dock, viewer, qtbot, settle):
    add_image(viewer)
    truth = viewer.add_labels(np.zeros((6, 32, 40), np.uint32), name="truth")
    for button, name in (
        (dock.model.try_button, "embryo proposal"),
        (dock.model.segment_button, "embryo cells"),
    ):
        viewer.layers.selection.active = truth
        click(qtbot, button)
        settle(dock)
        assert viewer.layers.selection.active.name == name


def test_what_was_asked_is_dropped_after_segmenting(dock, viewer, qtbot, settle):
    viewer.add_image(blobs())
    assert dock.notices.sentences
    click(qtbot, dock.model.segment_button)
    settle(dock)
    assert not dock.notices.sentences


@pytest.mark.parametrize("agreed", [True, False])
def test_a_folder_is_replaced_only_if_the_user_agrees(dock, monkeypatch, tmp_path, agreed):
    from napari_cellseg.widgets import dialogs

    (tmp_path / "cells.ome.zarr").mkdir()
    typed = (str(tmp_path / "cells"), "OME-Zarr (*.ome.zarr *.zarr)")
    monkeypatch.setattr(dialogs.QFileDialog, "getSaveFileName", lambda *_: typed)
    monkeypatch.setattr(dialogs, "agrees_to_replace", lambda *_: agreed)
    expected = tmp_path / "cells.ome.zarr" if agreed else None
    assert dialogs.ask_save_path(dock, tmp_path) == expected


def test_the_dock_is_never_narrower_than_its_content(dock, viewer, qtbot):
    from qtpy.QtWidgets import QScrollArea

    add_image(viewer)
    dock.show()
    dock.resize(100, 300)
    scroll = dock.findChild(QScrollArea)
    qtbot.wait(20)
    assert scroll.viewport().width() >= scroll.widget().minimumSizeHint().width()
    assert scroll.widget().width() == scroll.viewport().width()


@pytest.fixture
def networks(monkeypatch):
    """Three networks to choose from, whatever this installation has."""
    from napari_cellseg.networks import NetworkInfo

    infos = (
        NetworkInfo("builtin", "nuclei", "BSD", "Nuclei.", True, scale="Rescaled."),
        NetworkInfo(
            "lent",
            "lent network",
            "research only",
            "Cells of any kind.",
            False,
            scale="Seen as sampled.",
            source="the page of its authors",
            needs_checkpoint=True,
        ),
    )
    monkeypatch.setattr("napari_cellseg.widgets.segment.available_networks", lambda: infos)
    return infos


def choose(combo, name):
    index = combo.findData(name)
    assert index >= 0
    combo.setCurrentIndex(index)
    combo.activated.emit(index)


def test_a_network_says_what_restricts_it_and_asks_for_its_file(
    networks, viewer, engine, qtbot, monkeypatch, tmp_path
):
    from napari_cellseg.widgets import SegmentDock

    dock = SegmentDock(viewer)
    qtbot.addWidget(dock)
    try:
        add_image(viewer)
        assert dock.model.restriction.isHidden()
        assert "Rescaled." in dock.model.about.text()
        choose(dock.model.model, "lent")
        assert dock.session.parameters.model == "lent"
        assert dock.model.restriction.text() == "Licence: research only."
        assert not dock.model.restriction.isHidden()
        assert "Seen as sampled." in dock.model.about.text()
        assert "page of its authors" in dock.model.segment_button.reason
        path = tmp_path / "phase2.pth"
        monkeypatch.setattr("napari_cellseg.widgets.dialogs.ask_model_files", lambda *_: (path,))
        click(qtbot, dock.model.file)
        assert dock.session.parameters.checkpoint == path
        assert dock.model.segment_button.isEnabled()
        choose(dock.model.model, "builtin")
        assert dock.session.parameters.checkpoint is None, "the file was of the other model"
        choose(dock.model.model, "lent")
        assert dock.session.parameters.checkpoint == path
    finally:
        dock.let_go()


def test_fusion_is_asked_in_3d_only_and_suggested_where_planes_are_few(
    dock, viewer, qtbot, settle, engine
):
    flat = viewer.add_image(blobs()[0], name="flat")
    assert dock.model.fusion.isHidden()
    viewer.layers.remove(flat)
    add_image(viewer)
    assert not dock.model.fusion.isHidden()
    assert dock.model.join_planes.isHidden()
    engine.notices = ("Few planes: fusion='xy', which joins planes, may do better.",)
    click(qtbot, dock.model.segment_button)
    settle(dock)
    assert engine.calls[-1]["fusion"] != "xy"
    assert not dock.model.join_planes.isHidden()
    click(qtbot, dock.model.join_planes)
    assert dock.model.fusion.currentData() == "xy"
    assert dock.model.join_planes.isHidden()
    click(qtbot, dock.model.segment_button)
    settle(dock)
    assert engine.calls[-1]["fusion"] == "xy"


def test_a_second_channel_for_a_network_that_takes_several(
    monkeypatch, viewer, engine, qtbot, settle
):
    from napari_cellseg.networks import NetworkInfo
    from napari_cellseg.widgets import SegmentDock

    infos = (
        NetworkInfo("builtin", "one", "BSD", "One.", True),
        NetworkInfo("several", "several", "BSD", "Several.", True, channels=3),
    )
    monkeypatch.setattr("napari_cellseg.widgets.segment.available_networks", lambda: infos)
    dock = SegmentDock(viewer)
    qtbot.addWidget(dock)
    try:
        layer = viewer.add_image(np.stack([blobs()] * 3), name="embryo")
        dock.image.choose(layer, "czyx")
        assert dock.model.channel.isHidden()
        choose(dock.model.model, "several")
        assert not dock.model.channel.isHidden()
        names = [dock.model.channel.itemText(k) for k in range(dock.model.channel.count())]
        assert names == ["no other channel", "channel 1", "channel 2"]
        choose(dock.model.channel, 2)
        arguments = dock.session._run_arguments()
        assert arguments["channel"] == (0, 2)
        assert "second_channel" not in arguments
        choose(dock.model.model, "builtin")
        assert dock.session._run_arguments()["channel"] == 0
    finally:
        dock.let_go()
