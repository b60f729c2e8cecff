"""Where labels lie in the viewer: on their image, whatever its axes are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellseg.errors import InputError

if TYPE_CHECKING:
    from napari.layers import Image


def layer_letters(image_axes: str, label_axes: str) -> str:
    """Return the axes that a labels layer needs to lie on its image.

    napari aligns layers by their last axes, so an axis of the image that labels do not have (a
    channel, or an axis of length one) needs a place, unless it comes before all others.
    """
    first = min(image_axes.index(letter) for letter in label_axes)
    return image_axes[first:]


def aligned(
    labels: np.ndarray, label_axes: str, image_axes: str, image_shape: tuple[int, ...]
) -> np.ndarray:
    """Return labels as an array that napari lays onto the image; it shares the labels' memory.

    Parameters
    ----------
    labels : ndarray of integers, axes ``label_axes``
    label_axes, image_axes : str
        Axes of the labels and of the image layer.
    image_shape : tuple of int

    Returns
    -------
    ndarray
        The labels themselves, or a view with further axes along which every position is the same
        memory: painting on one channel paints on all.
    """
    letters = layer_letters(image_axes, label_axes)
    if letters == label_axes:
        return labels
    size = dict(zip(image_axes, image_shape, strict=False))
    own = dict(zip(label_axes, zip(labels.shape, labels.strides, strict=True), strict=True))
    pairs = [own.get(letter, (size[letter], 0)) for letter in letters]
    shape, strides = zip(*pairs, strict=True)
    return np.lib.stride_tricks.as_strided(labels, shape, strides, writeable=True)


def layer_region(region: tuple[slice, ...], label_axes: str, letters: str) -> tuple[slice, ...]:
    """Return a box over label axes as one over a layer's axes, whole along those of its own."""
    of = dict(zip(label_axes, region, strict=True))
    return tuple(of.get(letter, slice(None)) for letter in letters)


def placement(
    image: Image, image_axes: str, label_axes: str, offset: tuple[int, ...]
) -> dict[str, Any]:
    """Return scale, translate, units and axis labels for a labels layer.

    Parameters
    ----------
    image : napari Image layer
    image_axes, label_axes : str
        Axes of the image layer and of the labels.
    offset : tuple of int
        Where the labels start, in voxels along ``label_axes``.
    """
    letters = layer_letters(image_axes, label_axes)
    start = dict(zip(label_axes, offset, strict=True))
    at = [image_axes.index(letter) for letter in letters]
    scale = np.asarray(image.scale)[at]
    steps = np.array([start.get(letter, 0) for letter in letters], float)
    return {
        "scale": scale,
        "translate": np.asarray(image.translate)[at] + steps * scale,
        "units": tuple(image.units[index] for index in at),
        "axis_labels": tuple(letters),
    }


def check_upright(image: Image) -> None:
    """Refuse a layer whose voxels do not lie along the viewer's axes.

    Raises
    ------
    InputError
        If it is rotated, sheared or has a transform of its own.
    """
    plain = image.ndim
    for name in ("rotate", "shear"):
        matrix = np.asarray(getattr(image, name))
        if not np.allclose(matrix, np.eye(plain) if matrix.ndim == 2 else 0):
            break
    else:
        if np.allclose(image.affine.affine_matrix, np.eye(plain + 1)):
            return
    raise InputError(
        f"The layer “{image.name}” is rotated, sheared or transformed in the viewer: reset that to "
        "prompt it."
    )
