"""The Review dock's parts by themselves: list, plot, buttons, audit, camera."""

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt

from napari_cellseg.labels import LabelDocument
from napari_cellseg.labels.review import Filters, Progress, ReviewItem
from napari_cellseg.widgets.edit_ground import Ground
from napari_cellseg.widgets.review_camera import fly_to_item
from napari_cellseg.widgets.review_list import ReviewList
from napari_cellseg.widgets.review_panel import (
    ReviewButtons,
    ReviewCheck,
    ReviewFilters,
    ReviewHead,
)
from napari_cellseg.widgets.review_plot import DoubtPlot


def item(id=7, score=0.5, why=("two sinks", "drifts"), t=0, border=False, box=None):
    box = (slice(2, 5), slice(10, 20), slice(30, 36)) if box is None else box
    kind = "missing" if id is None else "object"
    return ReviewItem(kind, t, id, score, why, (3.0, 14.5, 32.5), box, {}, border)


def test_the_list_says_what_and_why(qtbot):
    view = ReviewList()
    qtbot.addWidget(view)
    items = [
        item(score=0.91),
        item(None, 0.8, ("bright, but no cell",)),
        item(3, 0.1, (), border=True),
    ]
    view.show_items(items, items[1], timed=False)
    text = [[view.items.index(r, c).data() for c in range(3)] for r in range(3)]
    assert text == [
        ["7", "two sinks; drifts", "0.91"],
        ["?", "bright, but no cell", "0.80"],
        ["3", "", "0.10"],
    ]
    assert [one.row() for one in view.selectionModel().selectedRows()] == [1]
    tip = view.items.index(2, 1).data(int(Qt.ItemDataRole.ToolTipRole))
    assert tip == "touches the border of the image"
    view.show_items(items, None, timed=True)
    assert view.items.index(0, 0).data() == "7 · t 0"
    assert not view.selectionModel().selectedRows()
    view.show_items(items[:1], items[0], timed=False)
    assert view.items.rowCount() == 1


def test_the_list_reports_a_click(qtbot):
    view = ReviewList()
    qtbot.addWidget(view)
    view.resize(300, 300)
    view.show()
    items = [item(1), item(2)]
    view.show_items(items, items[0], timed=False)
    with qtbot.waitSignal(view.chosen) as told:
        place = view.visualRect(view.items.index(1, 0)).center()
        qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert told.args == [items[1]]
    assert view.focusPolicy() == Qt.FocusPolicy.NoFocus


def test_the_plot_counts_and_is_drawn(qtbot):
    plot = DoubtPlot()
    qtbot.addWidget(plot)
    plot.resize(200, 46)
    plot.show_theme("dark")
    plot.show_scores([0.0, 0.01, 0.5, 1.0, 1.0], [1.0], 0.5)
    assert sum(plot.all) == 5
    assert plot.all[0] == 2
    assert plot.all[-1] == 2
    assert sum(plot.left) == plot.left[-1] == 1
    drawn = plot.grab().toImage()
    colours = {drawn.pixelColor(x, y).name() for x in range(0, 200, 2) for y in range(46)}
    assert set(plot._colours) <= colours
    plot.show_scores([], [], None)
    assert sum(plot.all) == 0
    plot.grab()


def test_the_head_counts(qtbot):
    head = ReviewHead()
    qtbot.addWidget(head)
    head.show_progress(Progress(214, 12, 1262))
    assert head.counts.text() == "accepted 214 / 1,488 · repaired 12"
    assert (head.bar.done, head.bar.count) == (226, 1488)
    head.show_progress(None)
    assert head.plot.isHidden()
    head.show_on(True, "Ranking")
    assert head.on.text() == "Stop reviewing"


