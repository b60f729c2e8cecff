import numpy as np
import pytest

from napari_cellseg.errors import InputError
from napari_cellseg.flows import FlowField


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("flow", "logits", "ndim", "time"),
    [
        ((2, 5, 6), (5, 6), 2, False),
        ((3, 4, 5, 6), (4, 5, 6), 3, False),
        ((7, 2, 5, 6), (7, 5, 6), 2, True),
        ((7, 3, 4, 5, 6), (7, 4, 5, 6), 3, True),
        # only the place of the axis of components tells these apart
        ((3, 2, 5, 6), (2, 5, 6), 3, False),
        ((3, 2, 5, 6), (3, 5, 6), 2, True),
    ],
)
def test_axes_are_told_from_the_shapes(flow, logits, ndim, time):
    field = FlowField(zeros(*flow), zeros(*logits), (2, 1, 1))
    assert (field.ndim, field.has_time) == (ndim, time)
    assert field.shape == logits
    assert field.spatial_shape == logits[time:]
    assert field.n_times == (logits[0] if time else 1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_arrays_are_kept_as_given(dtype):
    flow, logits = zeros(3, 4, 5, 6, dtype=dtype), zeros(4, 5, 6, dtype=dtype)
    field = FlowField(flow, logits, (1, 1, 1))
    assert field.flow is flow
    assert field.logits is logits
    assert field.nbytes == flow.nbytes + logits.nbytes


def test_float64_and_foreign_byte_order_become_native():
    field = FlowField(zeros(2, 5, 6, dtype=np.float64), zeros(5, 6, dtype=">f2"), (1, 1))
    assert field.flow.dtype == np.float32
    assert field.logits.dtype == np.float16
    assert field.logits.dtype.isnative


def test_a_plane_may_have_two_spacings():
    field = FlowField(zeros(2, 5, 6), zeros(5, 6), (0.5, 0.25))
    assert field.spacing[1:] == (0.5, 0.25)


@pytest.mark.parametrize(
    ("flow", "logits", "spacing", "message"),
    [
        (zeros(3, 5, 6), zeros(5, 6), (1, 1, 1), "does not fit"),
        (zeros(2, 5, 7), zeros(5, 6), (1, 1, 1), "does not fit"),
        (zeros(2, 5), zeros(5), (1, 1, 1), "does not fit"),
        (zeros(2, 5, 6, dtype=np.int16), zeros(5, 6), (1, 1, 1), "int16"),
        (zeros(2, 0, 6), zeros(0, 6), (1, 1, 1), "empty axis"),
        (zeros(2, 5, 6) + np.nan, zeros(5, 6), (1, 1, 1), "NaN"),
        (zeros(2, 5, 6), zeros(5, 6) - np.inf, (1, 1, 1), "logits hold NaN"),
        (zeros(2, 5, 6), zeros(5, 6), (1, 0, 1), "greater than zero"),
        (zeros(2, 5, 6), zeros(5, 6), (1, np.nan, 1), "finite"),
        (zeros(2, 5, 6), zeros(5, 6), "abc", "not a sequence"),
        (zeros(3, 4, 5, 6), zeros(4, 5, 6), (1, 1), "three numbers"),
    ],
)
def test_bad_input_is_named(flow, logits, spacing, message):
    with pytest.raises(InputError, match=message):
        FlowField(flow, logits, spacing)


def test_a_late_nan_is_found():
    flow = zeros(3, 4, 5, 6)
    flow[2, 3, 4, 5] = np.nan
    with pytest.raises(InputError, match="flow hold NaN"):
        FlowField(flow, zeros(4, 5, 6), (1, 1, 1))


def test_frames_share_arrays_and_what_was_prepared():
    field = FlowField(zeros(3, 2, 5, 6), zeros(3, 5, 6) + 1, (1, 1)).prepare()
    frame = field.frame(1)
    assert not frame.has_time
    assert np.shares_memory(frame.flow, field.flow)
    assert frame.integration() is field.integration(1)
    with pytest.raises(InputError, match="no frame 3"):
        field.frame(3)


def test_integration_is_kept_and_widened_when_a_looser_one_is_needed():
    logits = np.linspace(-9, 3, 30, dtype=np.float32).reshape(5, 6)
    field = FlowField(zeros(2, 5, 6), logits, (1, 1))
    first = field.integration()
    assert field.integration(floor=0.0) is first
    wider = field.integration(floor=-8.0)
    assert wider.voxels.size > first.voxels.size
    assert field.integration() is wider


def test_disagreement_goes_with_its_frames_and_must_fit() -> None:
    flow, logits = np.zeros((2, 3, 4, 5, 6), np.float32), np.zeros((2, 4, 5, 6), np.float32)
    apart = np.arange(logits.size, dtype=np.uint8).reshape(logits.shape)
    field = FlowField(flow, logits, (1, 1, 1), disagreement=apart, stitched=True)
    assert field.disagreement is apart
    assert field.nbytes == flow.nbytes + logits.nbytes + apart.nbytes
    frame = field.frame(1)
    np.testing.assert_array_equal(frame.disagreement, apart[1])
    assert frame.stitched
    for wrong in (apart[0], apart.astype(np.float32)):
        with pytest.raises(InputError, match="disagreement"):
            FlowField(flow, logits, (1, 1, 1), disagreement=wrong)
