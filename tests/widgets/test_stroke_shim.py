"""What napari's tools draw reaches the sink and nothing else; the canvas shows what it wrote."""

import gc
import weakref
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np
import pytest
from napari.layers import Labels
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_cellseg.errors import InputError
from napari_cellseg.widgets.labels_shim import history_size, redraw, replace_data
from napari_cellseg.widgets.placement import aligned
from napari_cellseg.widgets.stroke_shim import VERIFIED, can_capture, capture, unwritable
from widgets.prompt_steps import NONE, canvas_of, drag_over


class Writer:
    """A sink that writes all but one id, keeps whole arrays for undo, and lists its calls."""

    def __init__(self, layer, locked=None):
        self._layer = weakref.ref(layer)
        self.locked = locked
        self.calls = []
        self.open = None
        self.steps, self.undone = [], []
        self.problems = []

    def write(self, patches, gather):
        layer = self._layer()
        self.calls.append("gather" if gather else "write")
        before = layer.data.copy()
        if not gather or self.open is None:
            self.open = before
        for region, mask, values in patches:
            assert mask.shape == tuple(part.stop - part.start for part in region)
            assert mask.any()
            box = layer.data[region]
            free = mask & (box != self.locked) if self.locked is not None else mask
            np.copyto(box, values, where=free, casting="same_kind")
            redraw(layer, region)
        if not gather:
            self._close()

    def _close(self):
        self.steps.append(self.open)
        self.open = None
        self.undone.clear()

    def end_stroke(self):
        self.calls.append("end")
        self._close()

    def abandon_stroke(self):
        self.calls.append("abandon")
        self._show(self.open)
        self.open = None

    def undo(self):
        self.calls.append("undo")
        self.undone.append(self._layer().data.copy())
        self._show(self.steps.pop())

    def redo(self):
        self.calls.append("redo")
        self.steps.append(self._layer().data.copy())
        self._show(self.undone.pop())

    def foreign(self, data, problem):
        self.calls.append("foreign")
        self.problems.append(problem)

    def _show(self, data):
        layer = self._layer()
        layer.data[:] = data
        redraw(layer, tuple(slice(0, size) for size in data.shape))


def captured(shape=(6, 20, 30), locked=None, **options):
    layer = Labels(np.zeros(shape, np.uint32), **options)
    layer.brush_size = 5
    layer.selected_label = 7
    sink = Writer(layer, locked)
    return layer, sink, capture(layer, sink)


def fresh(layer):
    """What a full refresh would show."""
    return layer._raw_to_displayed(layer._slice.image.raw)


def test_the_installed_napari_is_one_that_the_shim_was_verified_on():
    assert ".".join(version("napari").split(".")[:2]) in VERIFIED
    assert can_capture()


def tools():
    """Each way in which napari writes, with what comes before it."""

    def bucket(layer):
        layer.data_setitem((np.array([0, 0]), np.array([3, 3]), np.array([4, 5])), 3)
        layer.fill((0, 3, 4), 9)

    return {
        "paint": lambda layer: layer.paint((0, 10, 15), 7),
        "at the edge": lambda layer: layer.paint((0, 0, 29), 7),
        "eraser": lambda layer: (layer.paint((0, 10, 15), 7), layer.paint((0, 10, 17), 0)),
        "bucket": bucket,
        "all of a plane": lambda layer: layer.fill((0, 3, 4), 9),
        "polygon": lambda layer: layer.paint_polygon([[0, 2, 2], [0, 15, 4], [0, 9, 25]], 7),
        "items": lambda layer: layer.data_setitem(
            (np.array([0, 1, -1]), np.array([3, 4, 5]), np.array([4, 5, 6])), [3, 4, 5]
        ),
    }


