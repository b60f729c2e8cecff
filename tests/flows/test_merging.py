import numpy as np

from napari_cellseg.flows.merging import BasinGraph


def graph(partings, sizes, faces=100, axis=2, whole=None):
    """A chain of basins along x, parted by the given amounts."""
    count = len(sizes)
    basins = np.zeros((count + 1, 5), np.int64)
    basins[1:, 0] = sizes
    basins[1:, 3] = np.array(sizes) * np.arange(count) * 10
    basins[1:, 4] = np.array(sizes) * 255
    pairs = np.array([(k + 1, k + 2) for k in range(count - 1)])
    sums = np.zeros((count - 1, 15), np.int64)
    sums[:, axis] = faces
    parting = np.round(np.array(partings) * faces * 127 * 255).astype(np.int64)
    sums[:, 3 + 3 * axis + 2] = parting
    sums[:, 12 + axis] = parting
    return BasinGraph(pairs, sums, basins, (1.0, 1.0, 1.0), False, whole)


def test_only_borders_that_do_not_part_are_united():
    chain = graph([1.2, -0.1, 0.9, 0.0], [1000] * 5)
    chain.unite()
    np.testing.assert_array_equal(chain.owner, [0, 1, 2, 2, 4, 4])


def test_a_chain_ends_as_one():
    chain = graph([-0.3, -0.2, -0.1, 0.0, 0.05], [500] * 6)
    chain.unite()
    np.testing.assert_array_equal(chain.owner[1:], [1] * 6)


def test_a_narrow_neck_joins_nothing():
    chain = graph([-0.5], [1000, 1000], faces=5)
    chain.unite()
    np.testing.assert_array_equal(chain.owner, [0, 1, 2])


def test_borders_of_united_basins_add_up():
    # 2 alone would join 3 (0.1), but with 1 the border is judged as a whole
    basins = np.zeros((4, 5), np.int64)
    basins[1:, 0] = 1000
    basins[1:, 3] = [0, 10_000, 20_000]
    basins[1:, 4] = 255_000
    pairs = np.array([(1, 2), (2, 3), (1, 3)])
    sums = np.zeros((3, 15), np.int64)
    sums[:, 2] = 100
    for column in (11, 14):
        sums[:, column] = np.array([-0.5, 0.1, 1.5]) * 100 * 127 * 255
    joined = BasinGraph(pairs, sums, basins, (1.0, 1.0, 1.0), planar=False)
    joined.unite()
    np.testing.assert_array_equal(joined.owner, [0, 1, 1, 3])


def test_parts_of_a_basin_are_cut_only_where_the_flow_clearly_parts():
    whole = np.array([0, 1, 1, 1, 1], np.int32)
    parts = graph([-0.5, 1.0, 0.4], [1000] * 4, whole=whole)
    parts.unite()
    np.testing.assert_array_equal(parts.owner, [0, 1, 1, 3, 3])
    others = graph([-0.5, 1.0, 0.4], [1000] * 4, whole=np.array([0, 1, 1, 2, 3], np.int32))
    others.unite()
    np.testing.assert_array_equal(others.owner, [0, 1, 1, 3, 4])


def test_a_crumb_of_a_basin_stays_with_it():
    sizes = [1000, 1000, 50]
    parts = graph([-0.5, 1.9], sizes, whole=np.array([0, 1, 2, 2], np.int32))
    parts.unite()
    np.testing.assert_array_equal(parts.owner, [0, 1, 1, 1])
    others = graph([-0.5, 1.9], sizes, whole=np.array([0, 1, 2, 3], np.int32))
    others.unite()
    np.testing.assert_array_equal(others.owner, [0, 1, 1, 3])


def test_nothing_at_all():
    empty = BasinGraph(
        np.zeros((0, 2), np.int64),
        np.zeros((0, 15), np.int64),
        np.zeros((1, 5), np.int64),
        (1.0, 1.0, 1.0),
        planar=True,
    )
    empty.unite()
    np.testing.assert_array_equal(empty.owner, [0])
