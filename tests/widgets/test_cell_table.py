"""The table: measured away from the window, row and cell find each other, saved whole."""

import time

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_cellseg.labels import Mark
from napari_cellseg.widgets import cell_table
from napari_cellseg.widgets.cell_table_model import CellTableModel, title, written
from widgets.edit_until_killed import start
from widgets.prompt_steps import canvas_of
from widgets.steps import add_image, click

SHAPE = (6, 32, 40)


def table(count, seed=0):
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_arrays([np.zeros(count, int), np.arange(1, count + 1)])
    columns = {
        "voxels": rng.integers(1, 999, count),
        "volume_um3": rng.random(count),
        "touches_border": rng.random(count) > 0.5,
        "neighbour_ids": ["1 2"] * count,
        "region": ["b", "a"] * (count // 2) + ["c"] * (count % 2),
        "bbox_z0": np.zeros(count, int),
    }
    return pd.DataFrame(columns, index=index.set_names(["t", "id"]))


@pytest.fixture
def model(qtmodeltester):
    model = CellTableModel()
    model.show(table(7))
    return model


def column(model, at):
    return [model.index(row, at).data() for row in range(model.rowCount())]


def test_qt_finds_nothing_wrong_with_the_model(model, qtmodeltester):
    qtmodeltester.check(model)
    model.show(None)
    qtmodeltester.check(model)
    assert model.rowCount() == 0


def test_headings_and_values_are_for_people():
    assert title("volume_um3") == "volume (µm³)"
    assert title("nuclei_mean") == "nuclei mean"
    assert written(np.float64(0.123456)) == "0.1235"
    assert written(float("nan")) == ""
    assert written(np.bool_(True)) == "yes"
    assert written(np.int64(1204)) == "1204"


def test_what_is_only_saved_is_not_shown(model):
    across = Qt.Orientation.Horizontal
    names = [model.headerData(k, across) for k in range(model.columnCount())]
    assert names == ["id", "voxels", "volume (µm³)", "touches border", "region"]
    model.show(table(3), timed=True)
    assert model.headerData(0, across) == "t"


def test_sorting_goes_both_ways_and_keeps_what_is_selected(model):
    kept = model.index(2, 1)
    key = model.key(2)
    from qtpy.QtCore import QPersistentModelIndex

    held = QPersistentModelIndex(kept)
    model.sort(1, Qt.SortOrder.DescendingOrder)
    sizes = [int(one) for one in column(model, 1)]
    assert sizes == sorted(sizes, reverse=True)
    assert model.key(held.row()) == key
    assert model.row(key) == held.row()
    model.sort(4)
    assert column(model, 4) == sorted(column(model, 4))


def test_cells_without_a_value_come_last():
    frame = table(4)
    frame["volume_um3"] = [np.nan, 2.0, 1.0, np.nan]
    model = CellTableModel()
    model.show(frame)
    for order in (Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder):
        model.sort(2, order)
        assert column(model, 2)[2:] == ["", ""]
    assert column(model, 2)[:2] == ["2", "1"]


@pytest.fixture
def window(make_napari_viewer, tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_CELLSEG_DOCUMENTS", str(tmp_path / "documents"))
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1200, 900)
    _, dock = viewer.window.add_plugin_dock_widget("napari-cellseg", "Table")
    add_image(viewer)
    dock.session.adopt(start(SHAPE))
    return viewer, dock


def measure(qtbot, dock):
    click(qtbot, dock.panel.measure)
    qtbot.waitUntil(lambda: dock.measured is not None and dock.panel.measure.isEnabled())


def ids(dock):
    return [dock.panel.model.key(row)[1] for row in range(dock.panel.model.rowCount())]


def click_row(qtbot, dock, row):
    view = dock.panel.view
    place = view.visualRect(dock.panel.model.index(row, 0)).center()
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_measuring_is_asked_for_and_goes_stale(window, qtbot):
    _, dock = window
    panel = dock.panel
    assert not panel.save.isEnabled()
    measure(qtbot, dock)
    assert ids(dock) == [1, 2, 3]
    assert panel.said.text() == "3 cells"
    assert panel.stale.isHidden()
    shown = dock.measured.table
    assert shown.loc[(0, 1), "volume_um3"] == pytest.approx(3 * 8 * 8 * 2 * 0.5 * 0.5)
    assert shown.loc[(0, 3), "intensity_mean"] == pytest.approx(0.3)
    dock.session.change("merge", [1, 2])
    assert not panel.stale.isHidden()
    measure(qtbot, dock)
    assert ids(dock) == [1, 3]
    assert panel.stale.isHidden()


def test_a_row_leads_to_its_cell_and_a_cell_to_its_row(window, qtbot):
    viewer, dock = window
    measure(qtbot, dock)
    viewer.dims.set_current_step(0, 5)
    click_row(qtbot, dock, 2)
    assert dock.session.selected == ((0, 3),)
    assert viewer.dims.current_step[0] == 2
    assert tuple(viewer.scene.camera.center)[-2:] == pytest.approx((8.5 * 0.5, 28.5 * 0.5))
    qtbot.keyClick(dock.panel.view, Qt.Key.Key_Up)
    assert dock.session.selected == ((0, 2),)
    assert tuple(viewer.scene.camera.center)[-2:] == pytest.approx((20.5 * 0.5, 12.5 * 0.5))

    canvas, camera = canvas_of(viewer), viewer.scene.camera
    y, x = (np.array([8, 8]) * 0.5 - np.asarray(camera.center[-2:])) * camera.zoom
    place = QPoint(round(canvas.width() / 2 + x), round(canvas.height() / 2 + y))
    viewer.layers.selection.active = viewer.layers["embryo cells"]
    qtbot.mouseMove(canvas, place)
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=place)
    assert dock.session.selected == ((0, 1),)
    rows = dock.panel.view.selectionModel().selectedRows()
    assert [index.row() for index in rows] == [0]


