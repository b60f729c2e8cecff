"""Boxes are together the same assignment, never much larger, and fit the labels' own axes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_cellseg.labels import indexed as boxes
from napari_cellseg.labels.indexed import Patch, patches_of, to_label_axes


@st.composite
def assignments(draw):
    """An array, voxels of it (some twice, some counted from the end), and ids for them."""
    shape = draw(arrays.array_shapes(min_dims=1, max_dims=4, max_side=9))
    data = draw(arrays.arrays(np.uint32, shape, elements=st.integers(0, 3)))
    count = draw(st.integers(0, 12))
    indices = tuple(
        np.array(draw(st.lists(st.integers(-n, n - 1), min_size=count, max_size=count)), int)
        for n in shape
    )
    one = st.integers(0, 3)
    values = draw(st.one_of(one, st.lists(one, min_size=count, max_size=count)))
    return data, indices, values


@given(assignments(), st.booleans())
def test_written_one_after_the_other_they_are_the_assignment(assignment, cut):
    data, indices, values = assignment
    expected = data.copy()
    for number, voxel in enumerate(zip(*indices, strict=True)):
        expected[voxel] = values if isinstance(values, int) else values[number]
    limits = (boxes._LOOSE, boxes._SMALL, boxes._BLOCK)
    try:
        if cut:
            boxes._LOOSE, boxes._SMALL, boxes._BLOCK = 1, 1, 3
        patches = patches_of(data, indices, values)
    finally:
        boxes._LOOSE, boxes._SMALL, boxes._BLOCK = limits
    taken = np.zeros(data.shape, int)
    for region, mask, ids in patches:
        box = data[region]
        assert mask.shape == box.shape
        taken[region] += mask
        np.copyto(box, ids, where=mask, casting="same_kind")
    np.testing.assert_array_equal(data, expected)
    assert taken.max(initial=0) <= 1


def test_voxels_far_apart_take_no_box_around_all_of_them():
    data = np.zeros((100, 400, 400), np.uint32)
    rng = np.random.default_rng(0)
    indices = tuple(rng.integers(0, n, 500) for n in data.shape)
    patches = patches_of(data, indices, 1)
    assert sum(patch.mask.size for patch in patches) < 500 * 32**3 / 4
    assert len(patches) > 100
    assert len(patches_of(data, (np.arange(90), np.arange(90), np.arange(90)), 1)) > 1


def test_a_compact_object_is_one_box():
    data = np.zeros((100, 400, 400), np.uint32)
    ball = np.nonzero(np.ones((40, 40, 40), bool))
    (patch,) = patches_of(data, tuple(axis + 30 for axis in ball), 4)
    assert patch.region == (slice(30, 70),) * 3
    assert patch.values == 4


def test_what_is_written_along_further_axes_is_written_once():
    mask = np.zeros((2, 3, 2), bool)
    mask[0, 1, 1] = mask[1, 0, 0] = True
    region = (slice(4, 6), slice(0, 3), slice(7, 9))
    patch = to_label_axes(Patch(region, mask, 3), "zcx", "zx")
    assert patch.region == (slice(4, 6), slice(7, 9))
    assert patch.mask.tolist() == [[False, True], [True, False]]
    values = np.where(mask, 8, 0).astype(np.uint32)
    patch = to_label_axes(Patch(region, mask, values), "zcx", "zx")
    assert patch.values.tolist() == [[0, 8], [8, 0]]
    same = Patch(region, mask, 3)
    assert to_label_axes(same, "zyx", "zyx") is same
    turned = to_label_axes(Patch(region, mask, values), "zyx", "xyz")
    assert turned.region == region[::-1]
    np.testing.assert_array_equal(turned.mask, mask.T)
    np.testing.assert_array_equal(turned.values, values.T)
