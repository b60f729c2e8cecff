import time

import numpy as np
import pytest
from benchmarks.synthetic import ellipsoids, field_of, touching_ellipsoids
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_cellseg.errors import InputError
from napari_cellseg.flows import FlowField, instances
from napari_cellseg.flows.basin import basin_region

SPACING = (2.0, 1.0, 1.0)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def middle(mask):
    """Deepest voxel."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[(slice(1, -1),) * mask.ndim]
    return np.unravel_index(depth.argmax(), mask.shape)


@pytest.fixture(scope="module")
def packed():
    truth = touching_ellipsoids((40, 80, 80), anisotropy=2, seed=1)
    field = field_of(truth, SPACING, "fused", smooth=1.0).prepare()
    return truth, field, instances(field)


@pytest.fixture(scope="module")
def pair():
    """Two cells that touch, far from a third that the threshold misses."""
    truth = ellipsoids(
        (20, 48, 90),
        [(10, 24, 16), (10, 24, 34), (10, 24, 70)],
        [(16, 10, 10)] * 3,
        SPACING,
    )
    field = field_of(truth, SPACING, "fused", smooth=1.0)
    field.logits[truth == 3] -= 8
    return truth, FlowField(field.flow, ndimage.gaussian_filter(field.logits, 1), SPACING)


def test_every_cell_of_a_packed_field_is_one_click(packed):
    _, field, labels = packed
    assert labels.max() > 40
    for number, where in enumerate(ndimage.find_objects(labels), 1):
        voxel = np.argwhere(labels == number)[number % 7]
        found = basin_region(field, [voxel])
        assert found.region == where
        np.testing.assert_array_equal(found.mask, labels[where] == number)


def test_the_whole_volume_form_is_the_region_painted(packed):
    _, field, labels = packed
    voxel = np.argwhere(labels == 5)[0]
    mask = field.basin([voxel])
    assert mask.dtype == bool
    assert mask.shape == field.shape
    np.testing.assert_array_equal(mask, labels == 5)


def test_several_points_unite_and_a_negative_elsewhere_does_nothing(packed):
    _, field, labels = packed
    points = [np.argwhere(labels == number)[3] for number in (4, 9, 4)]
    both = field.basin(points)
    np.testing.assert_array_equal(both, np.isin(labels, (4, 9)))
    elsewhere = np.argwhere(labels == 12)[0]
    np.testing.assert_array_equal(field.basin(points, [elsewhere]), both)


def test_a_negative_point_parts_united_cells_where_they_touch(pair):
    truth, field = pair
    united = field.basin([(10, 24, 16), (10, 24, 40)])
    assert iou(united, np.isin(truth, (1, 2))) > 0.85
    left = field.basin([(10, 24, 16), (10, 24, 23)], [(10, 24, 40)])
    np.testing.assert_array_equal(left, field.basin([(10, 24, 16)]))


@pytest.mark.parametrize("distance", [12, 14])
@pytest.mark.parametrize("offset", [0, 3])
def test_two_cells_in_one_basin_are_split_at_their_border(distance, offset):
    truth = ellipsoids(
        (20, 48, 60), [(10, 24, 20), (10, 24, 20 + distance)], [(16, 10, 10)] * 2, SPACING
    )
    field = field_of(truth, SPACING, "fused")
    blurred = np.stack([ndimage.gaussian_filter(part, (2.5, 5, 8)) for part in field.flow])
    merged = FlowField(blurred, field.logits, SPACING)
    assert instances(merged).max() == 1
    positive, negative = (10, 24, 20 - offset), (10, 24, 20 + distance + offset)
    assert merged.basin([positive])[negative]
    left, right = merged.basin([positive], [negative]), merged.basin([negative], [positive])
    assert iou(left, truth == 1) > 0.85
    assert iou(right, truth == 2) > 0.85
    assert not (left & right).any()


def test_a_cell_below_the_threshold_is_found_where_it_is(pair):
    truth, field = pair
    assert not instances(field)[truth == 3].any()
    for voxel in [(10, 24, 70), (10, 28, 66), (7, 24, 72)]:
        assert iou(field.basin([voxel]), truth == 3) > 0.7


def test_nothing_is_found_in_the_background_and_a_sentence_says_so(pair):
    truth, field = pair
    found = basin_region(field, [(10, 3, 88)])
    assert not found.found
    assert found.mask.shape == (0, 0, 0)
    assert found.reason.startswith("Nothing was found at voxel (10, 3, 88): ")
    assert not field.basin([(10, 3, 88)]).any()
    beside = field.basin([(10, 24, 16), (10, 3, 88)])  # the other point still counts
    assert iou(beside, truth == 1) > 0.8


def test_noise_holds_no_cell():
    rng = np.random.default_rng(0)
    flow = rng.normal(0, 0.1, (3, 24, 24, 24)).astype(np.float32)
    logits = rng.normal(-3, 0.3, (24, 24, 24)).astype(np.float32)
    field = FlowField(flow, logits, (1, 1, 1))
    assert not any(field.basin([voxel]).any() for voxel in rng.integers(0, 24, (30, 3)))


def test_a_click_beside_the_rim_moves_the_rim_near_it_only(pair):
    truth, field = pair
    cell = field.basin([(10, 24, 12)])
    outer = np.argwhere(cell[10, 24])[0, 0]
    shrunk = field.basin([(10, 24, 16)], [(10, 24, outer)])
    assert (shrunk <= cell).all()
    assert 0 < cell.sum() - shrunk.sum() < 0.3 * cell.sum()
    grown = field.basin([(10, 24, 16), (10, 24, outer - 1)])
    assert (cell <= grown).all()
    assert grown[10, 24, outer - 1]
    assert grown.sum() < 1.4 * cell.sum()
    far = truth == 1
    far[:, :, : outer + 10] = False
    np.testing.assert_array_equal(grown[far], cell[far])


def test_a_box_bounds_the_cell_and_alone_takes_what_lies_mostly_in_it(packed):
    _, field, labels = packed
    where = ndimage.find_objects(labels)[19]
    low, high = [s.start for s in where], [s.stop - 1 for s in where]
    alone = field.basin(box=(*low, *high))
    assert alone[labels == 20].all()
    inside = np.zeros(labels.shape, bool)
    inside[where] = True
    assert not alone[~inside].any()
    voxel = middle(labels == 20)
    cut = field.basin([voxel], box=(*low, high[0], high[1], voxel[2]))
    expected = labels == 20
    expected[:, :, voxel[2] + 1 :] = False
    np.testing.assert_array_equal(cut, expected)


def test_a_box_alone_finds_a_missed_cell_and_a_negative_point_trims_it(pair):
    truth, field = pair
    box = (1, 12, 58, 18, 36, 82)
    assert iou(field.basin(box=box), truth == 3) > 0.7
    trimmed = field.basin(negative=[(10, 24, 78)], box=box)
    assert not trimmed[10, 24, 78]
    assert trimmed[10, 24, 70]
    empty = basin_region(field, box=(0, 0, 84, 3, 4, 89))
    assert not empty.found
    assert empty.reason.startswith("Nothing was found in the box")


def test_planes_and_frames():
    truth = touching_ellipsoids((96, 96), seed=2)
    field = field_of(truth, (1, 1, 1))
    labels = instances(field)
    voxel = np.argwhere(labels == 3)[0]
    np.testing.assert_array_equal(field.basin([voxel]), labels == 3)
    film = FlowField(
        np.stack([np.zeros_like(field.flow), field.flow]),
        np.stack([field.logits * 0 - 9, field.logits]),
        (1, 1, 1),
    ).prepare()
    np.testing.assert_array_equal(film.basin([voxel], t=1), labels == 3)
    assert not film.basin([voxel], t=0).any()
    np.testing.assert_array_equal(film.frame(1).basin([voxel]), labels == 3)
    with pytest.raises(InputError, match="no frame 2"):
        film.basin([voxel], t=2)


def test_holes_that_no_trajectory_covers_belong_to_the_cell():
    truth = ellipsoids((24, 24, 24), [(12, 12, 12)], [(9, 9, 9)], (1, 1, 1))
    field = field_of(truth, (1, 1, 1))
    field.logits[10, 10, 10] = -20
    labels = instances(field)
    assert labels[10, 10, 10] == 1
    for voxel in [(10, 10, 10), (12, 12, 12)]:
        np.testing.assert_array_equal(field.basin([voxel]), labels == 1)


def test_another_probability_is_another_instance(packed):
    _, field, _ = packed
    strict = instances(field, probability=0.99)
    voxel = middle(strict == 7)
    np.testing.assert_array_equal(field.basin([voxel], probability=0.99), strict == strict[voxel])
    assert field.basin([voxel]).sum() > field.basin([voxel], probability=0.99).sum()
    with pytest.raises(InputError, match="between 0 and 1"):
        field.basin([voxel], probability=1.0)


@st.composite
def prompts(draw):
    """Noisy fields of a few cells, with points anywhere and perhaps a box around the first."""
    anisotropy = draw(st.sampled_from([1, 3]))
    seed = draw(st.integers(0, 99))
    truth = touching_ellipsoids((24, 36, 36), radius=7, anisotropy=anisotropy, seed=seed)
    noise = draw(st.sampled_from([0.0, 0.5]))
    field = field_of(truth, (float(anisotropy), 1, 1), noise=noise, smooth=1.0, seed=seed)
    points = st.tuples(*(st.integers(0, n - 1) for n in truth.shape))
    positive = draw(st.lists(points, min_size=1, max_size=4))
    negative = [p for p in draw(st.lists(points, max_size=4)) if p not in positive]
    box = None
    if draw(st.booleans()):
        low = np.min(positive, 0) - draw(st.integers(1, 4))
        box = (*low, *(np.max(positive, 0) + draw(st.integers(1, 4))))
    return field, positive, negative, box


@settings(max_examples=40, deadline=None)
@given(prompts())
def test_what_holds_for_any_prompt(prompt):
    field, positive, negative, box = prompt
    found = basin_region(field, positive, negative, box)
    mask = found.painted(field.shape)
    assert found.reason or all(mask[p] for p in positive)
    assert not any(mask[n] for n in negative)
    labels = instances(field)
    assert all(mask[p] for p in positive if labels[p])
    if found.found:  # the region is the smallest
        used = np.argwhere(mask)
        assert [s.start for s in found.region] == used.min(0).tolist()
        assert [s.stop for s in found.region] == (used.max(0) + 1).tolist()
    if box is not None:
        inside = np.zeros(mask.shape, bool)
        inside[tuple(slice(max(0, a), b + 1) for a, b in zip(box[:3], box[3:], strict=True))] = True
        assert not mask[~inside].any()
    again = basin_region(field, positive[::-1], negative[::-1], box)
    if len(positive) == 1:
        np.testing.assert_array_equal(again.painted(field.shape), mask)


@st.composite
def senseless(draw):
    """Fields without any sense, and points and a box anywhere in them."""
    ndim = draw(st.sampled_from([2, 3]))
    shape = tuple(draw(st.integers(1, 12)) for _ in range(ndim))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    flow = rng.normal(0, draw(st.sampled_from([0.0, 0.1, 0.6])), (ndim, *shape))
    logits = rng.normal(draw(st.sampled_from([-6.0, -3.0, 0.0])), 3, shape)
    if draw(st.booleans()):
        logits = ndimage.gaussian_filter(logits, 2)
    spacing = (draw(st.sampled_from([0.5, 1.0, 5.0])), 1.0, draw(st.sampled_from([1.0, 1.5])))
    points = st.lists(st.tuples(*(st.integers(0, n - 1) for n in shape)), max_size=5)
    positive = draw(points)
    negative = [p for p in draw(points) if p not in positive]
    box = None
    if draw(st.booleans()) or not positive:
        some = positive or [tuple(int(rng.integers(n)) for n in shape)]
        box = (*(np.min(some, 0) - 0.4), *(np.max(some, 0) + draw(st.integers(1, 5))))
    return FlowField(flow.astype("f4"), logits.astype("f4"), spacing), positive, negative, box


@settings(max_examples=150, deadline=None)
@given(senseless())
def test_what_holds_in_any_field(prompt):
    field, positive, negative, box = prompt
    found = basin_region(field, positive, negative, box)
    mask = found.painted(field.shape)
    assert found.found == (found.mask.size > 0)
    assert found.found or found.reason
    assert found.reason or all(mask[p] for p in positive)
    assert not any(mask[n] for n in negative)
    labels = instances(field)
    assert all(mask[p] for p in positive if labels[p])
    if box is not None:
        for axis, (low, high) in enumerate(zip(box[: field.ndim], box[field.ndim :], strict=True)):
            used = np.flatnonzero(mask.any(axis=tuple(a for a in range(field.ndim) if a != axis)))
            assert used.size == 0 or (used[0] >= low and used[-1] <= high)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_what_lies_far_away_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    truth = ellipsoids(
        (24, 32, 90), [(12, 16, 14), (12, 16, 32), (12, 16, 72)], [(9, 9, 9)] * 3, (1, 1, 1)
    )
    field = field_of(truth, (1, 1, 1), "fused", noise=0.2, smooth=1.0, seed=seed)
    near = FlowField(field.flow[..., :60], field.logits[..., :60], (1, 1, 1))
    labels = instances(field)
    anywhere = truth == 2
    anywhere[12, 16, 32] = False
    negative = [tuple(rng.choice(np.argwhere(anywhere)))]
    for voxel in (rng.choice(np.argwhere((truth == 1) & (labels > 0))), (12, 16, 14)):
        for extra in ([], negative):
            whole = field.basin([voxel, (12, 16, 32)], extra)
            np.testing.assert_array_equal(whole[..., :60], near.basin([voxel, (12, 16, 32)], extra))
            assert not whole[..., 60:].any()


def test_what_lies_far_away_hardly_changes_a_missed_cell(pair):
    """The typical diameter, which the rule for missed cells needs, is of the whole field."""
    _, field = pair
    part = FlowField(field.flow[..., 26:], field.logits[..., 26:], SPACING)
    whole = field.basin([(10, 24, 70)])
    assert iou(whole[..., 26:], part.basin([(10, 24, 44)])) > 0.9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"positive": [(10, 24, 90)]}, r"positive point \(10, 24, 90\) lies outside the field"),
        ({"positive": [(10, 24, 16)], "negative": [(-1, 2, 3)]}, "negative point"),
        ({"positive": [(10, np.nan, 16)]}, "NaN"),
        ({"positive": [(24, 16)]}, r"\(n, 3\) is needed"),
        ({"positive": [(10, 24, 16), (1, 2)]}, "must be numbers"),
        ({"positive": ["abc"]}, "must be numbers"),
        ({"negative": [(10, 24, 16)]}, "add a positive point or a box"),
        ({}, "add a positive point or a box"),
        ({"positive": np.zeros((10_000, 3))}, "10,000 positive points"),
        ({"positive": [(10, 24, 16)], "negative": [(10, 24, 16.3)]}, "delete one of them"),
        ({"box": (1, 2, 3, 1, 5, 6)}, "empty"),
        ({"box": (1, 2, 3, 4)}, "must be 6 numbers"),
        ({"box": (1, 2, np.inf, 4, 5, 6)}, "NaN or infinite"),
        ({"box": (50, 0, 0, 60, 9, 9)}, "holds no voxel"),
        ({"box": (1.2, 2, 3, 1.7, 5, 6)}, "holds no voxel"),
        ({"positive": [(10, 24, 16)], "box": (0, 0, 0, 5, 9, 9)}, "lies outside the box"),
        ({"positive": [(10, 24, 16)], "t": -1}, "no frame -1"),
    ],
)
def test_bad_prompts_are_one_clear_sentence(pair, call, message):
    with pytest.raises(InputError, match=message) as caught:
        pair[1].basin(**call)
    assert str(caught.value).count(". ") == 0
    assert str(caught.value).endswith(".")


def test_points_between_voxels_go_to_the_nearest(packed):
    _, field, labels = packed
    voxel = np.argwhere(labels == 6)[10]
    np.testing.assert_array_equal(field.basin([voxel + 0.4]), labels == labels[tuple(voxel)])


def test_a_field_without_foreground_answers_with_nothing():
    field = FlowField(np.zeros((3, 4, 5, 6), "f4"), np.full((4, 5, 6), -20, "f4"), (1, 1, 1))
    assert not field.prepare().basin([(1, 2, 3)]).any()
    assert not field.basin(box=(0, 0, 0, 3, 3, 3)).any()


def test_prepare_makes_the_index_unless_told_otherwise(pair):
    _, field = pair
    lean = FlowField(field.flow, field.logits, SPACING).prepare(clicks=False)
    assert not lean._indexes
    assert lean.prepare()._indexes[0].nbytes < lean.integration().nbytes


def test_a_click_does_not_take_longer_in_a_larger_volume(pair):
    _, field = pair
    large = FlowField(
        np.pad(field.flow, [(0, 0), (0, 40), (0, 200), (0, 200)]),
        np.pad(field.logits, [(0, 40), (0, 200), (0, 200)], constant_values=-20),
        SPACING,
    ).prepare()
    field.prepare()

    def fastest(which):
        spent = []
        for _ in range(15):
            start = time.perf_counter()
            basin_region(which, [(10, 24, 16)])
            spent.append(time.perf_counter() - start)
        return min(spent)

    assert large.logits.size > 30 * field.logits.size
    assert fastest(large) < 3 * fastest(field) + 1e-3
