"""Distances agree with scipy's."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_cellseg.labels.operations.distance import distance_to_outside

STEP = st.sampled_from([0.1, 0.3, 1.0, 2.5, 40.0])


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(1, 12), STEP), min_size=1, max_size=3), st.data())
def test_as_scipy(sides: list[tuple[int, float]], data: st.DataObject):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    mask = rng.random([n for n, _ in sides]) < data.draw(st.sampled_from([0.3, 0.8, 0.97]))
    steps = [step for _, step in sides]
    found = distance_to_outside(mask, steps)
    if mask.all():
        assert np.isinf(found).all()
    else:
        expected = ndimage.distance_transform_edt(mask, sampling=steps)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
