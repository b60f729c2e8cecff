import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from napari_cellseg.flows._terminals import terminals as followed
from napari_cellseg.flows._torch_graph import join, terminals

graphs = st.integers(1, 60).flatmap(
    lambda n: st.lists(st.integers(0, n - 1), min_size=n, max_size=n)
)


@settings(max_examples=200, deadline=None)
@given(graphs)
def test_chains_end_where_numba_says(pointers):
    array = np.array(pointers, np.int32)
    np.testing.assert_array_equal(terminals(torch.from_numpy(array)).numpy(), followed(array))


def test_long_chains_and_long_cycles_end():
    chain = np.maximum(np.arange(5000) - 1, 0).astype(np.int32)
    assert not terminals(torch.from_numpy(chain)).any()
    ring = np.roll(np.arange(3001), 1).astype(np.int32)  # a length that no doubling meets
    assert not terminals(torch.from_numpy(ring)).any()
    assert terminals(torch.empty(0, dtype=torch.int32)).numel() == 0


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), max_size=60))
def test_joined_trees_are_the_components_by_lowest_node(count, pairs):
    edges = np.array([(a % count, b % count) for a, b in pairs], np.int32).reshape(-1, 2)
    root = torch.arange(count, dtype=torch.int32)
    for part in np.array_split(edges, 3):  # in turns, as offsets come
        join(root, torch.from_numpy(part[:, 0]), torch.from_numpy(part[:, 1]))
    matrix = sparse.coo_array((np.ones(len(edges)), edges.T), (count, count))
    _, component = sparse.csgraph.connected_components(matrix, directed=False)
    lowest = np.array([np.flatnonzero(component == c)[0] for c in component])
    np.testing.assert_array_equal(root.numpy(), lowest)
