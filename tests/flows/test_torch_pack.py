import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellseg.flows import _packing
from napari_cellseg.flows._torch_pack import pack
from napari_cellseg.flows._trust import LIMIT, PER_UNIT, PROBABILITIES


def packed(flow, logits, floor):
    """What numba gives."""
    flow, logits = flow.astype(np.float32), logits.astype(np.float32)
    count = int((logits > np.float32(floor)).sum())
    out = (
        np.zeros(logits.shape, np.int32),
        np.empty(count, np.int32),
        np.empty(count, np.float32),
        np.empty(count, np.uint8),
    )
    _packing.pack(flow, logits, np.float32(floor), 0, *out)
    return out


# lengths of 0, about the smallest that has a direction, and far beyond 1; logits beyond the table
numbers = st.one_of(
    st.sampled_from([0.0, -0.0, 1e-6, -1e-6, 9e-7, 1e-20, 1.0, 3e4, 127.5]),
    st.floats(-2, 2, width=16),
)
logit = st.one_of(st.sampled_from([-8.0, 8.0, -3e4, 3e4, 0.00390625]), st.floats(-12, 12, width=32))


@settings(max_examples=150, deadline=None)
@given(st.integers(2, 3), st.data(), st.sampled_from([-5.8, 0.0]))
def test_words_are_those_of_numba(ndim, data, floor):
    size = data.draw(st.integers(1, 8))
    columns = [data.draw(st.lists(numbers, min_size=size, max_size=size)) for _ in range(ndim)]
    levels = data.draw(st.lists(logit, min_size=size, max_size=size))
    flow = np.array(columns, np.float32).reshape(ndim, 1, 1, size)
    logits = np.array(levels, np.float32).reshape(1, 1, size)
    mine = pack(flow, logits, float(np.float32(floor)), torch.device("cpu"))
    for expected, found in zip(packed(flow, logits, floor), mine, strict=True):
        assert expected.dtype == found.numpy().dtype
        np.testing.assert_array_equal(expected, found.numpy())


def test_a_million_voxels_have_the_words_of_numba():
    rng = np.random.default_rng(5)
    for precision in (np.float16, np.float32):
        flow = rng.normal(0, 0.6, (3, 10, 300, 350)).astype(precision)
        logits = rng.normal(0, 5, flow.shape[1:]).astype(precision)
        mine = pack(flow, logits, -5.0, torch.device("cpu"))
        for expected, found in zip(packed(flow, logits, -5.0), mine, strict=True):
            np.testing.assert_array_equal(expected, found.numpy())


def test_probabilities_are_right_to_a_quarter_of_a_level():
    logits = np.linspace(-20, 20, 10_001)
    near = np.clip(logits, -LIMIT, LIMIT)
    found = PROBABILITIES[((near + LIMIT) * PER_UNIT + 0.5).astype(int)]
    assert np.abs(255 * (found - 1 / (1 + np.exp(-logits)))).max() <= 0.26
    assert (np.diff(PROBABILITIES) > 0).all()
