import dataclasses
import threading

import numpy as np
import pytest
import torch
from benchmarks.synthetic import field_of, touching_ellipsoids
from hypothesis import given, settings

from device_fields import device_fields
from napari_cellseg.errors import Cancelled
from napari_cellseg.flows import (
    FlowField,
    Progress,
    _torch_memory,
    _torch_steps,
    device_integration,
)
from napari_cellseg.flows.device_integration import (
    DeviceIntegration,
    integrate_on_device,
    integrate_with_torch,
)
from napari_cellseg.flows.integrate import Integration, integrate


def assert_same(one: Integration, other: Integration) -> None:
    for field in dataclasses.fields(Integration):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype, field.name
            np.testing.assert_array_equal(a, b, field.name)
        else:
            assert a == b, field.name


@settings(max_examples=100, deadline=None)
@given(device_fields())
def test_it_is_what_numba_gives_bit_for_bit(field):
    assert_same(
        integrate(field.flow, field.logits, field.spacing),
        integrate_with_torch(field.flow, field.logits, field.spacing),
    )


@pytest.mark.parametrize(("anisotropy", "noise"), [(1, 0.3), (3, 0.6), (5, 0.0)])
def test_it_is_what_numba_gives_on_tissue(anisotropy, noise):
    labels = touching_ellipsoids((30, 60, 60), anisotropy=anisotropy)
    field = field_of(labels, (anisotropy, 1, 1.2), "fused", noise)
    for precision in (np.float32, np.float16):
        flow, logits = field.flow.astype(precision), field.logits.astype(precision)
        assert_same(
            integrate(flow, logits, field.spacing),
            integrate_with_torch(flow, logits, field.spacing),
        )


@settings(max_examples=30, deadline=None)
@given(device_fields())
def test_neither_pieces_nor_where_the_field_lies_change_it(field):
    whole = integrate_with_torch(field.flow, field.logits, field.spacing)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_torch_memory.PIECE, "cpu", 37)
        tensors = torch.from_numpy(field.flow), torch.from_numpy(field.logits)
        pieces = integrate_on_device(*tensors, field.spacing)
    assert_same(whole, pieces.to_host())
    again = DeviceIntegration.from_host(whole, "cpu")
    assert torch.equal(again.slots, pieces.slots)
    assert_same(whole, again.to_host())


def test_a_coarse_field_may_be_followed_over_any_floor():
    field = field_of(touching_ellipsoids((20, 30, 30), anisotropy=2), (2, 1, 1))
    for floor in (-9.0, 0.0, 99.0):
        assert_same(
            integrate(field.flow, field.logits, field.spacing, floor=floor),
            integrate_with_torch(field.flow, field.logits, field.spacing, floor=floor),
        )


def test_where_memory_does_not_suffice_once_pieces_are_halved(monkeypatch):
    field = field_of(touching_ellipsoids((20, 40, 40)), (1, 1, 1))
    ends = _torch_steps._Walk.ends
    sizes: list[int] = []

    def full_once(walk, part):
        sizes.append(part.numel())
        if len(sizes) == 2:
            raise torch.OutOfMemoryError("fake")
        return ends(walk, part)

    monkeypatch.setitem(_torch_memory.PIECE, "cpu", 1 << 12)
    monkeypatch.setattr(_torch_steps._Walk, "ends", full_once)
    found = integrate_with_torch(field.flow, field.logits, field.spacing)
    assert sizes[:4] == [4096, 4096, 2048, 2048]
    assert_same(integrate(field.flow, field.logits, field.spacing), found)


def test_where_memory_never_suffices_the_cpu_does_it_and_says_so(monkeypatch):
    field = field_of(touching_ellipsoids((16, 24, 24)), (1, 1, 1))

    def full(*_):
        raise torch.OutOfMemoryError("fake")

    monkeypatch.setattr(device_integration, "pointers", full)
    with pytest.warns(RuntimeWarning, match="memory of cpu did not suffice"):
        found = integrate_with_torch(field.flow, field.logits, field.spacing)
    assert_same(integrate(field.flow, field.logits, field.spacing), found)


def test_arrays_that_cannot_be_written_to_are_read():
    field = field_of(touching_ellipsoids((16, 24, 24)), (1, 1, 1))
    flow, logits = field.flow.copy(), field.logits.copy()
    flow.flags.writeable = logits.flags.writeable = False
    assert_same(
        integrate(flow, logits, field.spacing), integrate_with_torch(flow, logits, field.spacing)
    )


def test_it_can_be_cancelled():
    stop = threading.Event()
    stop.set()
    field = FlowField(np.zeros((2, 8, 8), np.float32), np.ones((8, 8), np.float32), (1, 1))
    with pytest.raises(Cancelled):
        integrate_with_torch(
            field.flow, field.logits, field.spacing, progress=Progress(cancel=stop)
        )
