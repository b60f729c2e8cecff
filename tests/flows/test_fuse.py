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
    flow, logits, _ = predict_field(Constant(), volume, grid, lambda pixels: None)
    # rows of xz and yz are z; rows of xy and cols of yz are y; cols of xy and xz are x
    np.testing.assert_allclose(flow[0].float(), 0.6, atol=2e-3)
    np.testing.assert_allclose(flow[1].float(), (0.6 - 0.8) / 2, atol=2e-3)
    np.testing.assert_allclose(flow[2].float(), -0.8, atol=2e-3)
    np.testing.assert_allclose(logits.float(), 3.0, atol=4e-3)


LENGTHS = {(12, 10): 1.0, (8, 10): 0.5, (8, 12): 0.0}  # xy, xz, yz


def said(network: object, planes: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    out = torch.zeros(len(planes), 3, *planes.shape[1:])
    out[:, 0] = 0.6 * LENGTHS[shape]
    out[:, 1] = 0.8 * LENGTHS[shape]
    out[:, 2] = 6 * LENGTHS[shape]
    return out


@pytest.mark.parametrize("fusion", ["mean", "weighted"])
def test_longer_flows_count_more_where_they_are_weighed(
    fusion: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_cellseg.flows.fuse.predict_planes", said)
    volume = torch.zeros(8, 12, 10, dtype=torch.float16)
    grid = Grid((8, 12, 10), (1.0, 1.0, 1.0), 1.0)
    flow, logits, apart = predict_field(Constant(), volume, grid, lambda pixels: None, fusion)

    def mean(one: float, two: float, length_one: float, length_two: float) -> float:
        if fusion == "mean":
            return (one + two) / 2
        weights = length_one**2 + 0.02, length_two**2 + 0.02
        return (one * weights[0] + two * weights[1]) / sum(weights)

    np.testing.assert_allclose(flow[0].float(), mean(0.3, 0.0, 0.5, 0.0), atol=2e-3)  # xz, yz
    np.testing.assert_allclose(flow[1].float(), mean(0.6, 0.0, 1.0, 0.0), atol=2e-3)  # xy, yz
    np.testing.assert_allclose(flow[2].float(), mean(0.8, 0.4, 1.0, 0.5), atol=2e-3)  # xy, xz
    np.testing.assert_allclose(logits.float(), 3.0, atol=4e-3)
    want = np.sqrt((0.3**2 + 0.6**2 + 0.4**2) / 3) / 2
    assert apart is not None
    np.testing.assert_allclose(apart.float(), want, atol=2e-3)


def test_xy_asks_for_xy_planes_only() -> None:
    volume = torch.zeros(8, 12, 10, dtype=torch.float16)
    grid = Grid((8, 12, 10), (4.0, 1.0, 1.0), 1.0)
    pixels: list[int] = []
    flow, logits, apart = predict_field(Constant(), volume, grid, pixels.append, "xy")
    assert sum(pixels) == grid.network_pixels("xy") == 8 * 12 * 10
    assert apart is None
    assert not flow[0].any()
    np.testing.assert_allclose(flow[1].float(), 0.6, atol=1e-3)
    np.testing.assert_allclose(flow[2].float(), -0.8, atol=1e-3)
    np.testing.assert_allclose(logits.float(), 3.0, atol=1e-3)


def test_orientations_that_agree_do_not_disagree() -> None:
    image, labels = blob_volume((40, 40, 40), radius=9, step=40)
    volume = torch.from_numpy((image - 20) / 200).to(torch.float16)
    grid = Grid(volume.shape, (1.0, 1.0, 1.0), 1.0)
    _, _, apart = predict_field(BlobNetwork(), volume, grid, lambda pixels: None)
    assert apart is not None
    assert float(apart.max()) <= 1
    assert not apart[torch.from_numpy(labels == 0)].any()
    assert float(apart[torch.from_numpy(labels > 0)].float().mean()) < 0.2


def test_a_plane_keeps_its_full_flow() -> None:
    volume = torch.zeros(1, 12, 10, dtype=torch.float16)
    grid = Grid((1, 12, 10), (1.0, 1.0, 1.0), 1.0)
    flow, logits, _ = predict_field(Constant(), volume, grid, lambda pixels: None)
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
    flow, logits, _ = predict_field(BlobNetwork(), volume, grid, advanced.append)
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
