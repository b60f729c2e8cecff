from typing import Any

import numpy as np
import pytest
import torch

import napari_cellseg as nc
from fakes import BlobNetwork, blob_volume
from napari_cellseg.errors import InputError
from napari_cellseg.flows.channels import Channels, Shown, check_channels
from napari_cellseg.flows.diameter import measure_diameter
from napari_cellseg.networks import Intensities
from napari_cellseg.volume import Volume


class ThreeChannels(BlobNetwork):
    """Takes three channels, and finds blobs in the last that it is given."""

    channels = 3
    intensities = Intensities((1.0, 99.8), together=False)

    def predict(self, planes: torch.Tensor) -> torch.Tensor:
        if planes.ndim == 4:
            self.seen = planes.shape[1]
            planes = planes[:, -1]
        else:
            self.seen = 0
        return super().predict(planes)


def two_channels() -> tuple[Volume, np.ndarray]:
    image, truth = blob_volume((32, 60, 60))
    noise = 1000 * np.random.default_rng(0).random(image.shape).astype(np.float32)
    return Volume(np.stack([noise, image]), "czyx", channels=("noise", "cells")), truth


def iou(labels: np.ndarray, truth: np.ndarray) -> float:
    return float(((labels > 0) & (truth > 0)).sum() / ((labels > 0) | (truth > 0)).sum())


def test_channels_are_named_by_index_or_name() -> None:
    volume, _ = two_channels()
    assert check_channels(1, volume) == (1,)
    assert check_channels("cells", volume) == (1,)
    assert check_channels(["cells", 0], volume) == (1, 0)
    assert check_channels((0,), volume) == (0,)
    assert check_channels(7, Volume(np.zeros((3, 9, 9), np.uint8), "cyx", rgb=True)) == (0,)


@pytest.mark.parametrize("channel", [[], [0, "noise"], [0, 2], "dapi", 2, [0.5]])
def test_impossible_channels_are_one_sentence(channel: Any) -> None:
    volume, _ = two_channels()
    with pytest.raises(InputError, match="channel"):
        check_channels(channel, volume)


def test_a_network_is_shown_the_channels_that_are_named_in_their_order() -> None:
    volume, truth = two_channels()
    network = ThreeChannels()
    result = nc.segment(volume, network, channel=["noise", "cells"], diameter=14)
    assert network.seen == 2
    assert iou(result.labels, truth) > 0.9
    assert result.parameters["channel"] == [0, 1]
    assert np.asarray(result.parameters["limits"]).shape == (2, 2)
    assert result.parameters["limits"][1][0] == pytest.approx(20, abs=1)
    one = nc.segment(volume, network, channel=["cells"], diameter=14)
    assert network.seen == 0
    assert one.parameters["channel"] == 1
    assert iou(one.labels, truth) > 0.9
    other = nc.segment(volume, network, channel=(1, 0), diameter=14)
    assert iou(other.labels, truth) < 0.5


def test_more_channels_than_a_network_takes_are_refused() -> None:
    volume, _ = two_channels()
    with pytest.raises(InputError, match=r"2 channels .* takes 1: name one"):
        nc.segment(volume, BlobNetwork(), channel=[0, 1])


def test_colour_is_three_channels_or_luminance() -> None:
    image, truth = blob_volume((32, 60, 60))
    rgb = np.zeros((3, 60, 60), np.uint8)
    rgb[:, :, :] = np.random.default_rng(0).integers(0, 20, (60, 60))
    rgb[2] = image[10]
    volume = Volume(rgb, "cyx", rgb=True)
    network = ThreeChannels()
    result = nc.segment(volume, network, diameter=14)
    assert network.seen == 3
    assert iou(result.labels, truth[10]) > 0.9
    assert result.parameters["channel"] == 0
    grey = Shown.to(BlobNetwork(), volume, (0,))
    assert grey.to_grey is not None
    assert not grey.several
    assert iou(nc.segment(volume, BlobNetwork(), diameter=14).labels, truth[10]) > 0.9


def test_the_diameter_is_measured_in_several_channels_too() -> None:
    volume, _ = two_channels()
    found = measure_diameter(volume, ThreeChannels(), ["noise", "cells"])
    assert found == pytest.approx(14, rel=0.2)


def test_channels_are_read_when_they_are_indexed() -> None:
    class Counted:
        shape = (6, 4, 5)

        def __init__(self, value: int) -> None:
            self.value, self.read = value, 0

        def __getitem__(self, where: Any) -> np.ndarray:
            self.read += 1
            return np.full(self.shape, self.value)[where]

    stacks = [Counted(1), Counted(2)]
    both = Channels(stacks)
    assert both.shape == (6, 4, 5, 2)
    assert [one.read for one in stacks] == [0, 0]
    np.testing.assert_array_equal(both[2:4], np.broadcast_to([1, 2], (2, 4, 5, 2)))
    assert [one.read for one in stacks] == [1, 1]


def test_a_movie_of_planes_with_channels_and_a_region() -> None:
    image, truth = blob_volume((32, 60, 60))
    noise = np.random.default_rng(0).random((2, 60, 60)).astype(np.float32)
    cells = np.stack([image[10], image[10, ::-1]])
    volume = Volume(np.stack([noise, cells], 1), "tcyx", channels=("noise", "cells"))
    region = (slice(1, 2), slice(0, 40), slice(None))
    result = nc.segment(
        volume, ThreeChannels(), channel=("noise", "cells"), diameter=14, region=region
    )
    assert result.labels.shape == (1, 40, 60)
    assert iou(result.labels[0], truth[10, ::-1][:40]) > 0.9
