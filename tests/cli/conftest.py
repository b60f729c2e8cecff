"""Images on disk and the small engine."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from fake_engine import engine

__all__ = ["engine"]


def write_image(path: Path, n: int, shape: tuple[int, ...] = (4, 12, 40)) -> Path:
    """An image of n bright boxes side by side."""
    stack = np.zeros(shape, np.float32)
    for position in range(n):
        stack[..., 2:8, 2 + 6 * position : 6 + 6 * position] = 0.9
    stack.flat[0] = 0.1
    axes = "ZYX"[-len(shape) :]
    tifffile.imwrite(path, stack, imagej=True, metadata={"axes": axes})
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images with 1, 2 and 3 cells and a file that is none."""
    images = tmp_path / "images"
    images.mkdir()
    for n, name in enumerate("abc", start=1):
        write_image(images / f"{name}.tif", n)
    (images / "notes.txt").write_text("not an image")
    return images
