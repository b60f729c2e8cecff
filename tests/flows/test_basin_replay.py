"""Several points on one object: what a user gets who corrects a wrong cell."""

import time

import numpy as np
import pytest
from benchmarks.synthetic import ellipsoids, field_of
from scipy import ndimage

from napari_cellseg.evaluation.click_answers import basin_answer
from napari_cellseg.evaluation.clicks import simulate_clicks
from napari_cellseg.flows import FlowField, instances
from napari_cellseg.flows.basin import basin_region

SPACING = (2.0, 1.0, 1.0)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def disc(shape, centre, radius):
    places = np.indices(shape) - np.reshape(centre, (-1, *[1] * len(shape)))
    return (places**2).sum(0) <= radius**2


def merged_row(count=4, distance=14, radius=9):
    """Cells in a row whose flow was blurred until it has one sink, and the true labels."""
    centres = [(10, 24, 16 + distance * k) for k in range(count)]
    shape = (20, 48, 32 + distance * (count - 1))
    truth = ellipsoids(shape, centres, [(16, radius, radius)] * count, SPACING)
    field = field_of(truth, SPACING, "fused")
    blurred = np.stack([ndimage.gaussian_filter(part, (3, 6, 30)) for part in field.flow])
    return truth, FlowField(blurred, field.logits, SPACING)


def test_few_clicks_take_one_cell_out_of_a_merged_row():
    truth, field = merged_row(3, 15)
    assert instances(field).max() == 1
    clicks = simulate_clicks(truth, basin_answer(field), SPACING, most=5)
    assert clicks["iou_1"].mean() < 0.4
    assert clicks["iou_2"].mean() > 0.55
    assert clicks["iou_3"].mean() > 0.7
    assert clicks["iou_5"].min() > 0.75


@pytest.mark.parametrize("swapped", [False, True])
def test_a_click_on_the_middle_of_each_of_two_merged_cells_parts_them_half_way(swapped):
    truth, field = merged_row(2, 12, 10)
    points = [(10, 24, 16), (10, 24, 28)]
    wanted, other = points[::-1] if swapped else points
    part = field.basin([wanted], [other])
    assert iou(part, truth == truth[wanted]) > 0.85


def half_cell():
    """A disc of which the flow and the logits know the left part only."""
    cell = disc((60, 60), (30, 30), 14)
    known = cell & (np.arange(60) < 32)
    field = field_of(known.astype(np.int32), (1, 1, 1))
    logits = np.where(known, 6.0, -9.0).astype(np.float32)
    return cell, known, FlowField(field.flow, logits, (1, 1, 1))


def test_a_positive_click_in_a_part_without_any_evidence_adds_its_ball_up_to_the_object():
    cell, known, field = half_cell()
    np.testing.assert_array_equal(field.basin([(30, 22)]), known)
    added = field.basin([(30, 22), (30, 38)])
    assert added[30, 22:44].all()
    assert iou(added, cell) > iou(known, cell) + 0.15
    clicks = simulate_clicks(cell.astype(np.int32), basin_answer(field), most=5)
    assert clicks["iou_5"][0] > 0.88


def test_two_clicks_in_the_background_fill_what_lies_between_them():
    truth = np.zeros((60, 90), np.int32)
    truth[disc(truth.shape, (30, 16), 10)] = 1
    field = field_of(truth, (1, 1, 1))
    one = basin_region(field, [(30, 60)])
    assert not one.found
    assert one.reason
    pair = [(30, 60), (30, 72)]
    found = basin_region(field, pair)
    mask = found.painted(field.shape)
    assert not found.reason
    assert mask[30, 58:75].all()
    assert mask.sum() < 3 * 12**2
    np.testing.assert_array_equal(field.basin(pair[::-1]), mask)
    assert not field.basin(pair, [(30, 66)])[30, 66]


def test_a_positive_click_deep_in_a_neighbour_unites_it_and_one_at_its_rim_does_not():
    centres, axes = [(10, 24, 16), (10, 24, 35)], [(16, 10, 10)] * 2
    truth = ellipsoids((20, 48, 54), centres, axes, SPACING)
    field = field_of(truth, SPACING)
    labels = instances(field)
    first, second = labels[10, 24, 16], labels[10, 24, 35]
    assert first != second
    np.testing.assert_array_equal(field.basin(centres), labels > 0)
    border = int(np.flatnonzero(labels[10, 24] == second)[0])
    rim = field.basin([(10, 24, 16), (10, 24, border + 1)])
    assert rim[10, 24, border + 1]
    assert rim[labels == first].all()
    assert 0 < (rim & (labels == second)).sum() < 0.2 * (labels == second).sum()


def test_a_bump_of_the_logits_without_flow_is_a_speck():
    truth = np.zeros((80, 120), np.int32)
    truth[disc(truth.shape, (40, 25), 16)] = 1
    field = field_of(truth, (1, 1, 1))
    speck = disc(truth.shape, (40, 90), 4)
    logits = np.where(speck, -1.0, field.logits).astype(np.float32)
    logits = ndimage.gaussian_filter(logits, 1.5)
    field = FlowField(np.where(truth > 0, field.flow, 0), logits, (1, 1, 1))
    assert not instances(field)[speck].any()
    assert iou(field.basin([(40, 90)]), speck) > 0.5


def test_the_order_of_negative_points_does_not_matter():
    _, field = merged_row()
    positive = [(10, 24, 30), (10, 27, 33), (10, 21, 26)]
    negative = [(10, 24, 16), (10, 24, 46), (10, 24, 58)]
    mask = field.basin(positive, negative)
    assert all(mask[p] for p in positive)
    assert not any(mask[n] for n in negative)
    again = field.basin(positive, negative[::-1])
    np.testing.assert_array_equal(again, mask)


def test_large_cells_are_parted_on_a_coarser_grid_where_fine_ones_are():
    def parted(scale):
        shape = (80 * scale, 120 * scale)
        truth = disc(shape, (40 * scale, 42 * scale), 22 * scale).astype(np.int32)
        truth[disc(shape, (40 * scale, 78 * scale), 22 * scale)] = 2
        logits = np.where(truth > 0, 6.0, -9.0).astype(np.float32)
        field = FlowField(np.zeros((2, *shape), np.float32), logits, (1, 1, 1))
        assert instances(field).max() == 1
        points = [(40 * scale, 42 * scale)], [(40 * scale, 78 * scale)]
        field.basin(*points)
        start = time.process_time()
        mask = field.basin(*points)
        return mask, truth, time.process_time() - start

    small, truth, _ = parted(1)
    assert iou(small, truth == 1) > 0.9
    large, truth, spent = parted(6)
    assert truth.astype(bool).sum() > 3 * 2**15
    assert iou(large, truth == 1) > 0.9
    assert iou(large[3::6, 3::6], small) > 0.93
    assert spent < 1.0


def test_many_points_do_not_take_forever_and_all_count():
    truth, field = merged_row()
    rng = np.random.default_rng(0)
    inside = rng.permutation(np.argwhere(truth == 2))[:150]
    outside = rng.permutation(np.argwhere(truth != 2))[:150]
    field.basin(inside[:1], outside[:1])
    start = time.process_time()
    mask = field.basin(inside, outside)
    assert time.process_time() - start < 2.0
    assert mask[tuple(inside.T)].all()
    assert not mask[tuple(outside.T)].any()
    assert iou(mask, truth == 2) > 0.6