@pytest.mark.parametrize("preserve", [False, True])
@pytest.mark.parametrize("contiguous", [False, True])
@pytest.mark.parametrize(
    ("tool", "n_edit"),
    [(tool, n) for tool in tools() for n in (2, 3) if (tool, n) != ("polygon", 3)],  # it is flat
)
def test_what_is_written_is_what_napari_would_have_written(tool, n_edit, contiguous, preserve):
    layer, sink, _ = captured(scale=(2, 1, 1))
    plain = Labels(np.zeros((6, 20, 30), np.uint32), scale=(2, 1, 1))
    for one in (layer, plain):
        one.brush_size, one.selected_label = 5, 7
        one.n_edit_dimensions, one.contiguous, one.preserve_labels = n_edit, contiguous, preserve
        one.data[0, 9:12, 12:15] = 2
        tools()[tool](one)
    np.testing.assert_array_equal(layer.data, plain.data)
    assert history_size(layer) == (0, 0)
    assert set(sink.calls) == {"write"}
    layer.undo()
    layer.redo()
    np.testing.assert_array_equal(layer.data, plain.data)
    assert sink.calls[-2:] == ["undo", "redo"]
    assert history_size(layer) == (0, 0)


def test_what_changes_nothing_is_no_step():
    layer, sink, _ = captured()
    layer.paint((0, 10, 15), 0)
    layer.fill((0, 10, 15), 0)
    layer.data_setitem((np.array([0]), np.array([1]), np.array([1])), 0)
    layer.paint((0, -50, 15), 7)
    with layer.block_history():
        layer.paint((0, 10, 15), 0)
    assert sink.calls == []


def test_a_stroke_is_one_step_and_an_error_within_it_ends_it():
    layer, sink, _ = captured()
    with layer.block_history():
        layer.paint((0, 10, 5), 7)
        with layer.block_history():
            layer.paint((0, 10, 10), 7)
        layer.paint((0, 10, 15), 7)
    assert sink.calls == ["gather", "gather", "gather", "end"]

    def torn():
        with layer.block_history():
            layer.paint((1, 10, 5), 8)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        torn()
    assert sink.calls[4:] == ["gather", "end"]
    layer.undo()
    assert not layer.data[1].any()
    layer.undo()
    assert not layer.data.any()


def test_undo_in_the_middle_of_a_stroke_takes_that_stroke_back():
    layer, sink, _ = captured()
    with layer.block_history():
        layer.paint((0, 10, 5), 7)
        layer.undo()
        layer.paint((0, 10, 25), 7)
    assert sink.calls == ["gather", "end", "undo", "gather", "end"]
    assert not layer.data[0, :, :10].any()
    assert layer.data[0, 10, 25] == 7


def test_an_encircling_stroke_is_one_step_or_none():
    layer, sink, _ = captured()
    layer._begin_stroke()
    layer.paint((0, 10, 5), 7)
    with layer.block_history():  # a press of the left button in between pans
        pass
    layer.paint((0, 10, 9), 7)
    layer._commit_stroke()
    assert sink.calls == ["gather", "gather", "end"]
    painted = layer.data.copy()
    layer._begin_stroke()
    layer.paint((0, 4, 20), 8)
    layer._abort_stroke()
    np.testing.assert_array_equal(layer.data, painted)
    assert sink.calls[-2:] == ["gather", "abandon"]
    layer._begin_stroke()
    layer._abort_stroke()
    assert sink.calls[-1] == "abandon"
    assert len(sink.calls) == 5


def test_what_the_sink_spares_is_not_shown():
    layer, _, _ = captured(locked=2)
    layer.data[0, 8:12, 14:18] = 2
    layer.refresh()
    layer.paint((0, 10, 15), 7)
    layer.data_setitem(np.nonzero(layer.data == 2), 5)
    assert (layer.data == 2).sum() == 16
    assert (layer.data == 7).any()
    np.testing.assert_array_equal(layer._slice.image.view, fresh(layer))


@pytest.mark.parametrize("napari_first", [True, False])
def test_writes_that_other_plugins_note_in_the_history_go_through_the_sink(napari_first):
    layer, _, _ = captured()
    layer.data[0, 4, 4:6] = 3
    where = (np.array([0, 0]), np.array([4, 4]), np.array([5, 6]))
    before = layer.data[where].copy()
    if napari_first:
        layer._save_history((where, before, 9))
        layer.data[where] = 9
    else:
        layer.data[where] = 9
        layer._save_history((where, before, 9))
    assert layer.data[0, 4, 4:7].tolist() == [3, 9, 9]
    assert history_size(layer) == (0, 0)
    layer.undo()
    assert layer.data[0, 4, 4:7].tolist() == [3, 3, 0]


