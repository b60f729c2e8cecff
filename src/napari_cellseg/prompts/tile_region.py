"""Masks that are kept within their bounding boxes: cut out, moved, united."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.prompts.answer import Region

Place = tuple[slice, slice]

NOWHERE: Region = ((slice(0, 0), slice(0, 0)), np.zeros((0, 0), np.bool_))


def shifted(region: Region, row: int, col: int) -> Region:
    """Return a region of a tile that begins at (row, col), in the plane."""
    (rows, cols), mask = region
    if not mask.size:
        return NOWHERE
    return (_moved(rows, row), _moved(cols, col)), mask


def common(one: Place, other: Place) -> Place:
    """Return the rows and columns that two places share; may be empty."""
    rows, cols = (
        slice(low := max(a.start, b.start), max(low, min(a.stop, b.stop)))
        for a, b in zip(one, other, strict=True)
    )
    return rows, cols


def cut(region: Region, place: Place) -> NDArray[np.bool_]:
    """Return a mask's pixels in a place, bool (rows, cols) of the place."""
    box, mask = region
    pixels = np.zeros((place[0].stop - place[0].start, place[1].stop - place[1].start), np.bool_)
    shared = common(box, place)
    pixels[_within(shared, place)] = mask[_within(shared, box)]
    return pixels


def united(one: Region, other: Region) -> Region:
    """Return what lies in either of two regions."""
    if not one[1].size or not other[1].size:
        return one if one[1].size else other
    rows, cols = (
        slice(min(a.start, b.start), max(a.stop, b.stop))
        for a, b in zip(one[0], other[0], strict=True)
    )
    mask = np.zeros((rows.stop - rows.start, cols.stop - cols.start), np.bool_)
    for box, pixels in (one, other):
        mask[_within(box, (rows, cols))] |= pixels
    return (rows, cols), mask


def tight(region: Region) -> Region:
    """Return a region cut to the bounding box of its pixels."""
    (rows, cols), mask = region
    filled = np.flatnonzero(mask.any(axis=1))
    if not len(filled):
        return NOWHERE
    across = np.flatnonzero(mask.any(axis=0))
    tall, wide = (slice(int(f[0]), int(f[-1]) + 1) for f in (filled, across))
    return (_moved(tall, rows.start), _moved(wide, cols.start)), mask[tall, wide]


def _moved(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


def _within(place: Place, frame: Place) -> Place:
    return _moved(place[0], -frame[0].start), _moved(place[1], -frame[1].start)
