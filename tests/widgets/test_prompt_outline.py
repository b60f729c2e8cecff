"""The outline of the object in hand, and where label coordinates lie in a layer."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_cellseg.prompts.plane_view import Plane
from napari_cellseg.widgets.placement import layer_region
from napari_cellseg.widgets.prompt_outline import Outline, border
from napari_cellseg.widgets.prompt_view import Frame


@given(arrays(np.bool_, st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))))
def test_a_border_is_where_an_object_ends_along_the_displayed_axes(mask):
    edge = border(mask, (1, 2))
    assert not (edge & ~mask).any()
    padded = np.pad(mask, ((0, 0), (1, 1), (1, 1)))
    inner = mask.copy()
    for axis in (1, 2):
        for step in (-1, 1):
            inner &= np.roll(padded, step, axis)[:, 1:-1, 1:-1]
    np.testing.assert_array_equal(edge, mask & ~inner)


def test_only_boxes_are_touched_and_told():
    outline = Outline((4, 20, 20))
    first = (slice(1, 2), slice(3, 8), slice(3, 8))
    second = (slice(2, 3), slice(10, 13), slice(10, 13))
    assert outline.draw(first, np.ones((1, 5, 5), bool), (1, 2)) == [first]
    assert outline.array.sum() == 16
    assert outline.draw(second, np.ones((1, 3, 3), bool), (1, 2)) == [first, second]
    assert outline.array.sum() == 8
    assert outline.draw(None, None, (1, 2)) == [second]
    assert not outline.array.any()


def test_coordinates_go_to_a_layer_with_a_channel_between_and_back():
    frame = Frame("tcyx", "tyx", {"c": 2.0})
    assert frame.letters == "tcyx"
    assert frame.to_layer((1, 5, 6)) == (1, 2.0, 5, 6)
    assert frame.to_labels((1, 2, 5, 6)) == (1.0, 5.0, 6.0)
    plane = Plane("xy", 0, 1)
    there = frame.pixels_to_layer(plane, [(5, 6), (7, 8)])
    np.testing.assert_array_equal(frame.layer_to_pixels(plane, there), [(5, 6), (7, 8)])
    region = (slice(1, 2), slice(0, 4), slice(2, 3))
    assert layer_region(region, "tyx", "tcyx") == (region[0], slice(None), *region[1:])
