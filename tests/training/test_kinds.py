import numpy as np
import pytest

from napari_cellseg.training.kinds import appearance, held_out


def image_of(kind: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    labels = np.zeros((64, 64), np.int32)
    step = 8 + 4 * kind
    for index, r in enumerate(range(2, 50, step), 1):
        labels[r : r + step // 2, 4 : 4 + step // 2] = index
    return rng.normal(20 * kind, 1 + kind, (64, 64)) + 50 * (labels > 0), labels


@pytest.fixture
def features() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {f"{kind}-{n}": appearance(*image_of(kind, rng)) for kind in range(5) for n in range(6)}


def test_alike_images_stay_together(features: dict[str, np.ndarray]) -> None:
    held, group = held_out(features, groups=5)
    for kind in range(5):
        assert len({group[f"{kind}-{n}"] for n in range(6)}) == 1
        assert len({f"{kind}-{n}" in held for n in range(6)}) == 1


def test_about_a_third_is_held_out_always_the_same(features: dict[str, np.ndarray]) -> None:
    held, _ = held_out(features, groups=10)
    assert 0.15 <= len(held) / len(features) <= 0.4
    assert held == held_out(dict(reversed(features.items())), groups=10)[0]


def test_an_image_without_cells_has_an_appearance() -> None:
    flat = appearance(np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), np.int32))
    assert np.isfinite(flat).all()
