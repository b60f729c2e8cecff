"""A prompt on a plane, told to one of its tiles."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.prompts.prompt import Prompt
from napari_cellseg.prompts.tile_region import Place
from napari_cellseg.prompts.tile_sampling import Sampling
from napari_cellseg.prompts.tiles import Bounds


def extent(prompt: Prompt) -> Bounds | None:
    """Return the bounding box of the positive points, the box and the drawn mask of a prompt.

    None if there is none of them: the prompt is the logits of an earlier answer.
    """
    boxes = [(*point, *point) for point in prompt.points[prompt.labels == 1]]
    boxes += [one for one in (prompt.box, drawn(prompt)) if one is not None]
    if not boxes:
        return None
    corners = np.array(boxes, np.float64)
    row0, col0 = corners[:, :2].min(axis=0).tolist()
    row1, col1 = corners[:, 2:].max(axis=0).tolist()
    return row0, col0, row1, col1


def drawn(prompt: Prompt) -> Bounds | None:
    """Return the bounding box of a prompt's bool mask, if it has one."""
    mask = prompt.mask
    if mask is None or mask.dtype != bool:
        return None
    rows = np.flatnonzero(mask.any(axis=1))
    cols = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return float(rows[0]), float(cols[0]), float(rows[-1]), float(cols[-1])


def told(prompt: Prompt, place: Place, sampling: Sampling, logits: bool = False) -> Prompt | None:
    """Return the part of a prompt that a tile sees, in the model's pixels of that tile.

    Parameters
    ----------
    prompt : Prompt
        On the plane.
    place : tuple of slice
        Rows and columns of the tile.
    sampling : Sampling
    logits : bool
        Whether the prompt's logits, if it has any, are this tile's.

    Returns
    -------
    Prompt or None
        None if nothing in the tile says where the object is.
    """
    low = np.array([part.start for part in place]) - 0.5
    high = np.array([part.stop for part in place]) - 0.5
    inside = ((prompt.points >= low) & (prompt.points <= high)).all(axis=1)
    labels = prompt.labels[inside]
    box = _box(prompt.box, low, high)
    mask = _mask(prompt.mask, place, sampling, logits)
    if box is None and mask is None and not labels.any():
        return None
    corner = low + 0.5
    points = sampling.places(prompt.points[inside] - corner)
    if box is not None:
        box = _edges(box - corner, sampling)
    return Prompt(points, labels, box, mask)


def _box(
    box: Bounds | None, low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    if box is None:
        return None
    corners = np.array(box).reshape(2, 2)
    cut = np.stack([np.maximum(corners[0], low), np.minimum(corners[1], high)])
    return cut if (cut[0] < cut[1]).all() else None


def _edges(box: NDArray[np.float64], sampling: Sampling) -> NDArray[np.float64]:
    """A box is an outline in space: its edges move as points do."""
    return sampling.places(box).ravel()


def _mask(
    mask: NDArray[Any] | None, place: Place, sampling: Sampling, logits: bool
) -> NDArray[Any] | None:
    if mask is None or mask.dtype != bool:
        return mask if logits else None
    part = mask[place]
    return sampling.mask(part) if part.any() else None
