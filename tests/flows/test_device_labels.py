import numpy as np
import pytest
import torch
from benchmarks.synthetic import field_of, touching_ellipsoids
from hypothesis import given, settings
from hypothesis import strategies as st

from device_fields import device_fields
from napari_cellseg.flows import FlowField, Progress, _torch_memory, device_labels
from napari_cellseg.flows.device_integration import DeviceIntegration
from napari_cellseg.flows.device_labels import DeviceFrameLabels, label_on_device
from napari_cellseg.flows.frame_labels import FrameLabels
from napari_cellseg.flows.label import label_field


def on_host(field: FlowField, threshold: float, min_size: int) -> tuple[np.ndarray, FrameLabels]:
    labels = np.zeros(field.spatial_shape, np.uint32)
    return labels, FrameLabels(field.integration(floor=threshold), labels, threshold, min_size)


def on_device(field: FlowField, threshold: float, min_size: int) -> tuple[np.ndarray, FrameLabels]:
    labels = np.zeros(field.spatial_shape, np.uint32)
    return labels, label_on_device(field, 0, labels, threshold, min_size, device="cpu")


def assert_same(one: tuple[np.ndarray, FrameLabels], other: tuple[np.ndarray, FrameLabels]) -> None:
    np.testing.assert_array_equal(one[0], other[0])
    for name in ("voxels", "first", "sink", "logit", "agreement"):
        a, b = getattr(one[1], name), getattr(other[1], name)
        assert a.dtype == b.dtype, name
        np.testing.assert_array_equal(a[1:], b[1:], name)
    assert len(one[1].rejected) == len(other[1].rejected)
    for a, b in zip(one[1].rejected, other[1].rejected, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])
        assert a[2] == b[2]


@settings(max_examples=100, deadline=None)
@given(device_fields(), st.sampled_from([-7.0, 0.0, 2.0]), st.sampled_from([0, 3, 20]))
def test_labels_are_those_of_numba(field, threshold, min_size):
    assert_same(on_host(field, threshold, min_size), on_device(field, threshold, min_size))


@pytest.mark.parametrize(("anisotropy", "noise"), [(1, 0.3), (1, 0.8), (3, 0.4), (5, 0.0)])
def test_labels_of_tissue_are_those_of_numba(anisotropy, noise):
    labels = touching_ellipsoids((40, 60, 60), anisotropy=anisotropy)
    field = field_of(labels, (anisotropy, 1, 1.2), "fused", noise)
    mine = on_device(field, 0.0, 15)
    assert mine[0].max() > 10
    assert_same(on_host(field, 0.0, 15), mine)
    assert field.kept_integration() is not None  # by the host
    assert_same(on_device(field, 0.0, 15), mine)


@settings(max_examples=30, deadline=None)
@given(device_fields())
def test_pieces_of_work_change_nothing(field):
    whole = on_device(field, 0.0, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_torch_memory.PIECE, "cpu", 29)
        patch.setattr("napari_cellseg.flows._torch_basins._TABLE", 50)
        assert_same(whole, on_device(field, 0.0, 3))


def hollow_field() -> FlowField:
    """Shells, with holes and with another cell inside; the sinks are in their middle planes."""
    z, y, x = np.meshgrid(*(np.arange(n) - n // 2 for n in (17, 17, 40)), indexing="ij")
    logits = np.full(z.shape, -9, np.float32)
    flow = np.zeros((3, *z.shape), np.float32)
    for middle in (-11, 9):
        away = np.sqrt(z**2 + y**2 + (x - middle) ** 2)
        logits[(away < 8) & (away > 4)] = 5
        if middle > 0:
            logits[away < 2] = 5
    return FlowField(flow, logits, (1, 1, 1))


def test_holes_are_filled_as_by_numba():
    field = hollow_field()
    mine = on_device(field, 0.0, 5)
    assert mine[0].max() == 3
    assert mine[0][8, 8, 9] == mine[0][8, 8, 3] > 0  # the hole of the first shell
    assert_same(on_host(field, 0.0, 5), mine)


def test_instances_are_dropped_by_their_flow_as_by_numba():
    field = field_of(touching_ellipsoids((24, 40, 40)), (1, 1, 1), noise=0.6)
    one, other = on_host(field, 0.0, 10), on_device(field, 0.0, 10)
    one[1].check_flow(field, 0.9, 5)
    other[1].check_flow(field, 0.9, 5)
    assert 0 < one[0].max() < on_host(field, 0.0, 10)[0].max()
    assert_same(one, other)


def test_where_memory_does_not_suffice_the_cpu_labels_and_says_so(monkeypatch):
    field = hollow_field()

    def full(_into, *_):
        raise torch.OutOfMemoryError("fake")

    monkeypatch.setattr(device_labels, "_paint", full)
    with pytest.warns(RuntimeWarning, match="memory of cpu did not suffice"):
        mine = on_device(field, 0.0, 5)
    assert_same(on_host(field, 0.0, 5), mine)


def test_it_tells_its_stages():
    field = hollow_field()
    told: list[tuple[float, str]] = []
    trajectories = DeviceIntegration.from_host(field.integration(), "cpu")
    labels = np.zeros(field.spatial_shape, np.uint32)
    report = Progress(lambda fraction, stage: told.append((fraction, stage)))
    DeviceFrameLabels(trajectories, labels, 0.0, 5, progress=report)
    assert [f for f, _ in told] == sorted(f for f, _ in told)
    assert told[0][1] == "linking sinks"
    assert told[-1][1] == "filling holes"


def test_a_field_with_time_is_labelled_on_a_device():
    frames = [hollow_field(), field_of(touching_ellipsoids((17, 17, 40)), (1, 1, 1))]
    flow = np.stack([frame.flow for frame in frames])
    logits = np.stack([frame.logits for frame in frames])
    host = label_field(FlowField(flow, logits, (1, 1, 1)), 0.4, 5, 0.8)
    told: list[float] = []
    field = FlowField(flow, logits, (1, 1, 1))
    progress = Progress(lambda fraction, _: told.append(fraction))
    device = label_field(field, 0.4, 5, 0.8, device="torch-cpu", progress=progress)
    np.testing.assert_array_equal(host.labels, device.labels)
    for name in ("t", "id", "voxels", "logit", "agreement", "flow_error"):
        np.testing.assert_array_equal(getattr(host, name), getattr(device, name), name)
    for name in ("t", "position", "voxels", "reason"):
        one, other = (getattr(found.rejected, name) for found in (host, device))
        np.testing.assert_array_equal(one, other, name)
    assert told == sorted(told)
