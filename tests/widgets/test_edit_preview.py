"""What would change, as codes and in words; and outlines of what is selected."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg.labels import LabelDocument
from napari_cellseg.prompts.plane_view import Plane
from napari_cellseg.widgets.edit_outline import outlines
from napari_cellseg.widgets.edit_preview import ADDED, REMOVED, picture
from napari_cellseg.widgets.edit_verbs import drawn_slices


def a_document():
    labels = np.zeros((6, 20, 24), np.uint32)
    labels[1:5, 4:16, 4:20] = 5
    labels[1:5, 17:19, 4:20] = 8
    return LabelDocument(labels, (2.0, 0.5, 0.5))


def test_parts_of_a_split_have_codes_of_their_own():
    document = a_document()
    edits = document.split(5, [(2, 8, 6), (2, 8, 12), (2, 8, 18)], preview=True)
    shown = picture(document.labels, edits, {5: document.objects.box(5)})
    ids = document.split(5, [(2, 8, 6), (2, 8, 12), (2, 8, 18)])
    after = document.labels[shown.region]
    for number, id in enumerate(ids, 1):
        assert ((shown.codes == number) == (after == id)).all()
    assert shown.parts == 3
    assert "3 parts" in shown.words(False)


def test_what_grows_and_shrinks_is_what_is_coloured():
    document = a_document()
    for verb, code in (("grow", ADDED), ("shrink", REMOVED)):
        edits = getattr(document, verb)(5, voxels=1.0, preview=True)
        before = document.labels.copy()
        shown = picture(document.labels, edits)
        step = getattr(document, verb)(5, voxels=1.0)
        changed = document.labels != before
        assert ((shown.codes == code) == changed[shown.region]).all()
        assert shown.added + shown.removed == step.count == changed.sum()
        assert f"{step.count:,} pixels" in shown.words(True)
        document.undo()


@given(st.integers(1, 4), st.sampled_from(["xy", "xz", "yz"]))
def test_an_outline_is_as_long_as_the_border_of_the_mask(at, orientation):
    document = a_document()
    index = {"xy": at, "xz": 4 + at, "yz": 5 + at}[orientation]
    plane = Plane(orientation, index)
    ends = outlines(document, [(0, 5), (0, 99)], plane, 0)
    mask = np.pad(plane.cut(document.labels, "zyx") == 5, 1)
    border = (mask[1:] != mask[:-1]).sum() + (mask[:, 1:] != mask[:, :-1]).sum()
    assert len(ends) == 2 * border
    lengths = np.abs(ends[::2] - ends[1::2]).sum(axis=1)
    assert (lengths == 1).all()
    assert (ends[:, {"xy": 0, "xz": 1, "yz": 2}[orientation]] == index).all()


def test_slices_count_as_drawn_until_they_were_filled_between():
    document = a_document()
    mask = np.zeros((20, 24), bool)
    mask[6:12, 6:12] = True
    for plane in (4, 1):
        document.replace_slice(5, ("xy", plane), mask)
    document.lock(5)
    document.unlock(5)
    assert drawn_slices(document, (0, 5), "xy") == [1, 4]
    assert drawn_slices(document, (0, 8), "xy") == []
    document.interpolate(5, slices=[1, 4])
    assert drawn_slices(document, (0, 5), "xy") == []
