"""Which box of an image the user means: a rectangle that was drawn, or what is in view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_cellseg.widgets.view import region_in_view

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import ViewerModel


def region_meant(
    viewer: ViewerModel, layer: Image, axes: str, label_axes: str, planes: int
) -> tuple[slice, ...]:
    """Return the box that a user means, as slices over the axes of the image's labels.

    A shape of the active Shapes layer (the selected one, else the last) says which part of the
    plane in view; without one it is the part that the canvas shows. Along the spatial axis that is
    not displayed the box reaches `planes` planes to either side; of time it is the point in view.

    Parameters
    ----------
    viewer : ViewerModel
    layer : napari Image layer
    axes, label_axes : str
        The layer's axes (without RGB's last one) and those of its labels, letters of "tczyx".
    planes : int
    """
    region = list(region_in_view(viewer, layer, axes, label_axes))
    drawn = _drawn(viewer, layer)
    offset = viewer.dims.ndim - layer.ndim
    displayed = {axis - offset for axis in viewer.dims.displayed}
    flat = viewer.dims.ndisplay == 2
    shape = layer.data[0].shape if layer.multiscale else layer.data.shape
    for axis, letter in enumerate(axes):
        if letter not in label_axes:
            continue
        at, size = label_axes.index(letter), int(shape[axis])
        if flat and axis in displayed:
            if drawn is not None:
                low = int(np.clip(np.floor(drawn[0][axis] + 0.5), 0, size - 1))
                high = int(np.clip(np.ceil(drawn[1][axis] + 0.5), low + 1, size))
                region[at] = slice(low, high)
        elif letter in "zyx" and region[at].stop - region[at].start == 1:
            middle = region[at].start
            region[at] = slice(max(0, middle - planes), min(size, middle + planes + 1))
    return tuple(region)


def _drawn(viewer: ViewerModel, image: Image) -> tuple[np.ndarray, np.ndarray] | None:
    """The corners of the shape that counts, in the image's voxels."""
    from napari.layers import Shapes

    layer = viewer.layers.selection.active
    if not isinstance(layer, Shapes) or not layer.nshapes:
        return None
    chosen = sorted(layer.selected_data) or [layer.nshapes - 1]
    points = np.concatenate([np.asarray(layer.data[index]) for index in chosen])
    world = np.tile(np.asarray(viewer.dims.point, float), (len(points), 1))
    world[:, -layer.ndim :] = [layer.data_to_world(point) for point in points]
    voxels = np.array([image.world_to_data(point) for point in world[:, -image.ndim :]])
    return voxels.min(axis=0), voxels.max(axis=0)


def region_words(region: tuple[slice, ...]) -> str:
    """Return how large a box is."""
    return " × ".join(f"{part.stop - part.start:,}" for part in region)
