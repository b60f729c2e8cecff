"""Steps as bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellseg.errors import StorageError
from napari_cellseg.labels.packing import (
    Patch,
    distinct,
    header_of,
    pack,
    pack_patches,
    patches_of,
)
from napari_cellseg.labels.replay import writes


def back(patches: list[Patch]) -> list[Patch]:
    return list(patches_of(pack({"do": "step"}, (), pack_patches(patches))))


def same(one: Patch, other: Patch) -> None:
    assert one.region == other.region
    np.testing.assert_array_equal(one.mask, other.mask)
    for a, b in ((one.before, other.before), (one.after, other.after)):
        assert b.dtype == np.uint32
        np.testing.assert_array_equal(a, b)


def patch(shape: tuple[int, ...], ids: int, seed: int = 0, fill: float = 0.6) -> Patch:
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < fill
    number = int(mask.sum())
    palette = rng.choice(2**32 - 1, ids, replace=False).astype(np.uint32)
    before = rng.choice(palette, number)
    before[: min(ids, number)] = palette[:number]
    after = np.full(number, 2**32 - 2, np.uint32)
    return Patch(tuple(slice(3, 3 + n) for n in shape), mask, before, after)


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.integers(1, 20),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.2, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_patches_come_back(shape: list[int], ids: int, seed: int, fill: float) -> None:
    made = [patch(tuple(shape), ids, seed, fill), patch(tuple(shape[::-1]), 1, seed + 1)]
    for one, other in zip(made, back(made), strict=True):
        same(one, other)


@pytest.mark.parametrize("ids", [1, 2, 3, 255, 256, 257, 2**16, 2**16 + 1])
def test_every_width_of_the_list_of_ids(ids: int) -> None:
    made = patch((300, 300), ids, fill=0.9)
    assert len(np.unique(made.before)) == ids
    (found,) = back([made])
    same(made, found)
    turned = Patch(made.region, made.mask, made.after, made.before)
    same(turned, back([turned])[0])


def test_empty_patches_and_no_patches() -> None:
    assert back([]) == []
    nothing = np.zeros(0, np.uint32)
    (found,) = back([Patch((slice(2, 2), slice(0, 4)), np.zeros((0, 4), bool), nothing, nothing)])
    assert found.mask.shape == (0, 4)
    assert found.before.size == found.after.size == 0


def test_solid_objects_take_at_most_three_bits_per_voxel() -> None:
    z, y, x = np.indices((24, 64, 64))
    ball = ((z - 12) / 10) ** 2 + ((y - 32) / 28) ** 2 + ((x - 32) / 28) ** 2 < 1
    number = int(ball.sum())
    neighbours = np.where(y[ball] < 20, 5, np.where(x[ball] < 30, 9, 0)).astype(np.uint32)
    for before in (np.zeros(number, np.uint32), neighbours):
        made = Patch(
            (slice(0, 24), slice(0, 64), slice(0, 64)), ball, before, np.full(number, 7, np.uint32)
        )
        assert 8 * len(pack({}, ((0, 7),), pack_patches([made]))) <= 3 * number


def test_header_and_keys_come_back_without_the_patches() -> None:
    keys = tuple((t, 2**32 - 2 - t) for t in range(300))
    header = {"do": "step", "info": {"name": "Zelle ü", "score": 0.25, "none": None}}
    payload = pack(header, keys, (0, b""))
    assert header_of(payload) == (header, keys)
    assert header_of(pack({}, (), (0, b""))) == ({}, ())


def test_another_version_is_said() -> None:
    with pytest.raises(StorageError, match="another version"):
        header_of(b"NCE9" + bytes(20))


def test_replay_of_a_step_of_its_undo_and_of_its_redo() -> None:
    region = (slice(0, 1), slice(0, 2))
    mask = np.array([[True, True]])
    zero, one, two = (np.full(2, n, np.uint32) for n in range(3))
    step = pack(
        {"do": "step"},
        (),
        pack_patches([Patch(region, mask, zero, one), Patch(region, mask, one, two)]),
    )
    records = {4: step}
    for header, expected in (
        ({"do": "step"}, [1, 2]),
        ({"do": "undo", "of": 4}, [1, 0]),
        ({"do": "redo", "of": 4}, [1, 2]),
    ):
        payload = step if header["do"] == "step" else pack(header, (), (0, b""))
        assert [int(v[0]) for _, _, v in writes(payload, records.__getitem__)] == expected


@given(st.lists(st.integers(0, 2**32 - 1), max_size=40))
def test_distinct_equals_unique(values: list[int]) -> None:
    array = np.array(values, np.uint32)
    np.testing.assert_array_equal(distinct(array), np.unique(array))
