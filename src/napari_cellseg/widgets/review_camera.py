"""Flies to what is reviewed: its middle in the middle of the canvas, a third of it wide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.viewer import ViewerModel

    from napari_cellseg.labels import LabelDocument
    from napari_cellseg.labels.review import ReviewItem
    from napari_cellseg.widgets.edit_ground import Ground

SHARE = 1 / 3
"""How much of the canvas the item takes."""
_LEAST = 12
"""Voxels of y that are in sight at least, times three: less shows nothing of what is around."""
_CANVAS = (600, 600)


def fly_to_item(
    viewer: ViewerModel, ground: Ground, document: LabelDocument, item: ReviewItem
) -> None:
    """Turn the sliders to an item's middle, and centre and zoom the camera on it.

    Parameters
    ----------
    viewer : ViewerModel
    ground : Ground
        Where the document's labels lie.
    document : LabelDocument
    item : ReviewItem
    """
    offset = viewer.dims.ndim - len(ground.letters)
    flat = {axis - offset for axis in viewer.dims.not_displayed}
    sliders = [a for a in ground.spatial if ground.letters.index(a) in flat]
    box = dict(zip(ground.spatial, item.box, strict=True))
    middle = {a: (part.start + part.stop - 1) / 2 for a, part in box.items()}
    for axis in sliders:
        middle[axis] = float(_plane(document, item, ground.spatial.index(axis)))
    place = [float(item.t) if axis == "t" else middle[axis] for axis in ground.axes]
    world = dict(zip(ground.letters, ground.world([place])[0], strict=True))
    scale = dict(zip(ground.letters, np.abs(np.asarray(ground.layer.scale)), strict=True))
    turned = [ax for ax in viewer.dims.not_displayed if 0 <= ax - offset < len(ground.letters)]
    own = [axis for axis in turned if ground.letters[axis - offset] in ground.axes]
    viewer.dims.set_point(own, [world[ground.letters[axis - offset]] for axis in own])
    shown = [ground.letters[axis - offset] for axis in viewer.dims.displayed if axis >= offset]
    if len(shown) != viewer.dims.ndisplay or any(letter not in box for letter in shown):
        return
    camera = viewer.scene.camera
    widest = max((box[a].stop - box[a].start) * scale[a] for a in shown)
    widest = max(widest, _LEAST * min(scale[a] for a in shown))
    former = tuple(camera.center)
    camera.center = (*former[: 3 - len(shown)], *(float(world[letter]) for letter in shown))
    camera.zoom = min(_canvas_size(viewer)) * SHARE / widest


def _plane(document: LabelDocument, item: ReviewItem, axis: int) -> int:
    """The plane across an axis that is nearest to the item's middle and has some of it."""
    part = item.box[axis]
    middle = (part.start + part.stop - 1) / 2
    if item.id is None or (item.t, item.id) not in document.objects:
        z, y, x = item.centre
        return round((z, y, x)[3 - len(item.box) + axis])
    box = document.objects.box(item.id, item.t)
    volume = document.labels[item.t] if document.timed else document.labels
    others = tuple(k for k in range(len(box)) if k != axis)
    planes = np.flatnonzero((volume[box] == item.id).any(others)) + box[axis].start
    return int(planes[np.argmin(np.abs(planes - middle))])


def _canvas_size(viewer: ViewerModel) -> tuple[int, int]:
    window = getattr(viewer, "window", None)
    canvas = getattr(getattr(window, "_qt_viewer", None), "canvas", None)
    native = getattr(canvas, "native", None)
    return _CANVAS if native is None else (native.width(), native.height())
