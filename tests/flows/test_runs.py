import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_cellseg.flows import _borders, _holes, _run_pieces, _runs
from napari_cellseg.flows._holes import fill_holes
from napari_cellseg.flows._run_pieces import pieces


@pytest.fixture(autouse=True, scope="module")
def small_parts():
    """Threads share even the smallest volume."""
    parts_of = _runs.parts_of
    with pytest.MonkeyPatch.context() as patch:
        for module in (_borders, _holes, _run_pieces, _runs):
            patch.setattr(module, "parts_of", lambda total, n, least: parts_of(total, n, 1))
        yield


@st.composite
def basins(draw, most=3, deepest=4):
    """Basin of each voxel of a small volume, 0 is not foreground; some of it not covered."""
    shape = (
        draw(st.integers(1, deepest)),
        draw(st.integers(1, 8)),
        draw(st.integers(1, 8)),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    coarse = rng.integers(0, most + 1, [1 + n // 2 for n in shape])
    fine = coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2)[tuple(slice(0, n) for n in shape)]
    other = rng.integers(0, most + 1, shape)
    return np.where(rng.random(shape) < 0.7, fine, other).astype(np.int32), rng


def runs_of(basin, rng, threads=1, split=False):
    """Runs, as of an integration in which every basin has one terminal."""
    covered = (basin > 0) | (rng.random(basin.shape) < 0.3)
    voxels = np.flatnonzero(covered).astype(np.int32)
    value = basin.reshape(-1)[voxels]
    logits = np.where(value > 0, 2.0, -2.0).astype(np.float32)
    ids, first = np.unique(value, return_index=True)
    terminal = first[np.searchsorted(ids, value)].astype(np.int32)
    canvas = np.zeros(basin.shape, np.int32)
    canvas.reshape(-1)[voxels[first]] = ids
    words = rng.integers(-(2**31), 2**31, voxels.size).astype(np.int32)
    lengths = rng.integers(0, 256, voxels.size).astype(np.uint8)
    runs = _runs.list_runs(voxels, terminal, logits, lengths, words, 0.0, canvas, split, threads)
    return voxels, words, lengths, runs


@settings(max_examples=80, deadline=None)
@given(basins(), st.sampled_from([1, 3]))
def test_runs_are_the_volume(case, threads):
    basin, rng = case
    voxels, _, lengths, runs = runs_of(basin, rng, threads)
    canvas = np.zeros(basin.shape, np.int32)
    _runs.paint(voxels, runs, runs.basin, canvas, threads)
    np.testing.assert_array_equal(canvas, basin)
    rows = np.repeat(np.arange(runs.row.size - 1), np.diff(runs.row))
    np.testing.assert_array_equal(rows * basin.shape[2] + runs.left, voxels[runs.first])
    count, length, logit, first = _runs.sums(
        runs.first, runs.left, runs.right, runs.length, runs.logit, runs.basin, 3
    )
    value = basin.reshape(-1)[voxels]
    for number in range(1, 4):
        mine = np.flatnonzero(value == number)
        assert count[number] == mine.size
        assert length[number] == lengths[mine].sum()
        assert logit[number] == 2 * _runs.LOGIT_STEPS * mine.size
        assert first[number] == (mine[0] if mine.size else -1)


@settings(max_examples=60, deadline=None)
@given(basins(), st.sampled_from([1, 3]))
def test_borders_are_the_sums_over_faces(case, threads):
    basin, rng = case
    voxels, words, lengths, runs = runs_of(basin, rng)
    pairs, sums, totals = _borders.borders(runs, words, lengths, basin.shape[1], 3, threads)
    flow = np.zeros((3, basin.size), np.int64)
    for axis, shift in enumerate((24, 16, 8)):
        part = (words << shift).astype(np.int32) >> 24
        flow[axis, voxels] = part.astype(np.int64) * lengths
    flow = flow.reshape(3, *basin.shape)
    expected = {}
    for axis in range(3):
        near = tuple(slice(None, -1) if k == axis else slice(None) for k in range(3))
        far = tuple(slice(1, None) if k == axis else slice(None) for k in range(3))
        a, b = basin[near], basin[far]
        step = flow[(slice(None), *far)] - flow[(slice(None), *near)]
        for where in zip(*np.nonzero((a != b) & (a > 0) & (b > 0)), strict=True):
            low, high = sorted((int(a[where]), int(b[where])))
            row = expected.setdefault((low, high), np.zeros(15, np.int64))
            sign = 1 if a[where] == low else -1
            row[axis] += 1
            row[3 + 3 * axis : 6 + 3 * axis] += sign * step[(slice(None), *where)]
            row[12 + axis] += step[(axis, *where)]
    assert [tuple(pair) for pair in pairs.tolist()] == sorted(expected)
    for pair, row in zip(pairs.tolist(), sums, strict=True):
        np.testing.assert_array_equal(row, expected[tuple(pair)])
    for number in range(1, 4):
        place = np.argwhere(basin == number)
        mine = basin.reshape(-1)[voxels] == number
        wanted = [len(place), *place.sum(0), lengths[mine].sum()]
        np.testing.assert_array_equal(totals[number], wanted)


@settings(max_examples=40, deadline=None)
@given(basins())
def test_parts_of_planes_are_numbered_by_their_first_voxel(case):
    basin, rng = case
    voxels, words, _, runs = runs_of(basin, rng, 2, split=True)
    old = _runs.number_parts(runs.basin, runs.row, basin.shape[1], 3)
    up = np.zeros(basin.size, bool)
    up[voxels] = (words << 24).astype(np.int32) > 0
    plane = np.arange(basin.size) // (basin.shape[1] * basin.shape[2])
    seen = {}
    expected = np.zeros(basin.size, int)
    for p in np.flatnonzero(basin.reshape(-1)):
        key = (plane[p], basin.reshape(-1)[p], up[p])
        expected[p] = seen.setdefault(key, len(seen) + 1)
    canvas = np.zeros(basin.shape, np.int32)
    _runs.paint(voxels, runs, runs.basin, canvas, 1)
    np.testing.assert_array_equal(canvas.reshape(-1), expected)
    np.testing.assert_array_equal(old[1:], [key[1] for key in seen])


@settings(max_examples=100, deadline=None)
@given(basins(), st.integers(1, 10), st.sampled_from([1, 4]), st.booleans())
def test_pieces_agree_with_a_plain_labelling(case, least, threads, joined):
    basin, rng = case
    voxels, _, _, runs = runs_of(basin, rng)
    owner = np.array([0, 1, 1, 3] if joined else [0, 1, 2, 3], np.int32)
    label = owner[runs.basin]
    before = owner[basin]
    lost, size, highest = pieces(runs, label, basin.shape[1], 3, least, threads)
    canvas = np.zeros(basin.shape, np.int32)
    _runs.paint(voxels, runs, label, canvas, 1)
    promoted = []
    dropped = {}
    for number in np.unique(before[before > 0]):
        parts, count = ndimage.label(before == number, np.ones((3, 3, 3)))
        sizes = np.bincount(parts.ravel())[1:]
        for part in range(1, count + 1):
            ids = np.unique(canvas[parts == part])
            assert ids.size == 1
            if part == sizes.argmax() + 1:  # the first of the largest
                assert ids[0] == number
            elif sizes[part - 1] >= least and 2 * sizes[part - 1] >= sizes.max():
                promoted.append(ids[0])
            else:
                assert ids[0] == 0
                dropped[np.flatnonzero(parts == part)[0]] = sizes[part - 1]
    assert sorted(promoted) == list(range(4, highest + 1))
    assert dict(zip(voxels[runs.first[lost]].tolist(), size.tolist(), strict=True)) == dropped


@settings(max_examples=150, deadline=None)
@given(basins(most=2, deepest=6), st.sampled_from([1, 3]))
def test_holes_agree_with_scipy(case, threads):
    before, rng = case
    _, _, _, runs = runs_of(before, rng)
    canvas = before.copy()
    filled = fill_holes(runs, runs.basin, canvas, 3, False, threads)
    expected = before.copy()
    for number in (2, 1):  # what both enclose is the first one's
        inside = ndimage.binary_fill_holes(before == number) & (before == 0)
        expected[inside] = number
    np.testing.assert_array_equal(canvas, expected)
    np.testing.assert_array_equal(filled, np.flatnonzero(canvas != before))


@pytest.mark.parametrize("planar", [True, False])
def test_a_plane_encloses_only_as_a_plane(planar):
    ring = np.ones((1, 5, 5), np.int32)
    ring[0, 1:4, 1:4] = 0
    _, _, _, runs = runs_of(ring, np.random.default_rng(0))
    filled = fill_holes(runs, runs.basin, ring, 1, planar, 1)
    assert filled.size == (9 if planar else 0)


def test_a_shell_is_filled_and_an_open_one_is_not():
    shell = np.ones((9, 9, 9), np.int32)
    shell[2:7, 2:7, 2:7] = 0
    shell[4, 4, 4] = 2
    opened = shell.copy()
    opened[4, 4, 7:] = 0
    for case, count in ((shell, 124), (opened, 0)):
        canvas = case.copy()
        _, _, _, runs = runs_of(case, np.random.default_rng(0))
        assert fill_holes(runs, runs.basin, canvas, 2, False, 1).size == count
        assert canvas[4, 4, 4] == 2
