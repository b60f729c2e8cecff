import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_cellseg.flows._diffusion import instance_boxes
from napari_cellseg.flows._pieces import pieces
from napari_cellseg.flows._regions import fill, gapped

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


@settings(max_examples=80, deadline=None)
@given(volumes, st.integers(1, 10))
def test_pieces_agree_with_a_plain_labelling(canvas, least):
    before = canvas.copy()
    voxels = np.flatnonzero(canvas).astype(np.int32)
    label = canvas.reshape(-1)[voxels].copy()
    lost, lost_size, highest = pieces(voxels, label, canvas, int(before.max()), least)
    np.testing.assert_array_equal(canvas.reshape(-1)[voxels], label)
    dropped = 0
    for number in np.unique(before[before > 0]):
        parts, count = ndimage.label(before == number, np.ones((3, 3, 3)))
        sizes = np.bincount(parts.ravel())[1:]
        main = np.flatnonzero(sizes == sizes.max()) + 1
        for part in range(1, count + 1):
            ids = np.unique(canvas[parts == part])
            assert ids.size == 1
            own = sizes[part - 1] >= least and 2 * sizes[part - 1] >= sizes.max()
            if ids[0] == number:
                assert part in main
            elif own:
                assert ids[0] > before.max()
            else:
                assert ids[0] == 0
                dropped += sizes[part - 1]
        assert (canvas == number).any()
    assert lost_size.sum() == dropped
    assert (before.reshape(-1)[voxels[lost]] > 0).all()
    assert highest == max(int(before.max()), int(canvas.max()))


@settings(max_examples=80, deadline=None)
@given(volumes)
def test_holes_agree_with_scipy(canvas):
    before = canvas.copy()
    boxes = instance_boxes(canvas, int(canvas.max()), False)
    filled = fill(canvas, boxes[gapped(canvas, boxes)], False)
    assert (before.reshape(-1)[filled] == 0).all()
    np.testing.assert_array_equal(canvas[before > 0], before[before > 0])
    # with two labels, what neither encloses alone stays background
    inside = np.zeros(canvas.shape, bool)
    for number in np.unique(before[before > 0]):
        inside |= ndimage.binary_fill_holes(before == number) & (before == 0)
    np.testing.assert_array_equal((canvas > 0) & (before == 0), inside)
