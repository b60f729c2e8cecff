"""Connected components: each becomes an object, or only the largest stays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from label_worlds import Watched, World, counter, worlds, written
from napari_cellseg.errors import InputError
from napari_cellseg.labels.operations import keep_largest, split_components


def pieces_of(mask: np.ndarray) -> tuple[np.ndarray, int]:
    return ndimage.label(mask, np.ones((3,) * mask.ndim))


@settings(deadline=None)
@given(worlds(), st.data())
def test_split_components(world: World, data: st.DataObject):
    id = data.draw(st.sampled_from(world.ids))
    pieces, count = pieces_of(world.labels == id)
    watched = Watched(world.labels)
    if count == 1:
        with pytest.raises(InputError, match=f"Object {id} is in one piece"):
            split_components(watched, id, world.box(id), counter(world.labels))
        return
    out = written(world.labels, split_components(watched, id, world.box(id), counter(world.labels)))
    assert watched.read_within(world.box(id))
    others = world.labels != id
    assert np.array_equal(out[others], world.labels[others])
    found = [np.unique(out[pieces == k]) for k in range(1, count + 1)]
    assert all(len(one) == 1 for one in found)
    assert len(np.unique(np.concatenate(found))) == count
    sizes = np.bincount(pieces.ravel())[1:]
    assert sizes[[one[0] for one in found].index(id)] == sizes.max()


@settings(deadline=None)
@given(worlds(), st.data())
def test_keep_largest(world: World, data: st.DataObject):
    id = data.draw(st.sampled_from(world.ids))
    pieces, count = pieces_of(world.labels == id)
    out = written(world.labels, keep_largest(Watched(world.labels), id, world.box(id)))
    others = world.labels != id
    assert np.array_equal(out[others], world.labels[others])
    sizes = np.bincount(pieces.ravel())[1:]
    kept = np.unique(pieces[out == id])
    assert len(kept) == 1
    assert sizes[kept[0] - 1] == sizes.max() == (out == id).sum()
    assert not out[(world.labels == id) & (pieces != kept[0])].any()
    assert count >= 1


def test_only_in_a_plane():
    labels = np.zeros((3, 4, 7), np.uint32)
    labels[:, 1:3, 1:3] = labels[:, 1:3, 4:7] = 5
    labels[0] = 5  # one piece in 3D, two in the planes above
    box = (slice(2, 3), slice(0, 4), slice(0, 7))
    out = written(labels, split_components(labels, 5, box, counter(labels)))
    assert (out[:2] == labels[:2]).all()
    assert sorted(np.unique(out[2])) == [0, 5, 6]
    assert (out[2, 1:3, 4:7] == 5).all()