@pytest.mark.parametrize("full", [True, False])
def test_so_do_those_with_a_mask(full):
    layer, _, _ = captured()
    box = (slice(0, 1), slice(4, 6), slice(4, 6))
    mask = None if full else np.array([[[True, False], [False, True]]])
    old = layer.data[box].copy() if full else layer.data[box][mask]
    layer.data[box] = 9 if full else np.array([[9, 0], [0, 9]])
    layer._save_history(SimpleNamespace(slice_key=box, mask=mask, old_values=old, new_value=9))
    assert (layer.data == 9).sum() == (4 if full else 2)
    layer.undo()
    assert not layer.data.any()


@pytest.mark.parametrize(
    ("indices", "values"),
    [
        ((np.array([0]), np.array([0])), 1),
        ((np.array([0]), np.array([0]), np.array([30])), 1),
        ((np.array([0]), np.array([0]), np.array([-31])), 1),
        ((np.array([0.5]), np.array([0]), np.array([3])), 1),
        ((np.array([0, 1]), np.array([0, 1, 2]), np.array([3])), 1),
        ((np.array([0]), np.array([0]), np.array([3])), -1),
        ((np.array([0]), np.array([0]), np.array([3])), 2**32),
        ((np.array([0]), np.array([0]), np.array([3])), 1.5),
        ((np.array([0]), np.array([0]), np.array([3])), [1, 2]),
        ((slice(0, 1), 0, 3), 1),
    ],
)
def test_impossible_items_are_refused_before_anything_is_written(indices, values):
    layer, sink, _ = captured()
    with pytest.raises(InputError):
        layer.data_setitem(indices, values)
    assert sink.calls == []


def test_released_the_layer_is_naparis_again_with_an_empty_history():
    layer, sink, release = captured()
    layer.paint((0, 10, 15), 7)
    names = set(vars(layer))
    release()
    release()
    assert "undo" in names - set(vars(layer))
    assert history_size(layer) == (0, 0)
    layer.paint((0, 4, 4), 8)
    assert history_size(layer) == (1, 0)
    layer.undo()
    assert not (layer.data == 8).any()
    layer.data = np.zeros((6, 20, 30), np.uint32)
    assert sink.calls == ["write"]


def test_release_within_a_stroke_ends_it():
    layer, sink, release = captured()
    with layer.block_history():
        layer.paint((0, 10, 15), 7)
        release()
    assert sink.calls == ["gather", "end"]


def test_a_history_from_before_is_forgotten():
    layer = Labels(np.zeros((8, 8), np.uint32))
    layer.paint((4, 4), 5)
    sink = Writer(layer)
    capture(layer, sink)
    layer.undo = layer.undo  # as a plugin that wraps it
    assert history_size(layer) == (0, 0)


def test_a_layer_has_one_session():
    layer, _, release = captured()
    with pytest.raises(InputError, match="another session"):
        capture(layer, Writer(layer))
    release()
    capture(layer, Writer(layer))()


def test_neither_layer_nor_sink_is_kept():
    layer, sink, release = captured()
    layer.paint((0, 10, 15), 7)
    one, other = weakref.ref(layer), weakref.ref(sink)
    del layer, sink
    gc.collect()
    assert one() is None
    release()
    del release
    assert other() is None


class Lazy:
    """An array that is not in memory, as napari sees dask and zarr."""

    def __init__(self, array):
        self._array = array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, key):
        return self._array[key]


def test_another_array_is_told():
    layer, sink, _ = captured()
    other = np.ones((6, 20, 30), np.uint32)
    layer.data = other
    assert sink.calls == ["foreign"]
    assert sink.problems == [""]
    layer.data = layer.data  # what plugins do to have it redrawn
    replace_data(layer, np.zeros((6, 20, 30), np.uint32))
    assert sink.calls == ["foreign"] * 3
    layer.data = Lazy(other)
    assert "not in memory" in sink.problems[-1]
    read_only = other.copy()
    read_only.flags.writeable = False
    layer.data = read_only
    assert "read-only" in sink.problems[-1]


