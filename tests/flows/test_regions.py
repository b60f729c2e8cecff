import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_cellseg.flows._diffusion import instance_boxes

volumes = st.tuples(st.integers(1, 4), st.integers(1, 8), st.integers(1, 8)).flatmap(
    lambda shape: arrays(np.int32, shape, elements=st.integers(0, 2))
)


@settings(max_examples=60, deadline=None)
@given(volumes)
def test_boxes(canvas):
    boxes = instance_boxes(canvas, int(canvas.max()), False)
    expected = {
        k: tuple(s.start for s in where) + tuple(s.stop for s in where)
        for k, where in enumerate(ndimage.find_objects(canvas), 1)
        if where is not None
    }
    assert {int(row[0]): tuple(int(v) for v in row[1:]) for row in boxes} == expected


@settings(max_examples=60, deadline=None)
@given(volumes)
def test_boxes_by_plane(canvas):
    boxes = instance_boxes(canvas, int(canvas.max()), True)
    assert len(boxes) == sum(np.unique(plane[plane > 0]).size for plane in canvas)
    for label, z0, y0, x0, z1, y1, x1 in boxes:
        assert z1 == z0 + 1
        rows, columns = np.nonzero(canvas[z0] == label)
        assert (y0, y1, x0, x1) == (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)
