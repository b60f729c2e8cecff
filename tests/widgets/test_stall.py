"""How long the window stands still while it segments: reported, not judged."""

from pathlib import Path

from napari_cellseg.widgets import SegmentDock
from widgets.steps import add_image, blobs


def test_stall_is_reported(viewer, engine, qtbot, record_property, capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2]))
    from benchmarks.gui_stall import StallProbe, watch

    dock = SegmentDock(viewer)
    qtbot.addWidget(dock)
    add_image(viewer, blobs((32, 128, 128)))
    probe = StallProbe()
    dock.session.labels_changed.connect(probe.show)
    stall = watch(
        probe, "segment all", dock.model.segment_button.click, lambda: not dock.session.busy
    )
    record_property("gui_stall_ms", stall["working_ms"])
    with capsys.disabled():
        print(f"\n  longest stall at work {stall['working_ms']:.0f} ms ", end="")
    assert "embryo cells" in viewer.layers
    assert stall["showing_ms"] > 0, "the probe has not seen the result arrive"
    dock.let_go()
