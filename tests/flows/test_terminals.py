import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellseg.flows import _terminals
from napari_cellseg.flows._terminals import terminals


def walked(pointers):
    """Naive: walk until a voxel comes again, then once round."""
    out = []
    for start in range(len(pointers)):
        seen = []
        at = start
        while at not in seen:
            seen.append(at)
            at = pointers[at]
        out.append(min(seen[seen.index(at) :]))
    return out


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 40).flatmap(lambda n: st.lists(st.integers(0, n - 1), min_size=n, max_size=n))
)
def test_chains_end_at_the_lowest_voxel_of_their_cycle(pointers):
    found = terminals(np.array(pointers, np.int32))
    np.testing.assert_array_equal(found, walked(pointers))


@pytest.mark.parametrize("cycle", [1, 2, 3, 7, 4096, 5000])
def test_chains_and_cycles_may_be_of_any_length(cycle):
    count = 30_000
    pointers = np.maximum(np.arange(count) - 1, 0).astype(np.int32)
    pointers[0] = cycle - 1
    place = np.random.default_rng(cycle).permutation(count).astype(np.int32)
    mixed = np.empty(count, np.int32)
    mixed[place] = place[pointers]
    assert (terminals(mixed) == place[:cycle].min()).all()


def test_neither_threads_nor_pieces_count(monkeypatch):
    rng = np.random.default_rng(5)
    pointers = rng.integers(0, 20_000, 20_000).astype(np.int32)
    expected = terminals(pointers, threads=1)
    monkeypatch.setattr(_terminals, "_PIECE", 64)
    for threads in (1, 2, 8):
        np.testing.assert_array_equal(terminals(pointers, threads), expected)


def test_nothing_at_all():
    assert terminals(np.zeros(0, np.int32)).size == 0
