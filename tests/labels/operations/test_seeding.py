"""Splitting by seeds: a partition of the object, along its waist, its intensity or its flow."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from label_worlds import Watched, World, counter, worlds, written
from napari_cellseg.errors import InputError
from napari_cellseg.labels.operations import compile_kernel, split_seeds

compile_kernel()


def split(world: World, id: int, seeds: Any, **more: Any) -> np.ndarray:
    watched = Watched(world.labels)
    fresh = counter(world.labels)
    edits = split_seeds(watched, id, world.box(id), seeds, fresh, world.spacing, **more)
    assert watched.read_within(world.box(id))
    return written(world.labels, edits)


@settings(deadline=None)
@given(worlds(), st.data())
def test_every_voxel_is_in_exactly_one_part(world: World, data: st.DataObject):
    sizes = {id: int((world.labels == id).sum()) for id in world.ids}
    large = [id for id, size in sizes.items() if size > 1]
    if not large:
        return
    id = data.draw(st.sampled_from(large))
    voxels = np.argwhere(world.labels == id).tolist()
    seeds = data.draw(st.lists(st.sampled_from(voxels), min_size=2, max_size=4, unique_by=tuple))
    box = world.box(id)
    shape = tuple(cut.stop - cut.start for cut in box)
    rng = np.random.default_rng(0)
    more = data.draw(
        st.sampled_from(
            [
                {},
                {"image": rng.random(shape)},
                {"image": np.zeros(shape, np.uint16), "bright": False},
                {"flow": rng.uniform(-1, 1, (world.labels.ndim, *shape)).astype(np.float16)},
            ]
        )
    )
    out = split(world, id, seeds, **more)
    inside = world.labels == id
    assert np.array_equal(out[~inside], world.labels[~inside])
    parts = [int(out[tuple(seed)]) for seed in seeds]
    assert len(set(parts)) == len(seeds)
    assert set(np.unique(out[inside]).tolist()) == set(parts)
    assert (out == id).sum() == max((out == one).sum() for one in parts)


def two_balls(
    shape: tuple[int, ...], centres: Any, radii: Any, spacing: tuple[float, ...] = (1, 1, 1)
) -> tuple[World, np.ndarray]:
    grid = np.indices(shape)
    steps = spacing[-len(shape) :]
    far = [
        np.sqrt(sum(((grid[k] - one[k]) * steps[k]) ** 2 for k in range(len(shape)))) - radius
        for one, radius in zip(centres, radii, strict=True)
    ]
    labels = (np.minimum(*far) < 0).astype(np.uint32)
    return World(labels, (1.0, *spacing)[-3:]), far[0] < far[1]


CASES = {
    "alike": ((40, 40, 70), [(20, 20, 20), (20, 20, 46)], (17, 15), (1, 1, 1)),
    "one small": ((40, 40, 60), [(20, 20, 20), (20, 20, 42)], (17, 8), (1, 1, 1)),
    "slanting": ((60, 60, 60), [(20, 20, 20), (36, 36, 36)], (17, 15), (1, 1, 1)),
    "thick planes": ((12, 40, 70), [(6, 20, 20), (6, 20, 46)], (17, 15), (4, 1, 1)),
    "flat": ((60, 90), [(30, 25), (30, 58)], (22, 17), (1, 1)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("aside", [0.0, 0.6], ids=["middle", "aside"])
def test_touching_balls_part_where_they_touch(case: str, aside: float):
    shape, centres, radii, spacing = CASES[case]
    world, first = two_balls(shape, centres, radii, spacing)
    # aside: both seeds moved the same way, one towards the border of the cells
    way = np.array(centres[1]) - np.array(centres[0])
    length = np.linalg.norm(way * np.array(spacing))
    seeds = [
        np.round(np.array(one) - aside * radius * way / length)
        for one, radius in zip(centres, radii, strict=True)
    ]
    out = split(world, 1, seeds)
    inside = world.labels > 0
    one = out == out[tuple(seeds[0].astype(int))]
    assert (one == first)[inside].mean() > 0.93


def test_a_ball_is_halved():
    world, _ = two_balls((40, 40, 40), [(20, 20, 20)] * 2, (17, 17))
    out = split(world, 1, [(20, 20, 12), (20, 20, 30)])
    sizes = np.bincount(out.ravel())[1:]
    assert sizes.min() / sizes.sum() > 0.4


def rod() -> World:
    labels = np.zeros((12, 12, 60), np.uint32)
    labels[1:11, 1:11, 2:58] = 4
    return World(labels, (1.0, 1.0, 1.0))


@pytest.mark.parametrize("bright", [True, False])
def test_intensity_decides_where_the_shape_does_not(bright: bool):
    world = rod()
    along = np.arange(60.0)
    profile = np.maximum(np.exp(-(((along - 14) / 12) ** 2)), np.exp(-(((along - 48) / 12) ** 2)))
    image = np.broadcast_to(profile if bright else -profile, world.labels.shape)
    noise = np.random.default_rng(0).normal(0, 0.05, world.labels.shape)
    box = world.box(4)
    out = split(world, 4, [(6, 6, 5), (6, 6, 40)], image=(image + noise)[box], bright=bright)
    assert abs((out[6, 6] == out[6, 6, 5]).sum() - 29) <= 3


def test_flow_decides_where_the_shape_does_not():
    world = rod()
    flow = np.zeros((3, *world.labels.shape), np.float32)
    along = np.arange(60.0)
    middles = np.where(along < 18, 9, 38)
    flow[2] = np.clip((middles - along) / 4, -1, 1)
    out = split(world, 4, [(6, 6, 15), (6, 6, 20)], flow=flow[(slice(None), *world.box(4))])
    assert abs((out[6, 6] == out[6, 6, 15]).sum() - 16) <= 1


def test_pieces_without_a_seed_go_with_the_nearest():
    labels = np.zeros((5, 30), np.uint32)
    labels[1:4, 1:4] = labels[1:4, 20:24] = 2
    labels[2, 7] = labels[2, 17] = 2
    out = split(World(labels, (1, 1, 1)), 2, [(2, 2), (2, 22)])
    assert out[2, 7] == out[2, 2] != out[2, 22] == out[2, 17]


def test_a_plane_of_a_volume_is_split_like_a_picture():
    world, _ = two_balls((30, 60), [(15, 15), (15, 40)], (13, 14))
    deep = World(np.repeat(world.labels[None], 4, 0), world.spacing)
    box = (slice(2, 3), *world.box(1))
    seeds = [(2, 15, 15), (2, 15, 40)]
    edits = split_seeds(deep.labels, 1, box, seeds, counter(world.labels), deep.spacing)
    out = written(deep.labels, edits)
    assert np.array_equal(out[2], split(world, 1, [(15, 15), (15, 40)]))
    assert (np.delete(out, 2, 0) == np.delete(deep.labels, 2, 0)).all()


def test_scribbles():
    world = rod()
    left = [(6, 6, k) for k in range(4, 40)]
    out = split(world, 4, [left, [(6, 6, 50), (6, 6, 52)]])
    assert (out[6, 6, 4:40] == out[6, 6, 4]).all()
    assert out[6, 6, 50] != out[6, 6, 4]


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ([(6, 6, 6)], "two or more seeds"),
        ([(6, 6, 6), (6, 6, 6.4)], "shares a voxel"),
        ([(6, 6, 6), (0, 0, 0)], "Seed 2 .* outside object 4"),
        ([(6, 6, 6), (6, 6, -9)], "outside object 4"),
        ([(6, 6, 6), (6, 6)], "3 finite coordinates"),
        ([(6, 6, np.nan), (6, 6, 8)], "finite"),
        ([(6, 6, 6), np.zeros((0, 3))], "Seed 2 must have 3"),
    ],
)
def test_bad_seeds(seeds: Any, message: str):
    with pytest.raises(InputError, match=message):
        split(rod(), 4, seeds)


def test_image_and_flow_must_fill_the_box():
    seeds = [(6, 6, 6), (6, 6, 40)]
    with pytest.raises(InputError, match="image"):
        split(rod(), 4, seeds, image=np.zeros((12, 12, 60)))
    with pytest.raises(InputError, match="flow"):
        split(rod(), 4, seeds, flow=np.zeros((2, 10, 10, 56)))


@settings(deadline=None, max_examples=20)
@given(st.sampled_from([(0.1, 5.0, 5.0), (50.0, 0.1, 0.1), (1e-4, 1e-4, 1e-4), (1e4, 1e4, 1e4)]))
def test_any_spacing(spacing: tuple[float, float, float]):
    world = World(rod().labels, spacing)
    out = split(world, 4, [(6, 6, 6), (6, 6, 50)])
    sizes = np.bincount(out.ravel())[1:]
    assert sizes.sum() == (world.labels > 0).sum()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e38, -1e38])
def test_values_that_are_no_intensities_or_directions(bad: float):
    world = rod()
    shape = tuple(cut.stop - cut.start for cut in world.box(4))
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    flow = np.zeros((3, *shape), np.float32)
    for array in (image, flow):
        array.flat[::7] = bad
    for more in ({"image": image}, {"image": np.full(shape, bad)}, {"flow": flow}):
        out = split(world, 4, [(6, 6, 6), (6, 6, 50)], **more)
        assert set(np.unique(out)) == {0, 4, 5}
