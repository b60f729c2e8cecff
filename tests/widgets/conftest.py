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


@pytest.fixture
def tiny(_no_model_of_another_test, monkeypatch, tmp_path):
    """A predictor without a network in place of MobileSAM, and a cache folder of this test."""
    from napari_cellseg.widgets.preferences import Preferences
    from napari_cellseg.worker import prompting
    from prompts.tiny_predictor import TinyPredictor

    predictor = TinyPredictor()
    worker().models.get("prompt", "mobile-sam", None, "auto", lambda: predictor)
    monkeypatch.setattr(prompting, "weights_missing", lambda model, checkpoint: "")
    for user in ("prompt_scene", "prompt_run"):
        monkeypatch.setattr(
            f"napari_cellseg.widgets.{user}.preferences",
            lambda: Preferences(cache_folder=tmp_path / "cache"),
        )
    yield predictor
    if predictor.before is not None:
        predictor.before.set()


@pytest.fixture
def prompt_window(make_napari_viewer, tiny):
    """A window with the Prompt dock."""
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1200, 900)
    _, dock = viewer.window.add_plugin_dock_widget("napari-cellseg", "Prompt")
    return viewer, dock
