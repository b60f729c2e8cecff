import numpy as np
import pytest
import torch

from napari_cellseg.flows import predict
from napari_cellseg.flows.predict import batch_size, mirrored, predict_planes
from napari_cellseg.networks import Tiling

MARGIN, OVERLAP = Tiling().margin, Tiling().overlap


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
            offset = torch.arange(len(planes), dtype=torch.float32)[:, None, None, None]
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


class Cells(Echo):
    """Cuts planes as it is told; answers with its channels' mean."""

    def __init__(self, tiling: Tiling, most_pixels: int = 10**9) -> None:
        super().__init__(most_pixels)
        self.tiling = tiling

    def predict(self, planes: torch.Tensor) -> torch.Tensor:
        self.shapes.append(tuple(planes.shape))
        if planes.numel() > self.most_pixels:
            raise torch.OutOfMemoryError("simulated")
        grey = planes.mean(1) if planes.ndim == 4 else planes
        return grey[:, None].repeat(1, 3, 1, 1)


def test_planes_of_several_channels() -> None:
    network = Cells(Tiling(64, 16))
    planes = torch.rand(2, 3, 150, 90)
    out = predict_planes(network, planes, (150, 90))
    torch.testing.assert_close(out, planes.mean(1, keepdim=True).repeat(1, 3, 1, 1))
    assert {s[1] for s in network.shapes} == {3}


@pytest.mark.parametrize("weights", ["taper", "gaussian"])
@pytest.mark.parametrize("shape", [(64, 64), (65, 200), (10, 130), (200, 31)])
def test_a_strict_network_never_sees_more_than_a_tile(weights: str, shape: tuple[int, int]) -> None:
    network = Cells(Tiling(64, 40, weights, margin=0, strict=True))
    planes = torch.rand(2, *shape)
    out = predict_planes(network, planes, shape)
    torch.testing.assert_close(out[:, 2], planes)
    # small sides are filled up to the stride, not to a tile; large ones are cut, not filled up
    expected = tuple(64 if n >= 64 else n + -n % 16 for n in shape)
    assert {s[1:] for s in network.shapes} == {expected}


def test_gaussian_tiles_weigh_most_in_their_middle() -> None:
    class Left(Cells):
        def predict(self, planes: torch.Tensor) -> torch.Tensor:
            shade = torch.arange(len(planes), dtype=torch.float32)[:, None, None]
            return super().predict(shade.expand_as(planes))

    # two windows of 512 that overlap by 308, in one batch: the first answers 0, the second 1
    network = Left(Tiling(512, 308, "gaussian", margin=0, strict=True))
    out = predict_planes(network, torch.zeros(1, 32, 716), (32, 716))[0, 0, 16]
    at = torch.arange(716)
    near = torch.exp(-0.5 * ((at - 255.5) / 64) ** 2) * (at < 512)
    far = torch.exp(-0.5 * ((at - 204 - 255.5) / 64) ** 2) * (at >= 204)
    row = torch.exp(torch.tensor(-0.5 * (0.5 / 64) ** 2))
    near, far = ((w * row).clamp(min=1e-3) for w in (near, far))
    expected = torch.where(at < 204, 0.0, torch.where(at >= 512, 1.0, far / (near + far)))
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=0)


def test_tiles_of_several_places_fill_a_batch() -> None:
    network = Cells(Tiling(64, 16, margin=0))
    network.batch_pixels = 8 * 64**2
    planes = torch.rand(1, 64, 64 + 9 * 48)
    predict_planes(network, planes, (64, 64 + 9 * 48))
    assert [s[0] for s in network.shapes] == [8, 2]
    assert batch_size(network, (64, 64)) == 8


def test_a_strict_network_gives_up_rather_than_see_less() -> None:
    network = Cells(Tiling(256, 64, "gaussian", margin=0, strict=True), most_pixels=200**2)
    with pytest.raises(torch.OutOfMemoryError):
        predict_planes(network, torch.rand(2, 300, 300), (300, 300))
    assert {s[1:] for s in network.shapes} == {(256, 256)}
