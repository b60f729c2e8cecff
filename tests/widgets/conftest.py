"""A dock on a viewer model, with a small engine in place of the networks."""

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel

from fake_engine import engine  # noqa: F401 - a fixture
from napari_cellseg.widgets import SegmentDock
from napari_cellseg.worker import worker


@pytest.fixture(autouse=True)
def _no_model_of_another_test():
    """The process-wide worker keeps models by name; a fake one must not meet another test."""
    worker().models.clear()
    yield
    worker().models.clear()


@pytest.fixture
def viewer(qtbot):
    return ViewerModel()


def _table(labels):
    ids, voxels = np.unique(labels[labels > 0], return_counts=True)
    return pd.DataFrame({"label": ids, "area": voxels})


@pytest.fixture
def dock(viewer, engine, qtbot, monkeypatch):  # noqa: F811
    monkeypatch.setattr("fake_engine.table_of", _table)  # the usual one cannot count in 4D
    dock = SegmentDock(viewer)
    qtbot.addWidget(dock)
    yield dock
    dock.let_go()
    qtbot.waitUntil(lambda: not dock.session.busy)


@pytest.fixture
def settle(qtbot):
    """Wait until a dock's session has nothing to do."""

    def wait(dock):
        qtbot.waitUntil(lambda: not dock.session.busy and not dock.run.relabel_pending)

    return wait
