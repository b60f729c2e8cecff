import numpy as np
import pytest

from napari_cellseg.flows import _agglomerate
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
    chain = graph([-0.3, -0.2, -0.1, -0.1, 0.0], [500] * 6)
    chain.unite()
    np.testing.assert_array_equal(chain.owner[1:], [1] * 6)


def test_in_doubt_compact_parts_are_united_and_not_far_ones():
    """A border that parts a little is within a cell if both together are no larger than cells."""
    near = graph([0.1, 1.2, 1.2], [400, 400, 4000, 4000])
    near.unite()
    np.testing.assert_array_equal(near.owner, [0, 1, 1, 3, 4])
    far = graph([0.1, 1.2, 1.2], [400] * 4)
    far.unite()
    np.testing.assert_array_equal(far.owner, [0, 1, 2, 3, 4])


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
    parts = graph([-0.5, 1.0, 0.3], [1000] * 4, whole=whole)
    parts.unite()
    np.testing.assert_array_equal(parts.owner, [0, 1, 1, 3, 3])
    others = graph([-0.5, 1.0, 0.3], [1000] * 4, whole=np.array([0, 1, 1, 2, 3], np.int32))
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


def naive(border, ends, basins, graph):
    """Judge every border after every union, and unite across the best one."""
    owner = np.arange(len(basins))
    border = {tuple(map(int, pair)): row.copy() for pair, row in zip(ends, border, strict=True)}
    volume, length = graph._volume.copy(), graph._length.copy()
    count, moment = graph._count.copy(), graph._moment.copy()
    while border:
        margins = {
            pair: _agglomerate._margin(
                row,
                *pair,
                volume,
                length,
                count,
                moment,
                graph._crumb,
                graph._steps,
                graph._power,
                graph._typical,
            )
            for pair, row in border.items()
        }
        a, b = min(margins, key=margins.get)
        if margins[a, b] >= 0:
            break
        for total in (volume, length, count, moment):
            total[a] += total[b]
        owner[owner == b] = a
        united = {}
        for (c, d), row in border.items():
            low, high = (a if c == b else c), (a if d == b else d)
            if low == high:
                continue
            if low > high:
                low, high = high, low
                row[1:4] *= -1
            united[low, high] = united.get((low, high), 0) + row
        border = united
    return owner


def random_graph(rng, count, width):
    """Basins along a line, each beside some of the next ones, with any parting."""
    sizes = rng.integers(50, 2000, count)
    basins = np.zeros((count + 1, 5), np.int64)
    basins[1:, 0] = sizes
    basins[1:, 1:4] = sizes[:, None] * rng.integers(0, 40, (count, 3))
    basins[1:, 4] = sizes * 255
    pairs = np.array(
        [(a, b) for a in range(1, count + 1) for b in range(a + 1, min(count, a + width) + 1)]
    )
    pairs = pairs[rng.random(len(pairs)) < 0.7]
    sums = np.zeros((len(pairs), 15), np.int64)
    sums[:, :3] = rng.integers(1, 60, (len(pairs), 3))
    faces = sums[:, :3].sum(1)
    sums[:, 3:12] = rng.normal(0.1, 0.4, (len(pairs), 9)) * faces[:, None] * 127 * 255 / 3
    sums[:, 12:] = rng.normal(0.2, 0.5, (len(pairs), 3)) * faces[:, None] * 127 * 255 / 3
    return pairs, sums, basins


@pytest.mark.parametrize("seed", range(8))
def test_every_border_that_is_left_parts_and_the_best_are_united_first(seed):
    rng = np.random.default_rng(seed)
    given = random_graph(rng, 30, 5)
    chain = BasinGraph(*given, (1.0, 1.0, 1.0), False)
    expected = naive(chain._border, chain._ends, given[2], chain)
    chain.unite()
    # old margins may wait in the heap: what is left apart or together differs in a few at most
    same = [np.equal.outer(owner[1:], owner[1:]) for owner in (chain.owner, expected)]
    assert (same[0] == same[1]).mean() > 0.9
    np.testing.assert_array_equal(chain.owner[chain.owner], chain.owner)
    assert (chain.owner <= np.arange(31)).all()


@pytest.mark.parametrize("shape", ["star", "chain", "noise"])
def test_the_work_is_nearly_linear(shape):
    """Thousands of tiny basins at one large one took one round each."""
    work = {}
    for count in (1000, 8000):
        rng = np.random.default_rng(0)
        basins = np.zeros((count + 1, 5), np.int64)
        basins[1:, 0] = rng.integers(5, 30, count)
        if shape == "star":
            basins[1, 0] = 40 * count
            others = np.arange(2, count + 1)
            pairs = np.concatenate(
                [
                    np.stack([np.ones_like(others), others], 1),
                    np.stack([others[:-1], others[1:]], 1),
                ]
            )
        elif shape == "chain":
            pairs = np.stack([np.arange(1, count), np.arange(2, count + 1)], 1)
        else:
            pairs = rng.integers(1, count + 1, (6 * count, 2))
            pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], 1), axis=0)
        basins[1:, 1:4] = basins[1:, :1] * rng.integers(0, 20, (count, 3))
        basins[1:, 4] = basins[1:, 0] * 255
        sums = np.zeros((len(pairs), 15), np.int64)
        sums[:, :3] = rng.integers(5, 30, (len(pairs), 3))
        sums[:, 12:] = rng.normal(-0.3, 0.3, (len(pairs), 3)) * 10 * 127 * 255
        tangle = BasinGraph(pairs, sums, basins, (1.0, 1.0, 1.0), False)
        tangle.unite()
        assert np.unique(tangle.owner[1:]).size < count / 2
        work[count] = tangle.judged / (len(pairs) * np.log2(len(pairs)))
    assert work[8000] < 4
    assert work[8000] < 1.6 * work[1000]


def test_the_order_of_the_pairs_does_not_count():
    pairs, sums, basins = random_graph(np.random.default_rng(3), 60, 6)
    straight = BasinGraph(pairs, sums, basins, (2.0, 1.0, 1.0), False)
    straight.unite()
    order = np.random.default_rng(4).permutation(len(pairs))
    mixed = BasinGraph(pairs[order], sums[order], basins, (2.0, 1.0, 1.0), False)
    mixed.unite()
    np.testing.assert_array_equal(mixed.owner, straight.owner)
