"""A session that prompts a predictor without a network, for tests of the loop and the window."""

import numpy as np
import pytest

from napari_cellseg.prompts.embedding_cache import EmbeddingCache
from napari_cellseg.session import Session
from napari_cellseg.worker import InferenceWorker, scene
from prompts.tiny_predictor import TinyPredictor


def cells(shape=(6, 64, 80)):
    """Three bright boxes that go through the planes 1 to 4, on a dark ground; uint8."""
    image = np.full(shape, 20, np.uint8)
    middle = slice(1, 5) if len(shape) > 2 else ...
    image[middle, 6:20, 8:24] = 200
    image[middle, 30:50, 10:30] = 220
    image[middle, 10:30, 50:70] = 240
    if len(shape) > 2:  # no two planes are the same, or they would share an embedding
        image += np.arange(shape[0], dtype=np.uint8)[:, None, None]
    return image


@pytest.fixture
def tiny():
    """The predictor that every session of `prompted` gets, whatever model it asks for."""
    return TinyPredictor()


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """An embedding cache of this test alone."""
    cache = EmbeddingCache(tmp_path / "embeddings")
    monkeypatch.setattr(scene, "_cache", cache)
    return cache


@pytest.fixture
def prompt_worker(tiny, own_cache, monkeypatch):
    """A worker whose models are the tiny predictor."""
    from napari_cellseg.worker import engine, prompt_planes, prompting  # noqa: F401

    own = InferenceWorker(threads=1)
    own.models.get("prompt", "mobile-sam", None, "auto", lambda: tiny)
    own.models.get("prompt", "mobile-sam", None, "cpu", lambda: tiny)
    yield own
    assert own.shutdown(10)


@pytest.fixture
def prompted(prompt_worker):
    """A session with three cells."""
    session = Session(worker=prompt_worker)
    session.use_volume(cells(), axes="zyx", spacing=(1.0, 1.0, 1.0))
    yield session
    session.close()


def quiet(session, seconds=10):
    """Wait until a session's prompts wait for nothing, then return whether that came true."""
    import time

    prompts = session.prompts
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with session._lock:
            if not (prompts.waiting or prompts.encoding.running or session.busy):
                return True
        time.sleep(0.005)
    return False
