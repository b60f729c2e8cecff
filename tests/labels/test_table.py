"""The object table by itself."""

import tracemalloc

import numpy as np
import pytest

from napari_cellseg.errors import InputError
from napari_cellseg.labels.table import ObjectTable

FAR = 2**32 - 2


def test_sparse_ids_up_to_the_largest() -> None:
    volumes = np.zeros((2, 3, 5, 7), np.uint32)
    volumes[0, 0, 1:3, 2:6] = FAR
    volumes[0, 2, 4, 6] = 2**31
    volumes[1, 1, 0, 0] = FAR
    table = ObjectTable(volumes, 3)
    assert table.keys() == [(0, 2**31), (0, FAR), (1, FAR)]
    assert table.ids().tolist() == [2**31, FAR]
    assert table.voxels(FAR) == 8
    assert table.box(FAR) == (slice(0, 1), slice(1, 3), slice(2, 6))
    assert table.centroid(FAR) == (0.0, 1.5, 3.5)
    assert table.box(FAR, 1) == (slice(1, 2), slice(0, 1), slice(0, 1))


def test_ids_come_from_gaps_where_they_run_out() -> None:
    volumes = np.array([1, 2, 4, FAR], np.uint32).reshape(1, 1, 1, 4)
    table = ObjectTable(volumes, 2)
    assert table.free_ids(3, 0) == [3, 5, 6]
    assert table.free_ids(2, 5) == [1, 2]  # nothing is there at another time
    below = ObjectTable(volumes[..., :3] + np.uint32(FAR - 5), 2)
    assert below.free_ids(1, 0) == [FAR]
    assert below.free_ids(2, 0) == [1, 2]


def test_no_object_is_said() -> None:
    table = ObjectTable(np.zeros((2, 1, 2, 2), np.uint32), 2)
    for key in ((0, 0), (0, 1), (0, -1), (-1, 1), (0, 2**32), (0, 2**40)):
        assert key not in table
        with pytest.raises(InputError, match="There is no object"):
            table.box(key[1], key[0])
    with pytest.raises(InputError, match="at time point 1"):
        table.voxels(3, 1)
    assert len(table) == 0
    assert table.keys() == []
    assert table.columns()["box"].shape == (0, 2, 2)


def test_ids_of_numpy_are_ids() -> None:
    volumes = np.zeros((2, 1, 2, 2), np.uint32)
    volumes[1] = 7
    table = ObjectTable(volumes, 2)
    for t, id in ((np.int32(1), np.uint32(7)), (np.uint8(1), np.int64(7))):
        assert (t, id) in table
        assert table.voxels(id, t) == 4  # type: ignore[arg-type]
    assert (0, 2**32 + 7) not in table


def test_empty_labels() -> None:
    for shape in ((1, 0, 4, 4), (1, 1, 0, 4), (0, 1, 4, 4)):
        if shape[0]:
            table = ObjectTable(np.zeros(shape, np.uint32), 3)
            assert len(table) == 0
            assert table.free_ids(1, 0) == [1]


def test_many_objects_that_come_later() -> None:
    volumes = np.zeros((1, 1, 40, 50), np.uint32)
    table = ObjectTable(volumes, 2)
    order = np.random.default_rng(0).permutation(2000)
    for count, place in enumerate(order.tolist(), 1):
        y, x = divmod(place, 50)
        volumes[0, 0, y, x] = 10 * place + 1
        before, after = np.zeros(1, np.uint32), np.array([10 * place + 1], np.uint32)
        told = table.replace(volumes[0], 0, (0, y, x), np.ones((1, 1, 1), bool), before, after)
        assert told == ([(0, 10 * place + 1)], [(0, 10 * place + 1)], [])
        assert len(table) == count or count % 100
    counted = ObjectTable(volumes, 2)
    assert table.keys() == counted.keys()
    for name, column in table.columns().items():
        np.testing.assert_array_equal(column, counted.columns()[name])
    np.testing.assert_array_equal(table.checksums, counted.checksums)


def test_ten_million_objects() -> None:
    """Memory is a few columns; an object is found by bisection."""
    side = 3200
    volumes = np.arange(side * side, dtype=np.uint32).reshape(1, 1, side, side)
    tracemalloc.start()
    table = ObjectTable(volumes, 2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 300 * side * side  # bytes per object, while counting
    assert len(table) == side * side - 1
    assert table.box(side + 5) == (slice(1, 2), slice(5, 6))
    tracemalloc.start()
    volumes[0, 0, 7, 9] = 0
    old = np.array([7 * side + 9], np.uint32)
    mask = np.ones((1, 1, 1), bool)
    told = table.replace(volumes[0], 0, (0, 7, 9), mask, old, np.zeros(1, np.uint32))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert told[2] == [(0, 7 * side + 9)]
    assert peak < 100_000
