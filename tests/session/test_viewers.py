"""A session lives as long as its viewer and no longer."""

import gc
import threading
import weakref

import numpy as np
import pytest

from fake_engine import FakeEngine
from napari_cellseg.errors import Cancelled
from napari_cellseg.session import session_for
from napari_cellseg.worker import worker


class Viewer:
    """Compares by value and cannot be hashed, like a viewer model."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Viewer)


def test_one_session_for_each_viewer() -> None:
    first, second = Viewer(), Viewer()
    session = session_for(first)
    assert session_for(first) is session
    assert session_for(second) is not session


def test_deliver_can_be_given_later() -> None:
    viewer = Viewer()
    session = session_for(viewer)
    calls: list[object] = []
    assert session_for(viewer, calls.append) is session
    assert session.deliver == calls.append


def test_session_goes_with_its_viewer() -> None:
    viewer = Viewer()
    session = session_for(viewer)
    session.use_volume(np.zeros((4, 8, 8), np.uint8))
    closed: list[bool] = []
    session.closed.connect(lambda: closed.append(True))
    gone = weakref.ref(session)
    del viewer
    gc.collect()
    assert closed == [True]
    assert session.is_closed
    del session
    gc.collect()
    assert gone() is None


def test_jobs_go_with_the_viewer(engine: FakeEngine) -> None:
    viewer = Viewer()
    session = session_for(viewer)
    session.use_volume(np.zeros((4, 8, 8), np.uint8))
    session.parameters.device = "cpu"
    engine.gate = threading.Event()
    job = session.segment()
    assert engine.running.wait(20)
    del viewer, session
    gc.collect()
    engine.gate.set()
    with pytest.raises(Cancelled):
        job.wait(20)
    assert worker().shutdown(20)


def test_closed_session_is_not_given_out_again() -> None:
    viewer = Viewer()
    session = session_for(viewer)
    session.close()
    assert session_for(viewer) is not session
