"""What part of an image the user is looking at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import ViewerModel


def region_in_view(
    viewer: ViewerModel, layer: Image, axes: str, label_axes: str
) -> tuple[slice, ...]:
    """Return the visible part of a layer as slices over the axes of its labels.

    In a 2D view that is one step along the axes that are not displayed and the part of the plane
    that the canvas shows; in a 3D view, which has no plane in sight, the whole plane (y, x) at the
    position of the z slider.

    Parameters
    ----------
    viewer : ViewerModel
    layer : napari Image layer
    axes, label_axes : str
        The layer's axes (without RGB's last one) and those of its labels, letters of "tczyx".

    Returns
    -------
    tuple of slice
        One for each of ``label_axes``, in their order; none is empty.
    """
    shape = _full_shape(layer, len(axes))
    point = _point(viewer, layer)
    corners = np.asarray(layer.corner_pixels)
    step = np.ones(len(axes))
    if layer.multiscale:
        step = np.asarray(layer.downsample_factors)[layer.data_level]
    offset = viewer.dims.ndim - layer.ndim
    displayed = {axis - offset for axis in viewer.dims.displayed}
    flat = viewer.dims.ndisplay == 2
    region: list[slice] = []
    for axis, (letter, size) in enumerate(zip(axes, shape, strict=True)):
        if letter not in label_axes:  # a channel, or an axis of length one
            continue
        if flat and axis in displayed:
            low = int(corners[0, axis] * step[axis])
            high = int(np.ceil((corners[1, axis] + 1) * step[axis]))
            visible = slice(max(low, 0), min(high, size))
            # Before the first draw, and without a canvas, the corners are all zero.
            drawn = corners[1, axis] > corners[0, axis] and visible.stop > visible.start
            region.append(visible if drawn else slice(0, size))
        elif not flat and letter in "yx":
            region.append(slice(0, size))
        else:
            index = int(np.clip(round(float(point[axis])), 0, size - 1))
            region.append(slice(index, index + 1))
    return tuple(region)


def _full_shape(layer: Image, ndim: int) -> tuple[int, ...]:
    shape = layer.data[0].shape if layer.multiscale else layer.data.shape
    return tuple(int(size) for size in shape[:ndim])


def _point(viewer: ViewerModel, layer: Image) -> np.ndarray:
    world = np.asarray(viewer.dims.point, float)[-layer.ndim :]
    return np.asarray(layer.world_to_data(world), float)
