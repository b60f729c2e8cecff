from pathlib import Path

from napari_cellseg.widgets import SegmentDock
from napari_cellseg.widgets.preferences import Preferences


def test_the_session_runs_on_the_device_that_was_chosen(viewer, engine, qtbot, monkeypatch):
    monkeypatch.setattr(
        "napari_cellseg.widgets.segment.preferences", lambda: Preferences("cpu", Path("x"))
    )
    dock = SegmentDock(viewer)
    qtbot.addWidget(dock)
    assert dock.session.parameters.device == "cpu"
    dock.let_go()
