"""What edits would make of the labels, and edits that want the same voxels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from label_worlds import World, worlds, written
from napari_cellseg.errors import InputError
from napari_cellseg.labels.edit import Edit
from napari_cellseg.labels.operations import first_come, preview


@st.composite
def some_edits(draw: st.DrawFn, shape: tuple[int, ...]) -> list[Edit]:
    out = []
    for _ in range(draw(st.integers(1, 5))):
        starts = [draw(st.integers(0, size - 1)) for size in shape]
        stops = [draw(st.integers(a + 1, size)) for a, size in zip(starts, shape, strict=True)]
        region = tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))
        rng = np.random.default_rng(draw(st.integers(0, 2**31)))
        mask = rng.random([b - a for a, b in zip(starts, stops, strict=True)]) < 0.6
        out.append(Edit(region, mask, draw(st.integers(0, 9))))
    return out


@settings(deadline=None)
@given(worlds(), st.data())
def test_preview(world: World, data: st.DataObject):
    edits = data.draw(some_edits(world.labels.shape))
    before = world.labels.copy()
    region, box = preview(world.labels, edits)
    assert np.array_equal(world.labels, before)
    expected = written(world.labels, edits)
    assert np.array_equal(box, expected[region])
    outside = np.ones(before.shape, np.bool_)
    outside[region] = False
    assert np.array_equal(expected[outside], before[outside])


def test_nothing_to_preview():
    with pytest.raises(InputError, match="changes nothing"):
        preview(np.zeros((2, 2), np.uint32), [])


@settings(deadline=None)
@given(worlds(), st.data())
def test_first_come(world: World, data: st.DataObject):
    edits = data.draw(some_edits(world.labels.shape))
    expected, given_away = world.labels.copy(), np.zeros(world.labels.shape, np.bool_)
    for edit in edits:
        mask = np.zeros(expected.shape, np.bool_)
        mask[edit.region] = edit.mask
        expected[mask & ~given_away] = edit.values
        if edit.values:
            given_away |= mask
    assert np.array_equal(written(world.labels, first_come(edits)), expected)
