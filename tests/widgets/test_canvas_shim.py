"""What a layer is drawn with outlives it, in 2D and in 3D."""

import numpy as np
import pytest

from napari_cellseg.widgets.canvas_shim import keep_drawn


@pytest.mark.parametrize("kind", ["image", "labels", "points"])
def test_nodes_of_both_dimensions_are_kept(make_napari_viewer, kind):
    viewer = make_napari_viewer()
    add = {
        "image": lambda: viewer.add_image(np.zeros((4, 8, 8), np.float32)),
        "labels": lambda: viewer.add_labels(np.zeros((4, 8, 8), np.uint32)),
        "points": lambda: viewer.add_points(np.zeros((1, 3))),
    }
    layer = add[kind]()
    keep_drawn(viewer, layer)
    keep_drawn(viewer, layer)  # once more changes nothing
    canvas = viewer.window._qt_viewer.canvas
    visual = canvas.layer_to_visual[layer]
    kept = [id(node) for node in canvas._cellseg_kept]
    assert len(set(kept)) == len(kept)
    held = set()
    for node in canvas._cellseg_kept:
        held |= {id(node)} | {id(part) for part in vars(node).values()}
    for shown in (2, 3):
        viewer.dims.ndisplay = shown
        assert id(visual.node) in held