def test_layers_that_cannot_be_written_say_why():
    fine = np.zeros((64, 64), np.uint32)
    for data, word in [([fine, fine[::2, ::2]], "resolutions"), (Lazy(fine), "not in memory")]:
        layer = Labels(data, name="cells")
        assert word in unwritable(layer)
        with pytest.raises(InputError, match="cells"):
            capture(layer, Writer(layer))
    assert unwritable(Labels(fine)) == ""
    # napari cannot draw these at all, but a layer that is hidden can hold them
    swapped = SimpleNamespace(data=fine.astype(">i4"), name="cells", multiscale=False)
    assert ">i4" in unwritable(swapped)


# -- in a viewer ---------------------------------------------------------------------------------


def in_viewer(viewer, shape=(6, 20, 30), locked=None, data=None, **options):
    layer = viewer.add_labels(np.zeros(shape, np.uint32) if data is None else data, **options)
    layer.brush_size, layer.selected_label = 5, 7
    sink = Writer(layer, locked)
    return layer, sink, capture(layer, sink)


@pytest.mark.parametrize("contour", [0, 2])
@pytest.mark.parametrize("n_edit", [2, 3])
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (0, 2, 1), (2, 0, 1)])
def test_what_is_painted_is_shown_in_every_orientation(viewer, order, n_edit, contour):
    layer, _, _ = in_viewer(viewer, (8, 20, 30), locked=2)
    layer.data[3, 9:12, 14:16] = 2
    viewer.dims.order = order
    viewer.dims.current_step = (3, 10, 15)
    layer.contour = contour
    layer.n_edit_dimensions = n_edit
    layer.refresh()
    blank = layer._slice.image.view.copy()
    layer.paint((3, 10, 15), 7)
    assert (layer.data == 2).sum() == 6
    assert (layer._slice.image.view != blank).any()
    np.testing.assert_array_equal(layer._slice.image.view, fresh(layer))
    layer.undo()
    np.testing.assert_array_equal(layer._slice.image.view, blank)


@pytest.mark.parametrize("n_edit", [2, 3])
def test_what_is_painted_is_shown_in_3d(viewer, n_edit):
    layer, _, _ = in_viewer(viewer, (8, 20, 30))
    layer.data[3, 9:12, 14:16] = 2
    viewer.dims.ndisplay = 3
    layer.n_edit_dimensions = n_edit
    layer.paint((3, 10, 15), 7)
    assert (layer.data == 7).any()
    np.testing.assert_array_equal(layer._slice.image.view, fresh(layer))


@pytest.mark.parametrize(
    ("shape", "n_edit"), [((6, 1, 20, 30), 2), ((6, 3, 20, 30), 2), ((6, 3, 20, 30), 4)]
)
def test_further_axes_may_share_their_memory(viewer, shape, n_edit):
    labels = np.zeros((6, 20, 30), np.uint32)
    layer, _, _ = in_viewer(viewer, data=aligned(labels, "zyx", "zcyx", shape))
    viewer.dims.current_step = (0, 0, 10, 15)
    layer.n_edit_dimensions = n_edit
    layer.paint((0, 0, 10, 15), 7)
    assert (labels == 7).any()
    np.testing.assert_array_equal(layer._slice.image.view, fresh(layer))
    layer.data_setitem(np.nonzero(layer.data == 7), 3)
    assert not (labels == 7).any()


def place_of(viewer, *world):
    camera, canvas = viewer.scene.camera, canvas_of(viewer)
    y, x = (np.asarray(world) - np.asarray(camera.center[-2:])) * camera.zoom
    return QPointF(canvas.width() / 2 + x, canvas.height() / 2 + y)


def send(qtbot, viewer, kind, at, button=Qt.MouseButton.NoButton, held=Qt.MouseButton.NoButton):
    canvas = canvas_of(viewer)
    globally = QPointF(canvas.mapToGlobal(QPoint(round(at.x()), round(at.y()))))
    QApplication.sendEvent(canvas, QMouseEvent(kind, at, globally, button, held, NONE))
    qtbot.wait(12)  # vispy leaves out moves that follow at once


def press(qtbot, viewer, at, button):
    send(qtbot, viewer, QEvent.Type.MouseMove, at)
    send(qtbot, viewer, QEvent.Type.MouseButtonPress, at, button, button)
    send(qtbot, viewer, QEvent.Type.MouseButtonRelease, at, button)