def test_filters_are_reported_and_shown_without_reporting(qtbot):
    filters = ReviewFilters()
    qtbot.addWidget(filters)
    told = []
    filters.chosen.connect(told.append)
    filters.show_filters(Filters(border=False, least=0.25, kind="missing"))
    assert not told
    assert filters.kind.currentText() == "missing"
    filters.border.setChecked(True)
    assert told == [Filters(True, 0.25, "missing")]
    filters.least.setValue(0.5)
    filters.kind.setCurrentIndex(1)
    filters.kind.activated.emit(1)
    assert told[-1] == Filters(True, 0.5, "object")


def test_buttons_say_keys_reasons_and_the_neighbour(qtbot):
    buttons = ReviewButtons()
    qtbot.addWidget(buttons)
    reasons = {"delete": "No cell is in hand."}
    buttons.show_item("Cell 7", reasons, {"accept": "A", "previous": "Shift-N"}, "45")
    assert buttons.buttons["accept"].text() == "accept  A"
    assert buttons.buttons["previous"].text() == "previous  ⇧N"
    assert buttons.buttons["merge"].text() == "merge +45"
    assert "Key: A" in buttons.buttons["accept"].toolTip()
    assert "Not now: No cell" in buttons.buttons["delete"].toolTip()
    with qtbot.waitSignal(buttons.pressed) as told:
        buttons.buttons["skip"].click()
    assert told.args == ["skip"]


def test_the_audit_says_its_sentence(qtbot):
    check = ReviewCheck()
    qtbot.addWidget(check)
    check.show_audit("", "", "", {}, False)
    assert check.right.isHidden()
    assert check.verdict.isHidden()
    check.show_audit("space", "2 % wrong [1 %–4 %], 60 checked", "", {"right": "Y"}, True)
    assert check.stratum == "space"
    assert check.right.text() == "right  Y"
    assert check.check.text() == "Back to the list"
    with qtbot.waitSignal(check.answered) as told:
        check.wrong.click()
    assert told.args == [True]
    with qtbot.waitSignal(check.stratum_chosen):
        check.of.activated.emit(0)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (0, 2, 1)])
@pytest.mark.parametrize("ndisplay", [2, 3])
def test_the_camera_flies_to_the_middle(order, ndisplay):
    labels = np.zeros((8, 40, 60), np.uint32)
    labels[2:5, 10:20, 30:36] = 7
    labels[3] = 0  # not in its middle plane
    document = LabelDocument(labels)
    viewer = ViewerModel()
    layer = viewer.add_labels(labels, scale=(2.0, 0.5, 0.5), translate=(1.0, 2.0, 3.0))
    viewer.dims.order = order
    viewer.dims.ndisplay = ndisplay
    ground = Ground(layer, "zyx", labels, "zyx")
    fly_to_item(viewer, ground, document, item())
    middle = np.array([3.0, 14.5, 32.5]) * (2.0, 0.5, 0.5) + (1.0, 2.0, 3.0)
    shown = list(viewer.dims.displayed)
    np.testing.assert_allclose(viewer.scene.camera.center[-ndisplay:], middle[shown])
    widest = max(np.array([6.0, 5.0, 3.0])[shown])
    least = 12 * min(np.array([2.0, 0.5, 0.5])[shown])
    assert viewer.scene.camera.zoom == pytest.approx(600 / 3 / max(widest, least))
    if ndisplay == 2:
        plane = viewer.dims.current_step[order[0]]
        at = [slice(None)] * 3
        at[order[0]] = plane
        assert (labels[tuple(at)] == 7).any()


def test_the_camera_flies_through_time_and_to_places():
    labels = np.zeros((3, 2, 8, 40, 60), np.uint32)[:, 0]
    document = LabelDocument(labels)
    viewer = ViewerModel()
    viewer.add_image(np.zeros((1, 3, 8, 40, 60), np.float32))
    layer = viewer.add_labels(labels)
    ground = Ground(layer, "tzyx", labels, "tzyx")
    fly_to_item(viewer, ground, document, item(None, t=2))
    assert viewer.dims.current_step[1:3] == (2, 3)
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], (14.5, 32.5))
