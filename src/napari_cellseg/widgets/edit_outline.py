"""Outlines of selected objects in the view, as line segments in coordinates of the labels."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_cellseg.labels import Key, LabelDocument
    from napari_cellseg.prompts.plane_view import Plane

MOST = 200
"""So many objects are outlined at most."""


def outlines(
    document: LabelDocument, keys: Iterable[Key], plane: Plane | None, t: int
) -> NDArray[np.float64]:
    """Return the outlines of objects: in a plane along the pixels' edges, in 3D their boxes.

    Parameters
    ----------
    document : LabelDocument
    keys : iterable of (t, id)
    plane : Plane or None
        That is in view; None: the view is 3D.
    t : int
        Time point that is in view.

    Returns
    -------
    array of float, (2 n, axes of the labels)
        Ends of `n` segments; pixel centres are whole numbers.
    """
    spatial = document.axes.replace("t", "")
    made: list[NDArray[np.float64]] = []
    for when, id in list(keys)[:MOST]:
        if when != t or (when, id) not in document.objects:
            continue
        box = dict(zip(spatial, document.objects.box(id, when), strict=True))
        if plane is None:
            made.append(_frame(box, spatial))
            continue
        across, row, col = plane.axes
        if across in box:
            if not box[across].start <= plane.index < box[across].stop:
                continue
            box[across] = slice(plane.index, plane.index + 1)
        volume = document.labels[when] if document.timed else document.labels
        part = volume[tuple(box[axis] for axis in spatial)] == id
        flat = part.reshape([part.shape[spatial.index(axis)] for axis in (row, col)])
        ends = _edges(flat) + np.array([box[row].start, box[col].start])
        whole = np.full((len(ends), len(spatial)), float(plane.index))
        whole[:, spatial.index(row)], whole[:, spatial.index(col)] = ends.T
        made.append(whole)
    found = np.concatenate(made) if made else np.zeros((0, len(spatial)))
    return np.insert(found, 0, t, axis=1) if document.timed else found


def _edges(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Ends of the pixel edges that part what is in a mask from what is not."""
    padded = np.pad(mask, 1)
    rows, cols = np.nonzero(padded[1:] != padded[:-1])
    level = np.stack([rows - 0.5, cols - 1.5, rows - 0.5, cols - 0.5], axis=1)
    rows, cols = np.nonzero(padded[:, 1:] != padded[:, :-1])
    upright = np.stack([rows - 1.5, cols - 0.5, rows - 0.5, cols - 0.5], axis=1)
    return np.concatenate([level, upright]).reshape(-1, 2)


def _frame(box: dict[str, slice], spatial: str) -> NDArray[np.float64]:
    """Ends of the edges of a box."""
    low = np.array([box[axis].start - 0.5 for axis in spatial])
    high = np.array([box[axis].stop - 0.5 for axis in spatial])
    ends = []
    for corner in product((0, 1), repeat=len(spatial)):
        for axis, side in enumerate(corner):
            if not side:
                other = [1 if k == axis else value for k, value in enumerate(corner)]
                ends += [np.where(corner, high, low), np.where(other, high, low)]
    return np.array(ends)
