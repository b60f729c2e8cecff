import threading
import tracemalloc

import numpy as np
import pytest
from benchmarks.synthetic import ellipsoids, field_of, touching_ellipsoids
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellseg.errors import Cancelled
from napari_cellseg.flows import FlowField, Progress
from napari_cellseg.flows import integrate as integrating
from napari_cellseg.flows.integrate import LOOSEST, integrate, reach, step_counts, voxel_ratio


@st.composite
def random_fields(draw):
    ndim = draw(st.sampled_from([2, 3]))
    shape = tuple(draw(st.integers(1, 9)) for _ in range(ndim))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spacing = (draw(st.sampled_from([0.5, 1.0, 2.0, 5.0])), 1.0, draw(st.sampled_from([1.0, 1.5])))
    flow = rng.normal(0, 0.6, (ndim, *shape)).astype(np.float32)
    logits = rng.normal(draw(st.sampled_from([-4.0, 0.0, 4.0])), 3, shape).astype(np.float32)
    return FlowField(flow, logits, spacing)


@settings(max_examples=40, deadline=None)
@given(random_fields())
def test_terminals_are_foreground_and_settled_for_any_field(field):
    result = field.integration()
    chosen = field.logits.reshape(-1) > np.float32(LOOSEST)
    np.testing.assert_array_equal(result.voxels, np.flatnonzero(chosen))
    np.testing.assert_array_equal(result.logits, field.logits.reshape(-1)[chosen])
    assert result.terminal.size == 0 or result.terminal.min() >= 0
    assert (result.terminal < max(1, result.voxels.size)).all()


@settings(max_examples=40, deadline=None)
@given(random_fields())
def test_what_goes_round_ends_at_its_lowest_voxel(field):
    result = field.integration()
    np.testing.assert_array_equal(result.terminal[result.terminal], result.terminal)


def hops(flow, logits, spacing):
    """Raster index of the voxel that each one points to, -1 in the background."""
    planar = logits.ndim == 2
    if planar:
        flow, logits = flow[:, None], logits[None]
    volume, voxels, _, _ = integrating._pack(flow, logits, LOOSEST, 1, None)
    ratio = voxel_ratio(np.asarray(spacing, float), planar)
    out = np.full(logits.size, -1)
    out[voxels] = voxels[integrating._pointers(volume, voxels, ratio, 1, None)]
    return out.reshape(logits.shape), reach(ratio)


@settings(max_examples=60, deadline=None)
@given(random_fields(), st.data())
def test_blocks_with_a_halo_give_the_same_pointers(field, data):
    whole, halo = hops(field.flow, field.logits, field.spacing)
    halo = halo[3 - field.ndim :]
    core = []
    for n in field.logits.shape:
        start = data.draw(st.integers(0, n - 1))
        core.append(slice(start, data.draw(st.integers(start + 1, n))))
    near = [
        slice(max(0, c.start - h), min(n, c.stop + h))
        for c, h, n in zip(core, halo, field.logits.shape, strict=True)
    ]
    part, _ = hops(field.flow[(slice(None), *near)], field.logits[tuple(near)], field.spacing)
    shape = (1,) * (3 - field.ndim) + field.logits.shape
    origin = [0] * (3 - field.ndim) + [n.start for n in near]
    place = np.stack(np.unravel_index(np.maximum(part, 0), part.shape), -1) + origin
    moved = np.where(part < 0, -1, np.ravel_multi_index(tuple(np.moveaxis(place, -1, 0)), shape))
    inner = tuple(
        slice(c.start - n.start, c.stop - n.start) for c, n in zip(core, near, strict=True)
    )
    inner, outer = ((slice(None),) * (3 - field.ndim) + tuple(s) for s in (inner, core))
    np.testing.assert_array_equal(moved[inner], whole[outer])


@pytest.mark.parametrize("spacing", [(1, 1, 1), (3, 1, 1), (0.5, 1, 1.5), (12, 1, 1)])
def test_nothing_beyond_the_reach_counts(spacing):
    """The longest pointers there are: straight along an axis, to the end."""
    reaches = reach(voxel_ratio(np.asarray(spacing, float), planar=False))
    for axis in range(3):
        for sign in (-1, 1):
            flow = np.zeros((3, 31, 31, 31), np.float32)
            flow[axis] = sign
            logits = np.full(flow.shape[1:], 4, np.float32)
            ends, _ = hops(flow, logits, spacing)
            end = np.unravel_index(ends[15, 15, 15], logits.shape)[axis]
            assert 1 <= sign * (end - 15) <= reaches[axis]


