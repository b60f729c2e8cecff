import numpy as np
import pytest
import torch

from fakes import BlobNetwork, blob_volume
from napari_cellseg.flows.fuse import predict_field
from napari_cellseg.flows.grid import Grid


class Constant:
    """The same flow and logit everywhere."""

    name = title = licence = "constant"
    diameter, percentiles, stride, tile = 20.0, (1.0, 99.0), 16, 512
    device = torch.device("cpu")

    def to(self, device: str) -> "Constant":
        return self

    def strangeness(self, planes: torch.Tensor) -> None:
        return None

    def predict(self, planes: torch.Tensor) -> torch.Tensor:
        values = torch.tensor([0.6, -0.8, 3.0])[None, :, None, None]
        return values.expand(len(planes), 3, *planes.shape[1:]).clone()


def test_each_axis_is_the_mean_of_the_two_orientations_that_see_it() -> None:
    volume = torch.zeros(8, 12, 10, dtype=torch.float16)
    grid = Grid((8, 12, 10), (1.0, 1.0, 1.0), 1.0)
    flow, logits = predict_field(Constant(), volume, grid, lambda pixels: None)
    # rows of xz and yz are z; rows of xy and cols of yz are y; cols of xy and xz are x
    np.testing.assert_allclose(flow[0].float(), 0.6, atol=2e-3)
    np.testing.assert_allclose(flow[1].float(), (0.6 - 0.8) / 2, atol=2e-3)
    np.testing.assert_allclose(flow[2].float(), -0.8, atol=2e-3)
    np.testing.assert_allclose(logits.float(), 3.0, atol=4e-3)


def test_a_plane_keeps_its_full_flow() -> None:
    volume = torch.zeros(1, 12, 10, dtype=torch.float16)
    grid = Grid((1, 12, 10), (1.0, 1.0, 1.0), 1.0)
    flow, logits = predict_field(Constant(), volume, grid, lambda pixels: None)
    assert not flow[0].any()
    np.testing.assert_allclose(flow[1].float(), 0.6, atol=1e-3)
    np.testing.assert_allclose(logits.float(), 3.0, atol=1e-3)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 1.0, 1.0)])
def test_fused_flows_point_to_the_centre_in_physical_space(
    spacing: tuple[float, float, float],
) -> None:
    image, labels = blob_volume((round(40 / spacing[0]), 40, 40), spacing, radius=9, step=40)
    volume = torch.from_numpy((image - 20) / 200).to(torch.float16)
    grid = Grid(volume.shape, spacing, 1.0)
    advanced: list[int] = []
    flow, logits = predict_field(BlobNetwork(), volume, grid, advanced.append)
    assert sum(advanced) == grid.network_pixels()
    inside = labels > 0
    centre = np.array([np.mean(axis) for axis in np.nonzero(inside)])
    offset = (centre[:, None] - np.stack(np.nonzero(inside))) * np.array(spacing)[:, None]
    length = np.linalg.norm(offset, axis=0)
    got = flow.float().numpy()[:, inside]
    far = length > 3
    cosine = (got * offset).sum(0)[far] / (np.linalg.norm(got, axis=0) * length)[far]
    assert np.median(cosine) > 0.95
    assert (logits.float().numpy()[inside] > 0).mean() > 0.95


def test_advance_can_stop_the_work() -> None:
    def stop(pixels: int) -> None:
        raise KeyboardInterrupt

    grid = Grid((4, 16, 16), (1.0, 1.0, 1.0), 1.0)
    with pytest.raises(KeyboardInterrupt):
        predict_field(Constant(), torch.zeros(4, 16, 16, dtype=torch.float16), grid, stop)
