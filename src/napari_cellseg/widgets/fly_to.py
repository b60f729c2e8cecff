"""Brings an object into view: the plane that holds it, in the middle of the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.viewer import ViewerModel

    from napari_cellseg.labels import Key, LabelDocument
    from napari_cellseg.widgets.edit_ground import Ground


def fly_to(viewer: ViewerModel, ground: Ground, document: LabelDocument, key: Key) -> bool:
    """Move the sliders and the camera to an object; the zoom stays.

    Parameters
    ----------
    viewer : ViewerModel
    ground : Ground
        Where the document's labels lie.
    document : LabelDocument
    key : (t, id)

    Returns
    -------
    bool
        False where the object is not there any more.
    """
    t, label = key
    if key not in document.objects:
        return False
    place = _inside(document, label, t)
    world = ground.world([((float(t),) if document.timed else ()) + place])[0]
    offset = viewer.dims.ndim - len(ground.letters)
    at = {
        offset + axis: float(world[axis])
        for axis, letter in enumerate(ground.letters)
        if letter in ground.axes
    }
    sliders = [axis for axis in viewer.dims.not_displayed if axis in at]
    viewer.dims.set_point(sliders, [at[axis] for axis in sliders])
    camera = viewer.scene.camera
    shown = [at.get(axis) for axis in viewer.dims.displayed]
    former = tuple(camera.center)[-len(shown) :]
    moved = [old if new is None else new for new, old in zip(shown, former, strict=True)]
    camera.center = (*tuple(camera.center)[: 3 - len(moved)], *moved)
    return True


def _inside(document: LabelDocument, label: int, t: int) -> tuple[float, ...]:
    """A place in the object: its centroid, or the nearest of its voxels in that plane."""
    middle = document.objects.centroid(label, t)
    box = document.objects.box(label, t)
    labels = document.labels[t] if document.timed else document.labels
    inside = labels[box] == label
    if inside.ndim == 3:  # of the planes that it is in, the nearest
        planes = np.flatnonzero(inside.any((1, 2)))
        nearest = planes[np.argmin(np.abs(planes + box[0].start - middle[0]))]
        return (float(nearest + box[0].start), *middle[1:])
    return middle
