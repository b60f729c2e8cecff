from importlib.metadata import version

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import Dims, ViewerModel
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_cellseg.errors import InputError
from napari_cellseg.widgets import labels_look
from napari_cellseg.widgets.label_colors import BLOCKS, CYCLE, cycle, palette
from napari_cellseg.widgets.labels_look import VERIFIED, can_look, look_for
from napari_cellseg.widgets.labels_shim import redraw

FAR = 2**32 - 2


def shown(layer, *index):
    """The palette's number of a voxel that is in view."""
    return int(layer._slice.image.view[index])


def looking(ids=((0, 1, 2), (3, 50, 7))):
    layer = Labels(np.array(ids, np.uint32))
    return layer, look_for(layer)


def test_the_installed_napari_is_one_that_the_shim_was_verified_on():
    assert ".".join(version("napari").split(".")[:2]) in VERIFIED
    assert can_look()


def test_the_palette_has_a_colour_for_every_byte_that_is_used():
    assert palette().shape == (1 + BLOCKS * CYCLE, 4)
    assert len(np.unique(cycle(), axis=0)) == CYCLE
    assert (palette()[1 + CYCLE : 1 + 2 * CYCLE, 3] < 0.5).all()


# Machado, Oliveira & Fernandes 2009: severity 1.0
PROTAN = """
    0.152286 1.052583 -0.204868
    0.114503 0.786281 0.099216
    -0.003882 -0.048116 1.051998
"""
DEUTAN = """
    0.367322 0.860646 -0.227968
    0.280085 0.672501 0.047413
    -0.011820 0.042940 0.968881
"""
NORMAL = "1 0 0 0 1 0 0 0 1"


