import numpy as np
import pytest
from napari.components import ViewerModel

from napari_cellseg.labels import LabelDocument
from napari_cellseg.widgets.edit_ground import Ground
from napari_cellseg.widgets.fly_to import fly_to

SCALE = {"t": 1.0, "c": 1.0, "z": 2.0, "y": 0.5, "x": 0.5}


def scene(axes="zyx", letters=None):
    """Labels with cell 7 at (1,) 2 to 4, 10 to 14, 20 to 30, and where they lie in a viewer."""
    shape = dict(zip("tzyx", (3, 6, 40, 50), strict=True))
    labels = np.zeros([shape[axis] for axis in axes], np.uint32)
    labels[1 if "t" in axes else ..., 2:5, 10:15, 20:31] = 7
    document = LabelDocument(labels, (2.0, 0.5, 0.5), axes, copy=False)
    letters = letters or axes
    data = labels if letters == axes else labels[:, None]
    viewer = ViewerModel()
    layer = viewer.add_labels(data, scale=[SCALE[axis] for axis in letters])
    return viewer, Ground(layer, letters, labels, axes), document


def test_the_plane_and_the_middle_of_the_canvas():
    viewer, ground, document = scene()
    viewer.dims.set_current_step(0, 0)
    assert fly_to(viewer, ground, document, (0, 7))
    assert viewer.dims.current_step[0] == 3
    assert tuple(viewer.scene.camera.center)[-2:] == pytest.approx((6.0, 12.5))


def test_transposed_views():
    viewer, ground, document = scene()
    viewer.dims.order = (2, 0, 1)
    assert fly_to(viewer, ground, document, (0, 7))
    assert viewer.dims.current_step[2] == 25
    assert tuple(viewer.scene.camera.center)[-2:] == pytest.approx((6.0, 6.0))


def test_a_3d_view_keeps_its_angle_and_zoom():
    viewer, ground, document = scene()
    viewer.dims.ndisplay = 3
    viewer.scene.camera.angles, viewer.scene.camera.zoom = (10, 20, 30), 3.0
    assert fly_to(viewer, ground, document, (0, 7))
    assert tuple(viewer.scene.camera.center) == pytest.approx((6.0, 6.0, 12.5))
    assert tuple(viewer.scene.camera.angles) == pytest.approx((10, 20, 30))
    assert viewer.scene.camera.zoom == 3.0


@pytest.mark.parametrize("letters", ["tzyx", "tczyx"])
def test_time_and_channels(letters):
    viewer, ground, document = scene("tzyx", letters)
    assert fly_to(viewer, ground, document, (1, 7))
    step = dict(zip(letters, viewer.dims.current_step, strict=True))
    assert (step["t"], step["z"]) == (1, 3)
    assert not fly_to(viewer, ground, document, (0, 7))


def test_a_cell_that_misses_the_plane_of_its_centroid():
    viewer, ground, document = scene()
    document.labels[3] = 0
    document.absorb()
    assert fly_to(viewer, ground, document, (0, 7))
    assert viewer.dims.current_step[0] in (2, 4)