def test_selecting_elsewhere_selects_rows_and_moves_nothing(window, qtbot):
    viewer, dock = window
    measure(qtbot, dock)
    dock.panel.view.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    before = tuple(viewer.scene.camera.center)
    dock.session.select([(0, 1), (0, 3)])
    rows = dock.panel.view.selectionModel().selectedRows()
    assert {dock.panel.model.key(index.row()) for index in rows} == {(0, 1), (0, 3)}
    assert dock.session.selected == ((0, 1), (0, 3))
    assert tuple(viewer.scene.camera.center) == before


def test_a_cell_that_is_gone_is_said(window, qtbot):
    _, dock = window
    measure(qtbot, dock)
    dock.session.change("delete", [2])
    click_row(qtbot, dock, 1)
    assert "not there any more" in dock.strip.text
    assert dock.session.selected == ()


def test_marks_are_columns_where_there_are_any(window, qtbot):
    _, dock = window
    dock.session.change("apply", Mark(0, 2, "class", "mitotic"), Mark(0, 3, "locked", True))
    measure(qtbot, dock)
    assert dock.measured.table["class"].tolist() == ["", "mitotic", ""]
    assert dock.measured.table["locked"].tolist() == ["", "", "yes"]


def test_cells_are_counted_in_drawn_regions(window, qtbot):
    viewer, dock = window
    scale = (2.0, 0.5, 0.5)
    left = np.array([[0, 0, 0], [0, 30, 0], [0, 30, 20], [0, 0, 20]], float)
    around = np.array([[0, 2, 22], [0, 2, 36], [0, 16, 36], [0, 16, 22]], float)
    shapes = viewer.add_shapes(
        [left, around],
        shape_type=["polygon", "ellipse"],
        features={"name": ["left", "nest"]},
        scale=scale,
        name="areas",
    )
    assert dock.panel.regions.isEnabled()
    dock.panel.regions.setCurrentIndex(1)
    measure(qtbot, dock)
    assert dock.measured.table["region"].tolist() == ["left", "left", "nest"]
    lines = dock.panel.counts.text().splitlines()
    assert lines[0].startswith("left: 2 cells, 0.0133 per µm²")
    assert lines[1].startswith("nest: 1 cells")
    viewer.layers.remove(shapes)
    assert dock.panel.region_index == -1
    assert not dock.panel.regions.isEnabled()


def test_lines_are_no_regions(window, qtbot):
    viewer, dock = window
    viewer.add_shapes([np.zeros((2, 3))], shape_type="path", name="lines", scale=(2.0, 0.5, 0.5))
    dock.panel.regions.setCurrentIndex(1)
    click(qtbot, dock.panel.measure)
    assert "has no area" in dock.strip.text
    assert dock.measured is None


def test_the_table_is_saved_with_how_each_cell_came_to_be(window, qtbot, tmp_path, monkeypatch):
    _, dock = window
    dock.session.change("merge", [1, 2])
    measure(qtbot, dock)
    path = tmp_path / "cells.csv"
    monkeypatch.setattr(cell_table, "ask_table_path", lambda parent, suggestion: path)
    click(qtbot, dock.panel.save)
    qtbot.waitUntil(lambda: dock.strip.text == "saved cells.csv")
    plain = pd.read_csv(path)
    assert plain["id"].tolist() == [1, 3]
    assert "bbox_z0" in plain
    dock.panel.history.setChecked(True)
    click(qtbot, dock.panel.save)
    qtbot.waitUntil(lambda: "edit_kinds" in pd.read_csv(path))
    told = pd.read_csv(path)
    assert told["edit_kinds"].iloc[0] == "merge 1"
    assert told["voxels"].tolist() == plain["voxels"].tolist()
    assert [one.name for one in tmp_path.iterdir() if one.suffix != ""] == ["cells.csv"]


def test_a_folder_that_cannot_be_written_is_said(window, qtbot, tmp_path, monkeypatch):
    _, dock = window
    measure(qtbot, dock)
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "cells.csv"
    monkeypatch.setattr(cell_table, "ask_table_path", lambda parent, suggestion: path)
    click(qtbot, dock.panel.save)
    qtbot.waitUntil(lambda: bool(dock.strip.property("error")))
    assert dock.panel.save.isEnabled()


def test_another_image_empties_the_table(window, qtbot):
    viewer, dock = window
    measure(qtbot, dock)
    add_image(viewer, np.zeros((3, 10, 12), np.float32), name="other")
    dock.image.choose(viewer.layers["other"])
    assert dock.measured is None
    assert dock.panel.model.rowCount() == 0


def test_five_thousand_rows_are_fluent(window, qtbot):
    _, dock = window
    panel = dock.panel
    panel.model.show(table(5000))
    took = []
    for at in (1, 2, 4, 1):
        begun = time.perf_counter()
        panel.view.sortByColumn(at, Qt.SortOrder.DescendingOrder)
        panel.view.scrollToBottom()
        panel.view.viewport().repaint()
        took.append(time.perf_counter() - begun)
    assert np.median(took) < 0.3, took
    begun = time.perf_counter()
    panel.view.selectAll()
    assert time.perf_counter() - begun < 0.5