@pytest.mark.parametrize("sight", [NORMAL, PROTAN, DEUTAN], ids=["normal", "protan", "deutan"])
def test_ids_that_follow_each_other_differ_for_everybody(sight):
    from skimage.color import rgb2lab

    linear = np.where(cycle() <= 0.04045, cycle() / 12.92, ((cycle() + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(sight.split(), float).reshape(3, 3).T, 0, 1)
    seen = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = rgb2lab(seen)
    for lag in (1, 2):
        assert np.linalg.norm(lab - np.roll(lab, lag, axis=0), axis=1).min() > 12
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=2)[~np.eye(CYCLE, dtype=bool)]
    assert apart.min() > 2.3  # a just noticeable difference in CIELAB (Mahy et al. 1994)


def test_a_lock_dims_and_unlocking_brings_the_colour_back():
    layer, look = looking()
    assert [shown(layer, 0, k) for k in range(3)] == [0, 1, 2]
    assert shown(layer, 1, 1) == 1  # 50 begins the cycle again
    look.lock([2, 50])
    redraw(layer, (slice(0, 2), slice(0, 3)))
    assert (shown(layer, 0, 2), shown(layer, 1, 1)) == (2 + CYCLE, 1 + CYCLE)
    assert shown(layer, 0, 1) == 1
    assert layer.get_color(2)[3] < layer.get_color(1)[3] == 1
    look.unlock([2, 50])
    redraw(layer, (slice(0, 2), slice(0, 3)))
    assert [shown(layer, 0, k) for k in range(3)] == [0, 1, 2]


def test_styles_of_one_object_go_together():
    _layer, look = looking()
    look.set([7], "doubtful")
    assert look.texture(np.uint32([7]))[0] == 7 + 2 * CYCLE
    look.set([7], 3)
    assert look.texture(np.uint32([7]))[0] == 1 + 3 * CYCLE + 3
    look.lock([7])
    assert look.texture(np.uint32([7]))[0] == 1 + 4 * CYCLE + 3
    look.set([7], "normal")
    assert look.texture(np.uint32([7]))[0] == 7
    assert look.with_style() == frozenset()


def test_ids_may_be_sparse_and_huge():
    layer, look = looking(((0, 1, 2), (3, 2_000_000, FAR)))
    look.lock([FAR, 3])
    redraw(layer, (slice(0, 2), slice(0, 3)))
    assert shown(layer, 1, 2) == (FAR - 1) % CYCLE + 1 + CYCLE
    assert shown(layer, 1, 0) == 3 + CYCLE
    assert shown(layer, 1, 1) == (2_000_000 - 1) % CYCLE + 1
    assert len(look._texture) <= 2**24
    look.unlock([FAR])
    assert look.texture(np.uint32([FAR]))[0] == (FAR - 1) % CYCLE + 1
    assert len(look._far[0]) == 0


IDS = st.one_of(st.integers(0, 200), st.integers(2**24 - 2, 2**24 + 2), st.integers(FAR - 3, FAR))


@settings(deadline=None, max_examples=20)
@given(st.lists(IDS, min_size=1, max_size=30), st.sets(IDS.filter(bool), max_size=6))
def test_every_way_through_the_table_gives_the_same(ids, locked):
    layer = Labels(np.zeros((1, 1), np.uint32))
    look = look_for(layer)
    look.lock(locked)
    values = np.array(ids, np.uint32)
    expected = [0 if x == 0 else (x - 1) % CYCLE + 1 + CYCLE * (x in locked) for x in ids]
    assert look.texture(values).tolist() == expected
    assert look._searched(values).tolist() == expected
    grid = np.asfortranarray(np.broadcast_to(values, (2, 3, len(ids))))
    compiled = look._compiled(grid)
    assert compiled.tolist() == np.broadcast_to(expected, grid.shape).tolist()
    assert look.texture(values[:1])[0] == layer.colormap._data_to_texture(values[0])


def test_large_arrays_go_through_compiled_code(monkeypatch):
    layer, look = looking()
    look.lock([2])
    monkeypatch.setattr(labels_look, "_LARGE", 2)
    layer.refresh()
    assert shown(layer, 0, 2) == 2 + CYCLE


@pytest.mark.parametrize(("ndisplay", "order"), [(2, (0, 1, 2)), (2, (2, 0, 1)), (3, (1, 2, 0))])
def test_planes_of_all_orientations_and_volumes(ndisplay, order):
    data = np.zeros((4, 5, 6), np.uint32)
    data[:, 1:4, 1:5] = 9
    layer = Labels(data)
    look = look_for(layer)
    ranges = ((0, 3, 1), (0, 4, 1), (0, 5, 1))
    point = (2, 2, 2)
    layer._slice_dims(Dims(ndim=3, ndisplay=ndisplay, range=ranges, order=order, point=point))
    assert 9 in layer._slice.image.view
    look.lock([9])
    redraw(layer, (slice(0, 4), slice(1, 4), slice(1, 5)))
    assert set(np.unique(layer._slice.image.view)) == {0, 9 + CYCLE}


def test_the_same_id_at_two_times_is_two_objects():
    viewer = ViewerModel()
    layer = viewer.add_labels(np.full((3, 4, 5), 6, np.uint32))
    look = look_for(layer, time_axis=0)
    look.lock([6], t=1)
    for t, expected in ((0, 6), (1, 6 + CYCLE), (2, 6), (1, 6 + CYCLE)):
        viewer.dims.set_current_step(0, t)
        assert shown(layer, 0, 0) == expected
    look.unlock([6], t=1)
    redraw(layer, (slice(1, 2), slice(0, 4), slice(0, 5)))
    assert shown(layer, 0, 0) == 6
    assert look.times() == []


def test_other_colours_of_the_user_stay():
    layer, look = looking()
    layer.colormap = DirectLabelColormap(color_dict={None: "red", 0: "black", 1: "blue"})
    assert not look.active
    look.lock([1])
    assert layer.get_color(1) == pytest.approx([0, 0, 1, 1])
    own = Labels(np.ones((2, 2), np.uint32), colormap=layer.colormap)
    assert look_for(own) is None
    assert own.colormap is layer.colormap


def test_showing_only_the_selected_label_is_napari_s_own():
    layer, look = looking()
    look.lock([1])
    layer.selected_label = 50
    layer.show_selected_label = True
    assert np.count_nonzero(layer._slice.image.view) == 1
    assert shown(layer, 1, 1) > 0
    layer.show_selected_label = False
    assert shown(layer, 0, 1) == 1 + CYCLE


def test_shuffling_keeps_what_is_locked():
    layer, look = looking()
    look.lock([2])
    before = layer.get_color(1)
    layer.new_colormap(seed=3)
    assert look.active
    assert not np.allclose(layer.get_color(1), before)
    assert shown(layer, 0, 2) == 2 + CYCLE


def test_a_brush_stroke_of_napari_is_drawn_through_the_table():
    layer, look = looking(np.zeros((20, 20), np.uint32))
    look.lock([3])
    layer.paint((10, 10), 3)
    assert shown(layer, 10, 10) == 3 + CYCLE
    layer.undo()
    assert shown(layer, 10, 10) == 0


def test_ids_of_few_bits_are_refused():
    with pytest.raises(InputError, match="uint32"):
        look_for(Labels(np.zeros((2, 2), np.uint8)))


def test_a_layer_and_its_look_go_together():
    import gc
    import weakref

    layer, look = looking()
    gone = weakref.ref(layer)
    del layer, look
    gc.collect()
    assert gone() is None
