import numpy as np
import pytest
from benchmarks.synthetic import ellipsoids, radial_flows, touching_ellipsoids
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_cellseg.errors import InputError
from napari_cellseg.flows import fused_label_flows, label_flows

small_labels = st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 7)).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 3))
)


def angles(a, b):
    cos = (a * b).sum(0) / np.maximum(np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0), 1e-9)
    return np.degrees(np.arccos(np.clip(cos, -1, 1)))


@settings(max_examples=40, deadline=None)
@given(small_labels)
def test_unit_length_inside_zero_outside(labels):
    flow = label_flows(labels, (2, 1, 1.5))
    assert flow.dtype == np.float32
    assert flow.shape == (3, *labels.shape)
    length = np.linalg.norm(flow, axis=0)
    assert (length[labels == 0] == 0).all()
    inside = length[labels > 0]
    assert np.isclose(inside, 1, atol=1e-5).sum() + (inside == 0).sum() == inside.size


@settings(max_examples=30, deadline=None)
@given(small_labels, st.sampled_from([0, 1, 2]))
def test_flips_flip_the_flow(labels, axis):
    flow = label_flows(labels, (2, 1, 1.5))
    flipped = label_flows(np.flip(labels, axis), (2, 1, 1.5))
    back = np.flip(flipped, axis + 1).copy()
    back[axis] *= -1
    # where a direction is the difference of nearly equal heats, rounding may turn it
    assert (np.abs(flow - back).max(0) > 1e-2).sum() <= 0.02 * labels.size


def test_ball_flows_to_its_centre():
    ball = ellipsoids((31, 31, 31), [(15, 15, 15)], [(12, 12, 12)], (1, 1, 1))
    away = angles(label_flows(ball, (1, 1, 1)), radial_flows(ball, (1, 1, 1)))
    assert np.median(away[ball > 0]) < 5


@pytest.mark.parametrize("spacing", [(1, 1, 1), (3, 1, 1), (5, 1, 1), (2, 1, 1.5), (1, 1, 3)])
def test_a_ball_in_micrometres_flows_to_its_centre_at_any_spacing(spacing):
    shape = tuple(int(41 / s) for s in spacing)
    centre = [(n - 1) / 2 for n in shape]
    ball = ellipsoids(shape, [centre], [(15, 15, 15)], spacing)
    away = angles(label_flows(ball, spacing), radial_flows(ball, spacing))
    assert np.median(away[ball > 0]) < 10


def test_neighbours_do_not_disturb_each_other():
    labels = touching_ellipsoids((24, 40, 40), seed=1)
    flow = label_flows(labels, (1, 1, 1))
    for number in (1, int(labels.max()) // 2, int(labels.max())):
        alone = label_flows(np.where(labels == number, 1, 0), (1, 1, 1))
        inside = labels == number
        np.testing.assert_array_equal(flow[:, inside], alone[:, inside])


def test_every_piece_of_a_broken_instance_has_its_own_centre():
    labels = np.zeros((9, 30), int)
    labels[2:7, 2:9] = 1
    labels[2:7, 20:27] = 1
    flow = label_flows(labels, (1, 1))
    assert flow[1, 4, 2] > 0.9
    assert flow[1, 4, 8] < -0.9
    assert flow[1, 4, 20] > 0.9
    assert flow[1, 4, 26] < -0.9


def test_a_long_thin_instance_flows_along_itself_to_its_ends():
    labels = np.zeros((5, 400), int)
    labels[1:4, 2:398] = 1
    flow = label_flows(labels, (1, 1))
    assert (flow[1, 2, 3:190] > 0.9).all()
    assert (flow[1, 2, 210:397] < -0.9).all()


def test_threads_do_not_change_anything():
    labels = touching_ellipsoids((20, 40, 40), seed=2)
    one = fused_label_flows(labels, (1, 1, 1), threads=1)
    np.testing.assert_array_equal(one, fused_label_flows(labels, (1, 1, 1), threads=5))


def test_fused_flow_is_the_mean_of_planes():
    labels = touching_ellipsoids((20, 36, 40), seed=3)
    spacing = (2.0, 1.0, 1.5)
    fused = fused_label_flows(labels, spacing)
    xy = label_flows(labels[7], spacing[1:])
    xz = label_flows(labels[:, 11], (spacing[0], spacing[2]))
    yz = label_flows(labels[:, :, 13], spacing[:2])
    np.testing.assert_allclose(fused[1, 7, :, 13], (xy[0, :, 13] + yz[1, 7]) / 2, atol=1e-6)
    np.testing.assert_allclose(fused[0, :, 11, 13], (xz[0, :, 13] + yz[0, :, 11]) / 2, atol=1e-6)
    np.testing.assert_allclose(fused[2, 7, 11], (xy[1, 11] + xz[1, 7]) / 2, atol=1e-6)
    assert np.linalg.norm(fused, axis=0).max() <= 1.225  # three components of at most 1 / sqrt 2


def test_large_ids_and_bool():
    labels = np.zeros((6, 8), np.uint64)
    labels[1:5, 1:4] = 2**40
    labels[1:5, 4:7] = 7
    small = np.where(labels == 7, 1, np.where(labels > 7, 2, 0))
    np.testing.assert_array_equal(label_flows(labels, (1, 1)), label_flows(small, (1, 1)))
    assert label_flows(labels > 7, (1, 1)).any()


def test_nothing_gives_nothing():
    assert not label_flows(np.zeros((3, 4, 5), int), (1, 1, 1)).any()
    assert label_flows(np.zeros((0, 5), int), (1, 1)).shape == (2, 0, 5)


@pytest.mark.parametrize(
    ("labels", "spacing", "message"),
    [
        (np.zeros(4, int), (1, 1, 1), "1 axes"),
        (np.zeros((4, 4)), (1, 1, 1), "float64"),
        (np.full((4, 4), -1), (1, 1, 1), "negative"),
        (np.zeros((4, 4), int), (1, -1, 1), "greater than zero"),
        (np.zeros((4, 4), int), (1,), "three numbers"),
    ],
)
def test_bad_input_is_named(labels, spacing, message):
    with pytest.raises(InputError, match=message):
        label_flows(labels, spacing)


def test_planes_cannot_be_fused():
    with pytest.raises(InputError, match="three"):
        fused_label_flows(np.zeros((4, 4), int), (1, 1))
