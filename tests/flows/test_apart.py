"""Instances that fail the flow check are taken apart; what is sound of them stays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellseg.flows import FlowField, fused_label_flows, label_field, label_flows
from napari_cellseg.flows._diffusion import instance_boxes
from napari_cellseg.flows.apart import parts_of
from napari_cellseg.flows.flow_error import flow_errors

SPACING = (1.0, 1.0, 1.0)


def pair(planar: bool) -> tuple[FlowField, np.ndarray]:
    """Two cells that touch; the second one's flow leads out of it, away from the first."""
    shape = (40, 60) if planar else (20, 40, 60)
    truth = np.zeros(shape, np.int32)
    where = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"))
    for number, x in ((1, 18), (2, 37)):
        middle = np.array([*(n // 2 for n in shape[:-1]), x]).reshape(-1, *(1,) * len(shape))
        inside = ((where - middle) ** 2).sum(0) <= 9.6**2
        truth[inside & (truth == 0)] = number
    flow = (label_flows if planar else fused_label_flows)(truth, SPACING)
    flow[:, truth == 2] = 0
    flow[-1, truth == 2] = 1
    return FlowField(flow, np.where(truth > 0, 4.0, -4.0).astype(np.float32), SPACING), truth


@pytest.mark.parametrize("planar", [True, False])
def test_a_good_cell_outlives_its_wrong_neighbour(planar: bool) -> None:
    field, truth = pair(planar)
    union = (truth > 0).astype(np.int32).reshape(-1, *truth.shape[-2:])
    assert flow_errors(field, union)[1] > 0.5
    found = parts_of(field, union, instance_boxes(union, 1, False), 0.2, 15)
    assert found.whole.tolist() == [1]
    good = np.flatnonzero(truth == 1)
    assert np.isin(found.where, good).mean() > 0.98
    assert np.isin(good, found.where).mean() > 0.98
    assert found.voxels[0] == found.where.size
    assert found.first[0] == found.where.min()
    assert truth.ravel()[found.sink[0]] == 1
    assert found.logit[0] == 4
    assert found.flow_error[0] < 0.05
    # of the wrong cell nothing is sound
    wrong = 2 * (truth == 2).astype(np.int32).reshape(union.shape)
    assert not len(parts_of(field, wrong, instance_boxes(wrong, 2, False), 0.2, 15).whole)


def test_parts_are_numbered_with_the_rest() -> None:
    rng = np.random.default_rng(3)
    flow = rng.normal(size=(3, 12, 30, 30)).astype(np.float32)
    field = FlowField(flow, rng.normal(1, 1, (12, 30, 30)).astype(np.float32), SPACING)
    errors = label_field(field, min_size=4, measure_flow_error=True).flow_error
    assert errors is not None
    limit = float(np.quantile(errors, 0.3))
    kept = label_field(field, min_size=4, flow_error=limit)
    assert kept.flow_error is not None
    assert len(kept) > (errors <= limit).sum()  # there are parts
    assert (kept.flow_error <= np.float32(limit)).all()
    ids, first, sizes = np.unique(kept.labels, return_index=True, return_counts=True)
    np.testing.assert_array_equal(ids, np.arange(len(kept) + 1))
    np.testing.assert_array_equal(np.argsort(first[1:]), np.arange(len(kept)))
    np.testing.assert_array_equal(sizes[1:], kept.voxels)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    planar=st.booleans(),
    before=st.tuples(*[st.integers(0, 5)] * 3),
    limit=st.floats(0.2, 2.5),
)
def test_parts_do_not_depend_on_what_is_around(
    seed: int, planar: bool, before: tuple[int, int, int], limit: float
) -> None:
    rng = np.random.default_rng(seed)
    shape = (1 if planar else 6, 14, 12)
    labels = rng.integers(0, 3, shape).repeat(2, 1)[:, : shape[1]].astype(np.int32)
    flow = rng.normal(size=(2 if planar else 3, *shape)).astype(np.float32)
    logits = rng.normal(size=shape).astype(np.float32)
    shift = (0, *before[1:]) if planar else before
    wide = [(n, 3 if k or not planar else 0) for k, n in enumerate(shift)]
    alone = _parts(flow, logits, labels, limit, planar)
    noisy = np.pad(flow, [(0, 0), *wide], constant_values=0.7)
    among = _parts(
        noisy, np.pad(logits, wide, constant_values=3), np.pad(labels, wide), limit, planar
    )
    size = np.pad(labels, wide).shape
    moved = np.stack(np.unravel_index(alone.where, shape)) + np.array(shift)[:, None]
    np.testing.assert_array_equal(np.ravel_multi_index(tuple(moved), size), among.where)
    for name in ("whole", "voxels", "logit", "agreement", "flow_error", "part"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(among, name))
    assert (alone.flow_error <= np.float32(limit)).all()
    assert (alone.voxels > 0).all()
    np.testing.assert_array_equal(np.bincount(alone.part, minlength=len(alone.whole)), alone.voxels)
    # every voxel of a part is one of its instance
    np.testing.assert_array_equal(labels.ravel()[alone.where], alone.whole[alone.part])


def _parts(flow: np.ndarray, logits: np.ndarray, labels: np.ndarray, limit: float, planar: bool):  # type: ignore[no-untyped-def]
    field = FlowField(flow[:, 0] if planar else flow, logits[0] if planar else logits, SPACING)
    boxes = instance_boxes(labels, int(labels.max()), False)
    return parts_of(field, labels, boxes, limit, 4)
