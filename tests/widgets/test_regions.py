"""Large images in the Segment dock: regions, label stores, blocks that appear, fields."""

import threading
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import zarr

from napari_cellseg.errors import Cancelled
from napari_cellseg.flows.blockwise.work import FIELD, growing_labels
from napari_cellseg.session.crops import crop_of
from napari_cellseg.session.session_stores import growing_logits
from napari_cellseg.volume import read_labels, write_labels
from napari_cellseg.widgets.region_box import region_meant
from widgets.steps import add_image, blobs, click, count

SHAPE = (6, 32, 40)


@pytest.fixture
def store(tmp_path):
    labels = np.zeros(SHAPE, np.uint32)
    labels[1:5, 4:12, 4:12] = 3
    labels[:, 16:26, 8:18] = 8
    path = tmp_path / "cells.ome.zarr"
    write_labels(path, labels, spacing=(2.0, 0.5, 0.5))
    return path, labels


def rectangle(viewer, z, low, high):
    """A rectangle drawn in world coordinates, selected."""
    corners = [(z, low[0], low[1]), (z, low[0], high[1]), (z, *high), (z, high[0], low[1])]
    shapes = viewer.add_shapes([np.array(corners)], shape_type="rectangle")
    viewer.layers.selection.active = shapes
    return shapes


def test_the_region_is_what_is_in_view_or_drawn(dock, viewer):
    image = add_image(viewer)
    viewer.dims.set_current_step(0, 2)
    region = region_meant(viewer, image, "zyx", "zyx", 1)
    assert region == (slice(1, 4), slice(0, 32), slice(0, 40))
    rectangle(viewer, 4.0, (2.0, 1.0), (8.0, 6.0))  # in µm: 0.5 each
    region = region_meant(viewer, image, "zyx", "zyx", 50)
    assert region == (slice(0, 6), slice(4, 17), slice(2, 13))
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_current_step(1, 10)
    region = region_meant(viewer, image, "zyx", "zyx", 3)
    assert region[1] == slice(7, 14)
    viewer.dims.ndisplay = 3
    assert region_meant(viewer, image, "zyx", "zyx", 1)[0].stop <= 6


def test_edit_a_region_of_the_store_and_write_it_back(dock, viewer, qtbot, settle, store):
    path, labels = store
    image = add_image(viewer)
    assert dock.regions.isHidden(), "a small image in memory has no use for it"
    dock.session.know_label_store(path)
    dock.region_run.store.show(path)
    assert not dock.regions.isHidden()
    shown = viewer.layers["embryo cells in cells.ome.zarr"]
    assert not shown.editable
    dock.regions.planes.setValue(1)
    viewer.dims.set_current_step(0, 2)
    click(qtbot, dock.regions.edit_button)
    settle(dock)
    cells = dock.layers.cells
    assert cells.data.shape == (3, 32, 40)
    assert tuple(cells.translate) == (2.0, 0.0, 0.0)
    assert tuple(dock.layers.image.translate) == (2.0, 0.0, 0.0)
    assert not shown.visible, "the same cells twice would mix"
    np.testing.assert_array_equal(cells.data, labels[1:4])
    dock.session.change("delete", 3)
    click(qtbot, dock.regions.back_button)
    settle(dock)
    expected = labels.copy()
    expected[1:4][labels[1:4] == 3] = 0
    np.testing.assert_array_equal(read_labels(path)[0], expected)
    assert "written back" in dock.strip.text
    dock.image.choose(image)
    assert crop_of(dock.session.volume) is None
    assert shown.visible
    np.testing.assert_array_equal(np.asarray(shown.data[0]), expected[0])


def test_another_region_of_the_same_size_does_not_take_the_first_ones_cells(
    dock, viewer, qtbot, settle, store
):
    path, labels = store
    image = add_image(viewer)
    dock.session.know_label_store(path)
    dock.regions.planes.setValue(0)
    for z in (2, 5):
        dock.image.choose(image)
        viewer.dims.set_current_step(0, z)
        click(qtbot, dock.regions.edit_button)
        settle(dock)
        np.testing.assert_array_equal(dock.layers.cells.data, labels[z : z + 1])
        assert dock.layers.cells.translate[0] == 2.0 * z
    assert len([layer for layer in viewer.layers if layer.name.endswith("cells")]) == 2


def test_segment_a_region(dock, viewer, qtbot, settle, engine, monkeypatch):
    add_image(viewer)
    monkeypatch.setattr("napari_cellseg.session.session_stores.available_memory", lambda: 1000)
    monkeypatch.setattr("napari_cellseg.session.session_stores._SMALL", 0)
    dock.session._asked = -1e9
    dock.refresh()
    assert "does not fit into memory" in dock.model.segment_button.reason
    assert not dock.regions.isHidden()
    dock.regions.planes.setValue(1)
    viewer.dims.set_current_step(0, 2)
    click(qtbot, dock.regions.region_button)
    settle(dock)
    assert engine.calls[-1]["region"] == (slice(1, 4), slice(0, 32), slice(0, 40))
    assert dock.layers.cells.data.shape == (3, 32, 40)
    assert count(dock.layers.cells.data) == 2


