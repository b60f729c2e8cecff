import numpy as np
import pytest
import torch

from napari_cellseg.flows import predict
from napari_cellseg.flows.predict import MARGIN, OVERLAP, batch_size, mirrored, predict_planes


class Echo:
    """Returns the plane three times; remembers shapes; may run out of memory."""

    name = title = licence = "echo"
    diameter, percentiles, stride, tile = 20.0, (1.0, 99.0), 16, 128

    def __init__(self, most_pixels: int = 10**9) -> None:
        self.device = torch.device("cpu")
        self.shapes: list[tuple[int, ...]] = []
        self.most_pixels = most_pixels

    def to(self, device: str) -> "Echo":
        return self

    def strangeness(self, planes: torch.Tensor) -> None:
        return None

    def predict(self, planes: torch.Tensor) -> torch.Tensor:
        self.shapes.append(tuple(planes.shape))
        if planes.numel() > self.most_pixels:
            raise torch.OutOfMemoryError("simulated")
        return planes[:, None].repeat(1, 3, 1, 1)


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (97, 33), (400, 300)])
def test_planes_of_any_size_are_padded_tiled_and_cut_back(shape: tuple[int, int]) -> None:
    network = Echo()
    planes = torch.rand(3, *shape)
    out = predict_planes(network, planes, shape)
    assert out.shape == (3, 3, *shape)
    torch.testing.assert_close(out[:, 1], planes)
    assert all(r % 16 == 0 and c % 16 == 0 for _, r, c in network.shapes)
    assert max(max(s[1:]) for s in network.shapes) <= network.tile + OVERLAP + 15


def test_tiles_blend_without_a_seam() -> None:
    class Offset(Echo):
        def predict(self, planes: torch.Tensor) -> torch.Tensor:
            # every tile is off by another constant, as tiles of a real network are
            offset = float(len(self.shapes))
            return super().predict(planes) + offset

    planes = torch.zeros(1, 64, 400)
    out = predict_planes(Offset(), planes, (64, 400))[0, 0].numpy()
    assert out.max() > out.min()
    assert np.abs(np.diff(out, axis=1)).max() < 0.2 * (out.max() - out.min())


def test_enlarged_planes_come_back_at_their_own_size() -> None:
    network = Echo()
    smooth = torch.linspace(0, 1, 20)[None, :, None].expand(2, 20, 30).contiguous()
    out = predict_planes(network, smooth, (60, 90))
    assert network.shapes == [(2, 128, 160)]
    torch.testing.assert_close(out[:, 0], smooth, atol=0.02, rtol=0)


def test_out_of_memory_halves_the_batch_then_the_tile() -> None:
    network = Echo(most_pixels=128 * 128)
    planes = torch.rand(4, 64, 64)
    torch.testing.assert_close(predict_planes(network, planes, (64, 64))[:, 0], planes)
    assert [s[0] for s in network.shapes] == [4, 2, 1, 1, 2, 1, 1]

    large = Echo(most_pixels=150 * 150)
    large.tile = 256
    planes = torch.rand(1, 256, 256)
    torch.testing.assert_close(predict_planes(large, planes, (256, 256))[:, 0], planes)


def test_out_of_memory_for_good_is_raised() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        predict_planes(Echo(most_pixels=10), torch.rand(2, 64, 64), (64, 64))


def test_batches_are_never_empty() -> None:
    assert batch_size(Echo(), (10_000, 10_000)) == 1
    assert batch_size(Echo(), (64, 64)) == predict.BATCH_PIXELS["cpu"] // 64**2


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 5), (50, 64)])
def test_planes_are_surrounded_by_their_mirror_image(shape: tuple[int, int]) -> None:
    planes = torch.rand(2, *shape)
    wide = mirrored(planes, 20, 16)
    assert all(
        side % 16 == 0 and side >= n + 40 for side, n in zip(wide.shape[1:], shape, strict=True)
    )
    after = [side - n - 20 for side, n in zip(wide.shape[1:], shape, strict=True)]
    expected = np.pad(planes.numpy(), [(0, 0), (20, after[0]), (20, after[1])], mode="reflect")
    np.testing.assert_array_equal(wide.numpy(), expected)


def test_the_network_sees_a_margin_around_small_planes() -> None:
    network = Echo()
    predict_planes(network, torch.rand(1, 30, 40), (30, 40))
    ((_, rows, cols),) = network.shapes
    assert rows >= 30 + 2 * MARGIN
    assert cols >= 40 + 2 * MARGIN
