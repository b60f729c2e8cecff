"""The small engine, a worker of one's own, and a session on both."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from fake_engine import FakeEngine, engine
from napari_cellseg.session import Session
from napari_cellseg.worker import InferenceWorker
from prompt_engine import own_cache, prompt_worker, prompted, tiny

__all__ = ["engine", "own_cache", "prompt_worker", "prompted", "tiny"]


@pytest.fixture
def inference() -> Iterator[InferenceWorker]:
    instance = InferenceWorker(threads=2)
    yield instance
    assert instance.shutdown(20)


@pytest.fixture
def image() -> NDArray[np.float32]:
    """Three bright boxes, one of them faint, in (z, y, x)."""
    stack = np.zeros((6, 20, 30), np.float32)
    stack[1:4, 2:8, 2:8] = 0.9
    stack[2:5, 10:16, 4:10] = 0.8
    stack[1:5, 4:12, 18:26] = 0.3
    return stack


@pytest.fixture
def session(
    engine: FakeEngine, inference: InferenceWorker, image: NDArray[np.float32]
) -> Iterator[Session]:
    instance = Session(worker=inference)
    instance.use_volume(image, axes="zyx", spacing=(2.0, 0.5, 0.5))
    instance.parameters.device = "cpu"
    yield instance
    instance.close()
