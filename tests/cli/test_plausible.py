"""Images that are passed as labels are noticed, and labels are not."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage as ndi

from napari_cellseg.cli import main
from napari_cellseg.cli.plausible import looks_like_image
from napari_cellseg.volume import write_labels


def grid(step: int, size: int) -> NDArray[np.uint32]:
    """Square instances of `size`, `step` apart."""
    y, x = np.indices((120, 120))
    inside = (y % step < size) & (x % step < size)
    labels: NDArray[np.uint32] = np.where(inside, 1 + y // step * 40 + x // step, 0)
    return labels.astype(np.uint32)


def photo(top: int, smooth: float) -> NDArray[np.uint32]:
    noise = ndi.gaussian_filter(np.random.default_rng(3).random((3, 120, 120)), smooth)
    noise -= noise.min()
    return (noise / noise.max() * top).astype(np.uint32)


@pytest.mark.parametrize("top", [60, 255, 4000, 65535])
@pytest.mark.parametrize("smooth", [0.0, 2.0, 6.0])
def test_images(top: int, smooth: float) -> None:
    assert looks_like_image(photo(top, smooth))


@pytest.mark.parametrize(("step", "size"), [(10, 8), (4, 3), (6, 6), (6, 1), (30, 28)])
def test_labels(step: int, size: int) -> None:
    assert not looks_like_image(grid(step, size))
    assert not looks_like_image(np.stack([grid(step, size)] * 3))


def test_labels_with_crumbs() -> None:
    labels = grid(10, 8)
    labels[9::10, 9::30] = 10_000 + np.arange(48, dtype=np.uint32).reshape(12, 4)
    assert not looks_like_image(labels)


def test_evaluate_warns_of_an_image_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.stack([grid(10, 8)] * 3)
    truth = write_labels(tmp_path / "truth.tif", labels)
    np.save(tmp_path / "stack.npy", photo(255, 1.0).astype(np.uint8))
    assert main(["evaluate", str(tmp_path / "stack.npy"), str(truth)]) == 0
    said = capsys.readouterr()
    assert f"{tmp_path / 'stack.npy'} looks like an image" in said.err
    assert said.err.count("\n") == 1
    assert "instances" in said.out
    assert main(["evaluate", str(truth), str(truth)]) == 0
    assert capsys.readouterr().err == ""