@pytest.fixture
def blockwise(monkeypatch):
    """Segments in two blocks, each after a gate."""
    gates = [threading.Event(), threading.Event()]
    state = SimpleNamespace(field=threading.Event(), gates=gates, calls=[], places=[])
    labels = (blobs(SHAPE) > 0.5).astype(np.uint32)

    def run(volume, output, *, progress, cancel, overwrite, **arguments):
        state.calls.append(arguments)
        growing = growing_labels(output)
        field = growing.parent.parent / FIELD / "logits"
        state.places.append((growing, field))
        zarr.create_array(field, shape=SHAPE, dtype="f2", chunks=SHAPE, fill_value=-32.0)
        assert state.field.wait(20)
        array = zarr.create_array(growing, shape=SHAPE, dtype="u4", chunks=(3, 32, 40))
        for index, gate in enumerate(state.gates):
            assert gate.wait(20)
            if cancel.is_set():
                raise Cancelled("cancelled")
            array[3 * index : 3 * index + 3] = labels[3 * index : 3 * index + 3]
            progress(0.4 + 0.4 * index, "labels")
        growing.parent.parent.rename(output.with_name("gone"))
        write_labels(output, labels, like=volume)
        table = pd.DataFrame({"voxels": [int(labels.sum())]})
        return SimpleNamespace(path=output, table=table, notices=("Told once.",))

    monkeypatch.setattr("napari_cellseg.flows.blockwise.segment_store", run, raising=False)
    return state


def test_cells_appear_block_by_block(dock, viewer, qtbot, settle, blockwise, tmp_path):
    add_image(viewer)
    output = tmp_path / "out.ome.zarr"
    dock.region_run.segment_store(output)
    look = dock.region_run.store
    qtbot.waitUntil(lambda: look.layer is not None, timeout=5000)
    assert look.layer.name == "embryo cell probability so far"
    growing_at = dock.session.growing
    assert blockwise.places == [(growing_at, growing_logits(growing_at))], "as the engine has it"
    assert dock.layers.image.name == "embryo", "it is no image to be segmented"
    assert dock.source.image.count() == 1
    blockwise.field.set()
    qtbot.waitUntil(lambda: "embryo cells so far" in viewer.layers, timeout=5000)
    assert "embryo cell probability so far" not in viewer.layers
    growing = look.layer
    assert growing.name == "embryo cells so far"
    assert not growing.editable
    assert not np.asarray(growing.data[...]).any()
    blockwise.gates[0].set()
    qtbot.waitUntil(lambda: (dock.session.status.fraction or 0) > 0.3)
    assert np.asarray(growing.data[...])[:3].any()
    assert dock.strip.text == "blockwise · labels"
    blockwise.gates[1].set()
    settle(dock)
    qtbot.waitUntil(lambda: "embryo cells in out.ome.zarr" in viewer.layers, timeout=5000)
    assert "embryo cells so far" not in viewer.layers
    assert dock.session.label_store == output
    assert dock.strip.text == "1 cell in out.ome.zarr"
    assert "Told once." in dock.notices.sentences
    assert dock.regions.edit_button.isEnabled()


def test_a_cancelled_run_can_be_gone_on_with(dock, viewer, qtbot, settle, blockwise, tmp_path):
    add_image(viewer)
    dock.region_run.segment_store(tmp_path / "out.ome.zarr")
    qtbot.waitUntil(lambda: dock.region_run.store.layer is not None, timeout=5000)
    click(qtbot, dock.strip.cancel)
    for gate in (blockwise.field, *blockwise.gates):
        gate.set()
    settle(dock)
    assert any("same settings" in sentence for sentence in dock.notices.sentences)
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=5000)
    assert dock.session.label_store is None


def test_a_field_is_saved_and_opened_from_the_menu(
    dock, viewer, qtbot, settle, tmp_path, monkeypatch
):
    from napari_cellseg.flows import FlowField, label_flows

    add_image(viewer)
    assert not dock.result.save_field_action.isEnabled()
    truth = np.zeros(SHAPE, np.uint32)
    truth[1:5, 4:12, 4:12], truth[1:5, 16:26, 8:18] = 1, 2
    spacing = (2.0, 0.5, 0.5)
    logits = np.where(truth > 0, 4.0, -4.0).astype(np.float32)
    FlowField(label_flows(truth, spacing), logits, spacing).save(tmp_path / "a.field.zarr")
    where = "napari_cellseg.widgets.dialogs."
    monkeypatch.setattr(f"{where}ask_open_field", lambda *_: tmp_path / "a.field.zarr")
    monkeypatch.setattr(f"{where}ask_save_field", lambda *_: tmp_path / "b.field.zarr")
    dock.result.open_field_action.trigger()
    qtbot.waitUntil(lambda: not dock.session.busy, timeout=60000)
    proposal = viewer.layers["embryo proposal"]
    np.testing.assert_array_equal(proposal.data > 0, truth > 0)
    for step in (520, 640, 480, 700, 560):
        dock.result.probability.slider.setValue(step)
    qtbot.waitUntil(lambda: not dock.session.busy and not dock.run.relabel_pending, timeout=60000)
    assert count(proposal.data) == 2
    dock.result.save_field_action.trigger()
    settle(dock)
    assert (tmp_path / "b.field.zarr").is_dir()