@settings(max_examples=40, deadline=None)
@given(random_fields())
def test_torch_takes_the_same_steps_as_numba(field):
    numba_run = integrate(field.flow, field.logits, field.spacing)
    torch_run = integrate(field.flow, field.logits, field.spacing, device="torch-cpu")
    np.testing.assert_array_equal(numba_run.terminal, torch_run.terminal)


@pytest.mark.parametrize(("anisotropy", "noise"), [(1, 0.3), (3, 0.6), (5, 0.0)])
def test_torch_equals_numba_on_tissue(anisotropy, noise):
    labels = touching_ellipsoids((30, 60, 60), anisotropy=anisotropy)
    field = field_of(labels, (anisotropy, 1, 1.2), "fused", noise)
    numba_run = integrate(field.flow, field.logits, field.spacing)
    torch_run = integrate(field.flow, field.logits, field.spacing, device="torch-cpu")
    np.testing.assert_array_equal(numba_run.terminal, torch_run.terminal)


def test_threads_do_not_change_anything():
    labels = touching_ellipsoids((40, 90, 90))  # several pieces and slabs
    field = field_of(labels, (1, 1, 1), noise=0.4)
    runs = [integrate(field.flow, field.logits, field.spacing, threads=n) for n in (1, 2, 7)]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.terminal, runs[0].terminal)
        np.testing.assert_array_equal(run.words, runs[0].words)


@pytest.mark.parametrize("spacing", [(1, 1, 1), (4, 1, 1), (1, 1, 2), (1, 2, 1)])
def test_a_ball_flows_to_one_place(spacing):
    shape = tuple(int(45 / s) for s in spacing)
    centre = [(n - 1) / 2 for n in shape]
    ball = ellipsoids(shape, [centre], [(18, 18, 18)], spacing)
    result = field_of(ball, spacing, "diffusion").integration()
    ends = np.stack(np.unravel_index(result.voxels[result.terminal], shape), -1)
    away = np.linalg.norm((ends - centre) * np.array(spacing), axis=1)
    assert away.max() <= 1.8 * max(spacing)


def test_only_the_direction_counts_not_the_speed():
    labels = touching_ellipsoids((24, 48, 48), seed=4)
    field = field_of(labels, (1, 1, 1))
    slow = integrate(field.flow * np.float32(0.25), field.logits, field.spacing)
    fast = field.integration()
    # confidence is rounded to a byte, so a few pointers may differ by rounding
    assert (slow.terminal == fast.terminal).mean() > 0.99


def test_float16_is_nearly_float32():
    labels = touching_ellipsoids((24, 48, 48), seed=4)
    field = field_of(labels, (1, 1, 1))
    half = integrate(field.flow.astype(np.float16), field.logits.astype(np.float16), (1, 1, 1))
    assert (half.terminal == field.integration().terminal).mean() > 0.98


def test_steps_are_whole_micrometres_not_voxels():
    ratio = voxel_ratio(np.array([4.0, 1.0, 2.0]), planar=False)
    np.testing.assert_allclose(ratio, [0.25, 1.0, 0.5])
    np.testing.assert_allclose(voxel_ratio(np.array([1.0, 0.2, 0.4]), True), [0.0, 1.0, 0.5])
    few, many = step_counts(np.float32([1, 1, 1])), step_counts(np.float32([0.1, 1, 1]))
    assert few[0] <= few[1]
    assert many[0] * 0.1 >= 0.5  # enough to reach the next plane


def test_memory_is_of_the_foreground_not_of_the_volume():
    labels = np.zeros((64, 128, 128), np.int32)
    labels[20:40, 40:70, 40:70] = touching_ellipsoids((20, 30, 30))
    flow = np.zeros((3, *labels.shape), np.float16)
    logits = np.where(labels > 0, 6, -9).astype(np.float16)
    integrate(flow, logits, (1, 1, 1))  # compiles
    tracemalloc.start()
    result = integrate(flow, logits, (1, 1, 1), threads=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.nbytes <= 17 * result.voxels.size
    slab = 20 * (1 << 19)
    assert peak < 5 * labels.size + 60 * result.voxels.size + slab  # far below 24 * labels.size
    assert peak < 24 * labels.size


def test_cancelled_work_leaves_nothing():
    stop = threading.Event()
    stop.set()
    field = FlowField(np.zeros((2, 8, 8), np.float32), np.ones((8, 8), np.float32), (1, 1))
    with pytest.raises(Cancelled):
        field.prepare(progress=Progress(cancel=stop))
    assert field.integration().voxels.size == 64
