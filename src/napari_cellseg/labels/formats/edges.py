"""Outlines along the edges of pixels, and the pixels inside an outline, by ImageJ's rule.

An outline through pixel centres loses half a pixel all around when it is filled. One along pixel
edges, as ImageJ's wand draws it, gives the same pixels back: pixel (0, 0) lies between the
corners (0, 0) and (1, 1), and belongs to the inside if its centre does (``PolygonFiller`` and
``Wand`` in the ImageJ sources, https://github.com/imagej/ImageJ).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._jit import kernel

Region = tuple[slice, slice]


def trace(mask: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Closed outlines along the pixel edges of a mask.

    Parameters
    ----------
    mask : ndarray of bool
        (y, x).

    Returns
    -------
    list of ndarray of int
        Each (n, 2): corners (y, x) in order, of outer outlines clockwise on the screen and of
        holes the other way round; the first corner is not repeated. Pixels that meet at a corner
        only are separate outlines.
    """
    padded = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.bool_)
    padded[1:-1, 1:-1] = mask
    corners, ends = _trace(padded)
    return [corners[a:b] for a, b in pairwise([0, *ends.tolist()])]


def fill(
    loops: Sequence[NDArray[np.floating[Any]] | NDArray[np.integer[Any]]], shape: tuple[int, int]
) -> tuple[Region, NDArray[np.bool_]]:
    """Pixels inside closed outlines.

    Parameters
    ----------
    loops : sequence of ndarray
        Each (n, 2): corners (y, x). A pixel in an even number of them is outside, so holes and
        separate parts may be given together.
    shape : tuple of int
        Of the plane; what lies outside it is cut off.

    Returns
    -------
    region : tuple of slice
        Box in the plane.
    inside : ndarray of bool
        Of the box's shape.
    """
    closed = [np.asarray(loop, np.float64) for loop in loops if len(loop) > 2]
    empty = (slice(0, 0), slice(0, 0)), np.zeros((0, 0), bool)
    if not closed:
        return empty
    corners = np.concatenate(closed)
    (top, left), (bottom, right) = corners.min(0), corners.max(0)
    row0, row1 = max(0, math.floor(top)), min(shape[0], math.ceil(bottom))
    col0, col1 = max(0, math.floor(left)), min(shape[1], math.ceil(right))
    if row0 >= row1 or col0 >= col1:
        return empty
    crossed = np.zeros((row1 - row0, col1 - col0 + 1), np.bool_)
    for loop in closed:
        _cross(loop, row0, col0, crossed)
    inside = np.logical_xor.accumulate(crossed, axis=1)[:, :-1]
    return (slice(row0, row1), slice(col0, col1)), inside


@kernel
def _trace(  # pragma: no cover - compiled
    mask: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows, cols = mask.shape
    # pixels with nothing above: each begins one edge that is walked to the right
    top = np.zeros((rows, cols), np.bool_)
    count = 0
    for y in range(1, rows):
        for x in range(1, cols):
            if mask[y, x] and not mask[y - 1, x]:
                top[y, x] = True
                count += 1
    corners = np.empty((4 * count, 2), np.int64)
    ends = np.empty(count, np.int64)
    size = 0
    loops = 0
    step_y = np.array([0, 1, 0, -1])  # right, down, left, up
    step_x = np.array([1, 0, -1, 0])
    for y0 in range(1, rows):
        for x0 in range(1, cols):
            if not top[y0, x0]:
                continue
            # the corner (y, x) is the upper left one of pixel (y, x)
            y, x, heading = y0, x0, 0
            start = size
            while True:
                if heading == 0:
                    if not top[y, x]:
                        break
                    top[y, x] = False
                y += step_y[heading]
                x += step_x[heading]
                # pixels ahead, on the side of the inside (right) and on the other one
                if heading == 0:
                    near, far = mask[y, x], mask[y - 1, x]
                elif heading == 1:
                    near, far = mask[y, x - 1], mask[y, x]
                elif heading == 2:
                    near, far = mask[y - 1, x - 1], mask[y, x - 1]
                else:
                    near, far = mask[y - 1, x], mask[y - 1, x - 1]
                if not near:
                    heading = (heading + 1) % 4
                elif far:
                    heading = (heading + 3) % 4
                else:
                    continue
                corners[size, 0] = y - 1  # without the padding
                corners[size, 1] = x - 1
                size += 1
            # the walk ends where it began; that corner was the last one to be noted
            if size > start:
                ends[loops] = size
                loops += 1
    return corners[:size], ends[:loops]


@kernel
def _cross(  # pragma: no cover - compiled
    loop: NDArray[np.float64], row0: int, col0: int, crossed: NDArray[np.bool_]
) -> None:
    rows, cols = crossed.shape
    count = len(loop)
    for k in range(count):
        after = k + 1 if k + 1 < count else 0
        y1, x1 = loop[k, 0], loop[k, 1]
        y2, x2 = loop[after, 0], loop[after, 1]
        if y1 > y2:
            y1, x1, y2, x2 = y2, x2, y1, x1
        first = max(int(np.ceil(y1 - 0.5)), row0)
        stop = min(int(np.ceil(y2 - 0.5)), row0 + rows)
        for row in range(first, stop):
            # a centre that lies on an edge belongs to what is on its left, as in ImageJ
            x = x1 + (row + 0.5 - y1) * (x2 - x1) / (y2 - y1)
            col = int(min(max(np.floor(x + 0.5 + 1e-8) - col0, 0.0), float(cols - 1)))
            crossed[row - row0, col] = not crossed[row - row0, col]
