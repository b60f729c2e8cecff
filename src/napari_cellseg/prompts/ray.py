"""The voxel that a click in a 3D view means: the first one along the line of sight to be seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.volume.spacing import check_spacing

RULE = "A click goes to the first voxel along the line of sight that is labelled or bright enough."
"""What to tell a user."""

#: Side of the cubes in which an array is read that does not say how it is stored.
_CUBE = 64


def contrast_threshold(limits: Sequence[float], part: float = 0.5) -> float:
    """Return the value that a voxel must exceed to be seen, from what is shown as black and white.

    Parameters
    ----------
    limits : two floats
        Contrast limits.
    part : float
        0: black; 1: white.

    Raises
    ------
    InputError
        If the limits are not finite or not rising, or `part` lies outside 0 … 1.
    """
    low, high = (float(value) for value in limits)
    if not (np.isfinite([low, high]).all() and low < high and 0 <= part <= 1):
        raise InputError(
            f"Contrast limits {low:g} … {high:g} with part {part:g} give no threshold: limits must "
            "rise, and part lie between 0 and 1."
        )
    return low + part * (high - low)


def first_voxel(
    start: ArrayLike,
    end: ArrayLike,
    image: Any,
    labels: Any | None = None,
    *,
    threshold: float,
    spacing: Sequence[float] | None = None,
) -> tuple[int, int, int] | None:
    """Find the first voxel along a ray that is labelled or brighter than a threshold.

    Arrays in memory are read at the voxels of the ray only. Of others (dask, zarr) the stored
    chunks that the ray meets are read one by one, and none beyond the voxel that is found.

    Parameters
    ----------
    start, end : three floats
        ``(z, y, x)`` of the ray's ends, in voxels (centres at integers), or in µm where `spacing`
        is given. They may lie outside the volume.
    image : array, (z, y, x)
    labels : integer array, (z, y, x), optional
    threshold : float
        A voxel is bright where its value is greater; see `contrast_threshold`. NaN is not bright.
    spacing : three floats, optional
        ``(z, y, x)`` in µm per voxel.

    Returns
    -------
    (z, y, x) or None
        None where the ray misses the volume, or meets no such voxel.

    Raises
    ------
    InputError
        If a coordinate or the threshold is not finite, or the arrays are not 3D or differ in
        shape.
    """
    ends = _ends(start, end, spacing)
    shape = tuple(int(n) for n in image.shape)
    if len(shape) != 3:
        raise InputError(f"A ray needs a volume (z, y, x), but the image has shape {shape}.")
    if labels is not None and tuple(labels.shape) != shape:
        raise InputError(
            f"The labels have shape {tuple(labels.shape)}, but the image has shape {shape}."
        )
    if not np.isfinite(threshold):
        raise InputError(f"The contrast threshold {threshold} must be a finite number.")
    path = voxels_along(ends[0], ends[1], shape)
    labelled = None if labels is None else _first(labels, path, lambda values: values != 0)
    # what lies behind a label cannot be seen, and is not read
    bright = _first(image, path[:labelled], lambda values: values > threshold)
    found = labelled if bright is None else bright
    if found is None:
        return None
    z, y, x = path[found].tolist()
    return z, y, x


def voxels_along(start: ArrayLike, end: ArrayLike, shape: Sequence[int]) -> NDArray[np.int64]:
    """Return the voxels of a volume that a ray passes through, in order.

    They are those of the traversal by Amanatides & Woo (1987, "A fast voxel traversal algorithm
    for ray tracing", Eurographics): the ray is cut where it crosses a face between voxels, here
    all at once, and each piece lies in one voxel. A ray through an edge or corner steps across it.

    Parameters
    ----------
    start, end : three floats
        In voxels.
    shape : three ints

    Returns
    -------
    array of int64, (n, 3)
    """
    origin, along = np.asarray(start, np.float64), np.asarray(end, np.float64)
    along = along - origin
    sizes = np.asarray(shape, np.int64)
    moving = along != 0
    if ((origin < -0.5) | (origin > sizes - 0.5))[~moving].any():
        return np.zeros((0, 3), np.int64)
    with np.errstate(over="ignore"):
        faces = (np.stack([np.full(3, -0.5), sizes - 0.5])[:, moving] - origin[moving]) / along[
            moving
        ]
    enter = max([0.0, *faces.min(axis=0)])
    leave = min([1.0, *faces.max(axis=0)])
    if not enter <= leave:
        return np.zeros((0, 3), np.int64)
    cuts = [np.array([enter, leave])]
    for axis in np.flatnonzero(moving):
        a, b = np.sort(origin[axis] + along[axis] * np.array([enter, leave]))
        first, last = max(0, int(np.ceil(a - 0.5))), min(sizes[axis] - 2, int(np.floor(b - 0.5)))
        crossed = (np.arange(first, last + 1) + 0.5 - origin[axis]) / along[axis]
        cuts.append(crossed[(crossed > enter) & (crossed < leave)])
    at = np.unique(np.concatenate(cuts))
    middles = (at[1:] + at[:-1]) / 2 if len(at) > 1 else at
    voxels = np.floor(origin + middles[:, None] * along + 0.5).astype(np.int64)
    voxels = np.clip(voxels, 0, sizes - 1)
    new = np.ones(len(voxels), np.bool_)
    new[1:] = (voxels[1:] != voxels[:-1]).any(axis=1)
    return voxels[new]


def _ends(start: ArrayLike, end: ArrayLike, spacing: Sequence[float] | None) -> NDArray[np.float64]:
    try:
        ends = np.array([start, end], np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"The ray's ends must be three numbers each: {error}.") from error
    if ends.shape != (2, 3) or not np.isfinite(ends).all():
        raise InputError(f"The ray's ends {ends.tolist()} must be three finite numbers each.")
    if spacing is not None:
        ends = ends / np.asarray(check_spacing(spacing, True))
    return ends


def _first(
    array: Any, path: NDArray[np.int64], test: Callable[[NDArray[Any]], NDArray[np.bool_]]
) -> int | None:
    """Return where on the path the values first pass the test."""
    if isinstance(array, np.ndarray):
        hits = np.flatnonzero(test(array[tuple(path.T)]))
        return int(hits[0]) if hits.size else None
    for begin, stop in _runs(array, path):
        part = path[begin:stop]
        low, high = part.min(axis=0), part.max(axis=0) + 1
        box = np.asarray(
            array[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))]
        )
        hits = np.flatnonzero(test(box[tuple((part - low).T)]))
        if hits.size:
            return begin + int(hits[0])
    return None


def _runs(array: Any, path: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Cut a path where it passes from one stored chunk to the next."""
    if not len(path):
        return []
    chunks = getattr(array, "chunks", None) or (_CUBE,) * 3
    cells = []
    for axis, size in enumerate(chunks):
        if isinstance(size, tuple):  # dask: the length of each block
            cells.append(np.searchsorted(np.cumsum(size), path[:, axis], side="right"))
        else:
            cells.append(path[:, axis] // int(size))
    changes = (np.diff(np.stack(cells), axis=1) != 0).any(axis=0)
    borders = [0, *(np.flatnonzero(changes) + 1).tolist(), len(path)]
    return list(pairwise(borders))