def test_mouse_and_keys_reach_the_sink(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    layer, sink, _ = in_viewer(viewer, (4, 60, 80))
    viewer.dims.set_current_step(0, 0)
    layer.mode = "paint"
    drag_over(qtbot, viewer, [place_of(viewer, 30, 20), place_of(viewer, 30, 60)])
    assert layer.data[0, 30, 20:61].all()
    assert sink.calls.count("end") == 1
    assert "write" not in sink.calls
    canvas = canvas_of(viewer)
    control, shift = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(canvas, Qt.Key.Key_Z, control)
    assert not layer.data.any()
    qtbot.keyClick(canvas, Qt.Key.Key_Z, control | shift)
    assert layer.data[0, 30, 20:61].all()
    layer.mode = "fill"
    layer.selected_label = 9
    press(qtbot, viewer, place_of(viewer, 30, 40), Qt.MouseButton.LeftButton)
    assert layer.data[0, 30, 40] == 9
    assert len(sink.steps) == 2
    layer.mode = "polygon"
    for corner in [(5, 5), (5, 20), (20, 20)]:
        press(qtbot, viewer, place_of(viewer, *corner), Qt.MouseButton.LeftButton)
    layer.selected_label = 4
    qtbot.keyClick(canvas, Qt.Key.Key_Return)
    assert layer.data[0, 8, 16] == 4
    assert len(sink.steps) == 3
    assert history_size(layer) == (0, 0)


def test_an_encircling_stroke_is_filled_in_one_step_or_aborted_by_escape(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    layer, sink, _ = in_viewer(viewer, (4, 60, 80))
    viewer.dims.set_current_step(0, 0)
    layer.mode, layer.brush_size = "paint", 3
    round_trip = [(15, 20), (15, 60), (45, 60), (45, 20), (25, 20), (15, 20)]

    def encircle(corners):
        press(qtbot, viewer, place_of(viewer, *corners[0]), Qt.MouseButton.RightButton)
        for corner in corners[1:]:
            send(qtbot, viewer, QEvent.Type.MouseMove, place_of(viewer, *corner))

    encircle(round_trip)
    assert layer.data[0, 30, 40] == 7
    assert len(sink.steps) == 1
    layer.undo()
    assert not layer.data.any()
    encircle(round_trip[:3])
    assert layer.data.any()
    qtbot.keyClick(canvas_of(viewer), Qt.Key.Key_Escape)
    assert not layer.data.any()
    assert sink.calls[-1] == "abandon"


def picture(viewer):
    return viewer.screenshot(canvas_only=True, flash=False)


def test_the_canvas_shows_the_same_as_after_a_full_refresh(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    layer, _, _ = in_viewer(viewer, (12, 40, 50), locked=2, scale=(2, 1, 1))
    layer.data[5:8, 12:18, 22:30] = 2
    layer.refresh()
    layer.brush_size = 9
    for number, (order, ndisplay, contour) in enumerate(
        [((0, 1, 2), 2, 0), ((0, 2, 1), 2, 1), ((1, 0, 2), 2, 0), ((0, 1, 2), 3, 0)]
    ):
        viewer.dims.ndisplay, viewer.dims.order = ndisplay, order
        layer.contour = contour
        viewer.dims.set_current_step((0, 1, 2), (6, 15, 25))
        viewer.reset_view()
        blank = picture(viewer)
        layer.n_edit_dimensions = 3 if ndisplay == 3 else 2
        layer.paint((6, 15, 22), 7 + number)
        shown = picture(viewer)
        assert (shown != blank).any()
        layer.refresh()
        np.testing.assert_array_equal(shown, picture(viewer))
    assert (layer.data == 2).sum() == 3 * 6 * 8


def test_outlines_are_not_drawn_in_3d_and_painting_there_warns_as_napari_does(viewer):
    layer, _, _ = in_viewer(viewer, (8, 20, 30))
    viewer.dims.ndisplay = 3
    with pytest.warns(UserWarning, match="Contours are not displayed"):
        layer.contour = 2
    with pytest.warns(UserWarning, match="Contours are not displayed"):
        layer.paint((3, 10, 15), 7)
    with pytest.warns(UserWarning, match="Contours are not displayed"):
        np.testing.assert_array_equal(layer._slice.image.view, fresh(layer))
