"""A mask kept within a box of its plane: cut to size, compared, spread over the plane again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.prompts.answer import Region

#: An empty mask.
NOWHERE: Region = ((slice(0, 0), slice(0, 0)), np.zeros((0, 0), np.bool_))


def tight(region: Region) -> Region:
    """Cut a mask down to the bounding box of its pixels; `NOWHERE` if it has none."""
    (rows, cols), mask = region
    filled_rows = np.flatnonzero(mask.any(axis=1))
    if not len(filled_rows):
        return NOWHERE
    filled_cols = np.flatnonzero(mask.any(axis=0))
    top, bottom = int(filled_rows[0]), int(filled_rows[-1]) + 1
    left, right = int(filled_cols[0]), int(filled_cols[-1]) + 1
    place = (
        slice(rows.start + top, rows.start + bottom),
        slice(cols.start + left, cols.start + right),
    )
    return place, mask[top:bottom, left:right]


def within(mask: NDArray[np.bool_]) -> Region:
    """Return a mask over a whole plane as its bounding box and the pixels there."""
    rows, cols = mask.shape
    return tight(((slice(0, rows), slice(0, cols)), mask))


def whole(region: Region, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Spread a mask in its box over the plane, bool of the plane's shape."""
    place, mask = region
    plane = np.zeros(shape, np.bool_)
    plane[place] = mask
    return plane


def seen_in(region: Region, place: tuple[slice, slice]) -> NDArray[np.bool_]:
    """Return the mask's pixels in another box of the plane, bool of that box's shape."""
    (rows, cols), mask = region
    out = np.zeros((place[0].stop - place[0].start, place[1].stop - place[1].start), np.bool_)
    top, bottom = max(rows.start, place[0].start), min(rows.stop, place[0].stop)
    left, right = max(cols.start, place[1].start), min(cols.stop, place[1].stop)
    if top < bottom and left < right:
        out[
            top - place[0].start : bottom - place[0].start,
            left - place[1].start : right - place[1].start,
        ] = mask[top - rows.start : bottom - rows.start, left - cols.start : right - cols.start]
    return out
