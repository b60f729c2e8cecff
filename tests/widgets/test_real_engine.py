"""The dock on the real worker and the real flows."""

import numpy as np
import pytest

from napari_cellseg.widgets import SegmentDock
from widgets.steps import click, count


@pytest.fixture
def real(viewer, qtbot):
    dock = SegmentDock(viewer)
    qtbot.addWidget(dock)
    dock.session.parameters.device = "cpu"
    yield dock
    dock.let_go()
    qtbot.waitUntil(lambda: not dock.session.busy, timeout=60_000)


def wait(qtbot, dock):
    qtbot.waitUntil(lambda: not dock.session.busy and not dock.run.relabel_pending, timeout=120_000)
    assert dock.session.last_error is None


def test_try_segment_slide_apply(real, viewer, qtbot, monkeypatch):
    from fakes import BlobNetwork, blob_volume

    monkeypatch.setattr("napari_cellseg.networks.load_network", lambda *_, **__: BlobNetwork("cpu"))
    image, truth = blob_volume((24, 48, 48))
    viewer.add_image(image, name="blobs", units=("um",) * 3, axis_labels=tuple("zyx"))
    viewer.dims.set_current_step(0, 10)
    real.session.parameters.diameter = 14.0
    click(qtbot, real.model.try_button)
    wait(qtbot, real)
    plane = viewer.layers["blobs proposal"]
    assert plane.data.shape == (1, 48, 48)
    assert count(plane.data) == count(truth[10])
    click(qtbot, real.model.segment_button)
    wait(qtbot, real)
    cells = viewer.layers["blobs cells"]
    assert count(cells.data) == count(truth)
    before = (cells.data > 0).sum()
    real.result.probability.slider.setValue(900)
    wait(qtbot, real)
    click(qtbot, real.result.apply_button)
    wait(qtbot, real)
    assert 0 < (cells.data > 0).sum() <= before
    assert cells.data is real.session.labels


def test_the_bundled_stack_with_the_bundled_network(real, viewer, qtbot):
    from napari_cellseg.contributions import sample_embryo
    from napari_cellseg.networks import packaged_weights

    if not packaged_weights().is_file():
        pytest.skip("the package has no trained weights yet")
    for data, attributes, kind in sample_embryo():
        getattr(viewer, f"add_{kind}")(data, **attributes)
    click(qtbot, real.model.segment_button)
    wait(qtbot, real)
    found = count(viewer.layers["embryo cells"].data)
    assert 14 <= found <= 18
    assert np.asarray(real.session.labels).dtype == np.uint32
