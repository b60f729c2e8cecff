"""The benchmark of clicks measures what it says."""

from benchmarks.basin_click import missing_cells, run_basins, show_basins
from benchmarks.tissue import tissue

from napari_cellseg.flows import instances


def test_clicks_of_every_kind_are_measured():
    truth = tissue((32, 72, 72))
    labels = instances(missing_cells(truth))
    missed = (truth > 0) & (truth % 20 == 0)
    assert (labels[missed] == 0).mean() > 0.8
    report = run_basins(truth, count=12)
    assert report.cells == labels.max()
    assert report.clicks["region"].iou == 1
    assert report.clicks["whole volume"].iou == 1
    assert 0.4 < report.clicks["missed cell"].iou < 1
    for cost in report.clicks.values():
        assert 0 < cost.median <= cost.p95
    assert 0 < report.index < report.trajectories
    assert report.prepare.cpu > 0
    text = show_basins(report)
    assert "missed cell" in text
    assert "32×72×72" in text
    assert report.as_json()["clicks"]["split"]["clicks"] == 12
