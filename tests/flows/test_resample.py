import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg.flows.resample import enlarge_volume, reduce_volume, resize_planes

CPU = torch.device("cpu")


def ramp(shape: tuple[int, int, int]) -> np.ndarray:
    z, y, x = np.meshgrid(*[(np.arange(n) + 0.5) / n for n in shape], indexing="ij")
    return (0.2 * z + 0.3 * y + 0.5 * x).astype(np.float32)


def test_reducing_keeps_positions() -> None:
    small = reduce_volume(ramp((20, 60, 40)), (10, 20, 20), (0.0, 1.0), CPU).numpy()
    inner = (slice(1, -1),) * 3
    np.testing.assert_allclose(small[inner], ramp((10, 20, 20))[inner], atol=2e-3)


def test_reducing_averages_noise() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (16, 64, 64)).astype(np.float32)
    small = reduce_volume(noise, (8, 32, 32), (0.0, 1.0), CPU).float().numpy()
    assert small.std() < 0.45


@given(
    small=st.tuples(*[st.integers(1, 9)] * 3),
    factor=st.tuples(*[st.integers(1, 4)] * 3),
)
def test_enlarging_keeps_the_range_and_the_mean(
    small: tuple[int, int, int], factor: tuple[int, int, int]
) -> None:
    values = np.random.default_rng(sum(small)).random(small).astype(np.float32)
    shape = tuple(n * f for n, f in zip(small, factor, strict=True))
    wide = enlarge_volume(torch.from_numpy(values), shape)
    assert wide.shape == shape
    assert wide.dtype == torch.float16
    assert wide.min() >= values.min() - 1e-3
    assert wide.max() <= values.max() + 1e-3
    assert float(wide.float().mean()) == pytest.approx(
        values.mean(), abs=0.02 if min(small) > 1 else 0.5
    )


def test_enlarging_equals_the_library_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.rand(7, 11, 9)
    want = torch.nn.functional.interpolate(
        values[None, None], (19, 30, 25), mode="trilinear", align_corners=False
    )[0, 0].numpy()
    monkeypatch.setattr("napari_cellseg.flows.resample._SLAB_VOXELS", 30 * 25 * 4)
    np.testing.assert_allclose(enlarge_volume(values, (19, 30, 25)), want, atol=1e-3)


def test_lazy_stacks_are_read_plane_by_plane_once() -> None:
    class Counted:
        shape = (6, 8, 8)

        def __init__(self) -> None:
            self.read: list[int] = []

        def __getitem__(self, where: slice) -> np.ndarray:
            self.read.extend(range(*where.indices(6)))
            return np.zeros((len(range(*where.indices(6))), 8, 8), np.uint8)

    stack = Counted()
    reduce_volume(stack, (6, 8, 8), (0.0, 1.0), CPU)
    assert stack.read == [0, 1, 2, 3, 4, 5]


def test_same_shape_is_returned_as_it_is() -> None:
    planes = torch.rand(2, 1, 5, 6)
    assert resize_planes(planes, (5, 6)) is planes


@pytest.mark.parametrize("shape", [(10, 20, 20), (20, 30, 40)])
def test_channels_are_reduced_one_by_one(shape: tuple[int, int, int]) -> None:
    stack = np.stack([ramp((20, 60, 40)), ramp((20, 60, 40))[::-1] * 5], -1)
    limits = ((0.0, 1.0), (0.0, 5.0))
    both = reduce_volume(stack, shape, limits, CPU)
    assert both.shape == (2, *shape)
    for channel, one in enumerate(both):
        alone = reduce_volume(stack[..., channel], shape, limits[channel], CPU)
        np.testing.assert_array_equal(one, alone)
