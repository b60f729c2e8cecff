import numpy as np
import pytest
import torch

from fakes import BlobNetwork, blob_volume
from napari_cellseg.flows import FlowField, label_field
from napari_cellseg.flows.diameter import (
    estimate_diameter,
    show_planes,
    takes_a_range,
    typical_diameter,
)

LIMITS = (20.0, 220.0)


class Ranged(BlobNetwork):
    diameters = (8.0, 40.0)


def field_of(truth: np.ndarray, spacing: tuple[float, float, float]) -> FlowField:
    flow = np.zeros((truth.ndim, *truth.shape), np.float32)
    return FlowField(flow, np.where(truth > 0, 4.0, -4.0).astype(np.float32), spacing)


def test_the_typical_diameter_is_that_of_balls_and_debris_hardly_counts() -> None:
    spacing = (2.0, 1.0, 1.0)
    _, truth = blob_volume((20, 60, 60), spacing)
    truth[::3, ::6, 2] = 999
    labelling = label_field(field_of(truth, spacing), min_size=0)
    assert (labelling.voxels < 15).sum() > len(labelling) / 2
    assert typical_diameter(labelling, spacing, False) == pytest.approx(14, rel=0.05)


def test_discs_have_diameters_too_and_nothing_has_none() -> None:
    _, truth = blob_volume((32, 60, 60))
    field = field_of(truth[10], (1.0, 1.0, 1.0))
    assert typical_diameter(label_field(field), (1.0, 1.0, 1.0), True) == pytest.approx(14, rel=0.1)
    nothing = label_field(field_of(np.zeros((9, 9), np.int32), (1.0, 1.0, 1.0)))
    assert typical_diameter(nothing, (1.0, 1.0, 1.0), True) is None


def test_a_network_of_a_range_looks_once_at_the_planes_as_they_are() -> None:
    image, _ = blob_volume((40, 60, 60))
    network = Ranged()
    assert takes_a_range(network)
    assert not takes_a_range(BlobNetwork())
    found = estimate_diameter(image, (1.0, 1.0, 1.0), network, LIMITS)
    assert found == pytest.approx(14, rel=0.15)
    assert len(network.calls) == 3
    assert {shape[1:] for shape in network.calls} == {(128, 128)}


def test_every_candidate_is_tried_for_a_network_of_one_diameter() -> None:
    image, _ = blob_volume((40, 60, 60), radius=5.0, step=15.0)
    network = BlobNetwork()
    found = estimate_diameter(image, (1.0, 1.0, 1.0), network, LIMITS)
    assert found == pytest.approx(10, rel=0.2)
    assert len(network.calls) > 9
    stopped: list[int] = []

    def check() -> None:
        stopped.append(1)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        estimate_diameter(image, (1.0, 1.0, 1.0), network, LIMITS, check=check)


@pytest.mark.parametrize("channels", [0, 2])
@pytest.mark.parametrize("side", [9, 60])
def test_planes_are_shown_with_their_channels_and_padded(channels: int, side: int) -> None:
    image, _ = blob_volume((12, 60, 60))
    stack = image[:, :side, :side]
    limits = LIMITS
    if channels:
        stack = np.stack([stack] * channels, -1)
    planes = show_planes(stack, (1.0, 1.0, 1.0), BlobNetwork(), limits, None, 1.0)
    assert planes.dtype == torch.float32
    assert planes.shape[0] == 3
    assert planes.shape[-1] % 16 == planes.shape[-2] % 16 == 0
    assert planes.ndim == (4 if channels else 3)
    if channels:
        assert planes.shape[1] == channels
