"""Where tiles lie, which of them a prompt is for, and pixels that are not square."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg.errors import InputError
from napari_cellseg.prompts import Prompt
from napari_cellseg.prompts.tile_limits import sampled_limits
from napari_cellseg.prompts.tile_prompt import extent, told
from napari_cellseg.prompts.tile_region import cut, tight, united
from napari_cellseg.prompts.tile_sampling import Sampling
from napari_cellseg.prompts.tiles import Grid

sides = st.integers(1, 300)
grids = st.builds(
    lambda shape, size, share: Grid(shape, size, (size[0] * share // 8, size[1] * share // 8)),
    st.tuples(sides, sides),
    st.tuples(st.integers(8, 90), st.integers(8, 90)),
    st.integers(0, 4),
)


@given(grids)
def test_equal_tiles_cover_the_plane_and_share_their_halo(grid: Grid) -> None:
    covered = np.zeros(grid.shape, int)
    for tile in range(len(grid)):
        rows, cols = grid.place(tile)
        assert covered[rows, cols].shape == grid.size
        covered[rows, cols] += 1
    assert covered.min() == 1
    for axis in (0, 1):
        starts = np.array(grid.starts[axis])
        if len(starts) > 1:
            assert (np.diff(starts) <= grid.size[axis] - grid.halo[axis]).all()
            assert (np.diff(starts) > 0).all()


@given(grids, st.data())
def test_an_object_as_large_as_the_halo_lies_in_the_tile_that_centres_it(
    grid: Grid, data: st.DataObject
) -> None:
    corner, size = [], []
    for side, halo, tile in zip(grid.shape, grid.halo, grid.size, strict=True):
        whole = side if tile == side else halo
        size.append(data.draw(st.integers(0, min(whole, side - 1))))
        corner.append(data.draw(st.integers(0, side - 1 - size[-1])))
    bounds = (
        float(corner[0]),
        float(corner[1]),
        float(corner[0] + size[0]) - (size[0] > 0),
        float(corner[1] + size[1]) - (size[1] > 0),
    )
    best = grid.best(bounds)
    assert grid.holds(best, bounds)
    assert grid.covering(bounds)[0] == best


@given(grids, st.data())
def test_the_best_tile_is_the_nearest(grid: Grid, data: st.DataObject) -> None:
    row, col = (data.draw(st.floats(-0.5, side - 0.5)) for side in grid.shape)
    bounds = (row, col, row, col)

    def off(tile: int) -> float:
        top, left, bottom, right = grid.bounds(tile)
        return max(abs((top + bottom) / 2 - row), abs((left + right) / 2 - col))

    assert off(grid.best(bounds)) == pytest.approx(min(map(off, range(len(grid)))))


@given(grids, st.data())
def test_a_box_is_covered(grid: Grid, data: st.DataObject) -> None:
    ends = [sorted(data.draw(st.tuples(*[st.integers(0, n - 1)] * 2))) for n in grid.shape]
    (top, bottom), (left, right) = ends
    seen = np.zeros(grid.shape, bool)
    for tile in grid.covering((top, left, bottom, right)):
        seen[grid.place(tile)] = True
    assert seen[top : bottom + 1, left : right + 1].all()


def test_8192_takes_121_tiles() -> None:
    grid = Grid((8192, 8192), (1024, 1024), (256, 256))
    assert len(grid) == 121
    assert grid.place(120) == (slice(7168, 8192), slice(7168, 8192))
    assert len(grid.neighbours(0)) == 3
    assert len(grid.neighbours(12)) == 8


@pytest.mark.parametrize(("size", "halo"), [((0, 4), (0, 0)), ((8, 8), (5, 0)), ((8, 8), (-1, 0))])
def test_impossible_tiles_are_refused(size: tuple[int, int], halo: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="halo"):
        Grid((20, 20), size, halo)


def test_margins_lie_along_inner_borders_only() -> None:
    grid = Grid((40, 20), (20, 20), (4, 4))
    assert list(grid.margins(0, (2, 2))) == [(slice(18, 20), slice(0, 20))]
    assert grid.inner(0, (2, 2)) == (slice(0, 18), slice(0, 20))


# Oblong pixels -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pixel", "factors"),
    [
        ((1, 1), (1, 1)),
        ((1.4, 1), (1, 1)),
        ((1.5, 1), (2, 1)),
        ((0.3, 1.5), (1, 5)),
        ((1000, 1), (32, 1)),
    ],
)
def test_factors(pixel: Any, factors: tuple[int, int]) -> None:
    assert Sampling.of(pixel).factors == factors


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "f4", "i4", "f8", "?"])
@pytest.mark.parametrize("factor", [2, 3, 4, 5])
def test_a_ramp_stays_a_ramp(dtype: str, factor: int) -> None:
    plane = np.tile(np.arange(0, 120, 12), (3, 1)).astype(dtype)
    seen = Sampling((1, factor)).pixels(plane)
    assert seen.dtype == plane.dtype
    assert seen.shape == (3, 10 * factor)
    if dtype == "?":
        np.testing.assert_array_equal(seen[0, factor:], True)
        return
    places = (np.arange(10 * factor) - (factor - 1) / 2) / factor
    expected = np.clip(places * 12, 0, 108)
    np.testing.assert_allclose(seen[1], expected, atol=0.501 if plane.dtype.kind in "iu" else 1e-5)


def test_rgb_and_single_rows_are_enlarged() -> None:
    plane = np.array([[[0, 100, 200]]], np.uint8)
    np.testing.assert_array_equal(Sampling((3, 2)).pixels(plane), np.broadcast_to(plane, (3, 2, 3)))


@given(st.data())
def test_masks_and_points_come_back(data: st.DataObject) -> None:
    sampling = Sampling(data.draw(st.tuples(st.integers(1, 6), st.integers(1, 6))))
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    bits = data.draw(st.lists(st.booleans(), min_size=81, max_size=81))
    mask = np.array(bits).reshape(9, 9)[: shape[0], : shape[1]]
    seen = sampling.mask(mask)
    everywhere = (slice(0, seen.shape[0]), slice(0, seen.shape[1]))
    place, small = sampling.back(tight((everywhere, seen)))
    whole = np.zeros(shape, bool)
    whole[place] = small
    np.testing.assert_array_equal(whole, mask)
    if mask.any():
        points = np.argwhere(mask).astype(float)
        at = sampling.places(points)
        rows, cols = np.floor(at).astype(int).T
        assert seen[rows, cols].all()


# Prompts -------------------------------------------------------------------------------------


def test_what_a_tile_is_told() -> None:
    place = (slice(10, 30), slice(20, 40))
    mask = np.zeros((50, 50), bool)
    mask[29, 39] = mask[30, 40] = True
    prompt = Prompt(
        points=[(10, 20), (9, 20), (29.5, 39.5)], labels=[0, 1, 1], box=(0, 25, 20, 60), mask=mask
    )
    part = told(prompt, place, Sampling())
    assert part is not None
    assert part.points.tolist() == [[0, 0], [19.5, 19.5]]
    assert part.labels.tolist() == [0, 1]
    assert part.box == (-0.5, 5, 10, 19.5)
    assert part.mask is not None
    assert np.argwhere(part.mask).tolist() == [[19, 19]]
    larger = told(prompt, place, Sampling((2, 1)))
    assert larger is not None
    assert larger.points.tolist() == [[0.5, 0], [39.5, 19.5]]
    assert larger.box == (-0.5, 5, 20.5, 19.5)
    assert told(prompt, (slice(40, 50), slice(0, 5)), Sampling()) is None


def test_logits_are_told_to_their_own_tile_only() -> None:
    prompt = Prompt(mask=np.zeros((256, 256), np.float32))
    place = (slice(0, 9), slice(0, 9))
    assert extent(prompt) is None
    assert told(prompt, place, Sampling()) is None
    own = told(prompt, place, Sampling(), logits=True)
    assert own is not None
    assert own.mask is prompt.mask


# Regions and limits --------------------------------------------------------------------------


@given(st.data())
def test_regions_are_united_and_cut_as_whole_masks_are(data: st.DataObject) -> None:
    masks, regions = [], []
    for _ in range(2):
        bits = data.draw(st.lists(st.booleans(), min_size=48, max_size=48))
        masks.append(np.array(bits).reshape(6, 8))
        regions.append(tight(((slice(0, 6), slice(0, 8)), masks[-1])))
    both = united(*regions)
    everywhere = (slice(0, 6), slice(0, 8))
    np.testing.assert_array_equal(cut(both, everywhere), masks[0] | masks[1])
    place = (slice(2, 5), slice(3, 12))
    wide = np.zeros((6, 12), bool)
    wide[:, :8] = masks[0]
    np.testing.assert_array_equal(cut(regions[0], place), wide[place])


def test_limits_of_a_plane_come_from_bounded_blocks() -> None:
    class Lazy:
        shape, read = (9000, 7000), 0

        def __getitem__(self, place: tuple[slice, slice]) -> Any:
            rows, cols = (np.arange(part.start, part.stop) for part in place)
            self.read += len(rows) * len(cols)
            return (rows[:, None] + 0 * cols).astype(np.uint16)

    plane = Lazy()
    limits = sampled_limits(plane)
    assert limits is not None
    assert limits == pytest.approx((45, 8955), abs=60)
    assert plane.read == 2**20


@pytest.mark.parametrize("value", [3.0, np.nan])
def test_a_plane_without_contrast_has_no_limits(value: float) -> None:
    assert sampled_limits(np.full((300, 300), value)) is None
    assert sampled_limits(np.zeros((300, 300), np.uint8)) is None
