"""One selection of ImageJ: the pixels inside it, and the selection around a mask."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.labels.formats.edges import Region, fill, trace

if TYPE_CHECKING:
    from roifile import ImagejRoi

MOST = 32_767
"""Largest coordinate that the 16 bits of a ROI hold whatever the reader's rule for wrapping."""
_MOST_CORNERS = 60_000
_PARTS_OF_CURVE = 16
_OPERANDS = {0: 2, 1: 2, 2: 4, 3: 6, 4: 0}  # of java.awt.geom.PathIterator

Loops = list[NDArray[np.float64]]


def pixels_of(roi: ImagejRoi, shape: tuple[int, int]) -> tuple[Region, NDArray[np.bool_]] | None:
    """Pixels that ImageJ takes as inside a selection.

    Parameters
    ----------
    roi : ImagejRoi
    shape : tuple of int
        Of the plane; what lies outside it is cut off.

    Returns
    -------
    tuple or None
        Box in the plane and mask of the box's shape; None of a selection without area (line,
        point, angle, text).

    Raises
    ------
    ValueError
        A coordinate is no number, or a path is none.
    """
    from roifile import ROI_SUBTYPE, ROI_TYPE

    if roi.subtype in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.ARROW, ROI_SUBTYPE.IMAGE):
        return None
    if roi.composite:
        if roi.multi_coordinates is None:
            return None
        return fill(_checked(path_loops(roi.multi_coordinates)), shape)
    if roi.roitype in (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED):
        if roi.subpixel_coordinates is not None and roi.subpixelresolution:
            corners = roi.subpixel_coordinates
        elif roi.integer_coordinates is not None:
            corners = roi.integer_coordinates + np.array([roi.left, roi.top])
        else:
            return None
        return fill(_checked([np.asarray(corners, np.float64)[:, ::-1]]), shape)
    if roi.roitype in (ROI_TYPE.RECT, ROI_TYPE.OVAL):
        if roi.subpixelrect and roi.widthd > 0 and roi.heightd > 0:
            x, y, width, height = roi.xd, roi.yd, roi.widthd, roi.heightd
        else:
            x, y = float(roi.left), float(roi.top)
            width, height = float(roi.right - roi.left), float(roi.bottom - roi.top)
        box = np.array([[y, x], [y, x + width], [y + height, x + width], [y + height, x]])
        region, inside = fill(_checked([box]), shape)
        if roi.roitype == ROI_TYPE.OVAL:
            inside &= _rounded(region, (y, x), (height, width), height / 2, width / 2)
        elif roi.rounded_rect_arc_size > 0:
            arc = roi.rounded_rect_arc_size / 2
            radii = min(arc, height / 2), min(arc, width / 2)
            inside &= _rounded(region, (y, x), (height, width), *radii)
        return region, inside
    return None


def _checked(loops: Loops) -> Loops:
    if not all(np.isfinite(loop).all() and np.abs(loop).max(initial=0) < 1e7 for loop in loops):
        raise ValueError("a coordinate is no number")
    return loops


def _rounded(
    region: Region,
    corner: tuple[float, float],
    size: tuple[float, float],
    radius_y: float,
    radius_x: float,
) -> NDArray[np.bool_]:
    """Pixels whose centre is inside a rectangle with elliptic corners (an oval has no sides)."""
    beyond = []
    for part, start, length, radius in zip(region, corner, size, (radius_y, radius_x), strict=True):
        centre = np.arange(part.start, part.stop) + 0.5 - start
        over = np.maximum(np.maximum(radius - centre, centre - (length - radius)), 0)
        beyond.append((over / radius) ** 2)
    return np.asarray(beyond[0][:, None] + beyond[1] <= 1)


def path_loops(path: NDArray[np.floating[Any]]) -> Loops:
    """Closed outlines (y, x) of a composite selection; curves become short lines.

    Parameters
    ----------
    path : ndarray of float
        Operations of ``java.awt.geom.PathIterator``: 0 move, 1 line, 2 and 3 Bézier curves of
        degree 2 and 3, 4 close; each followed by its points (x, y).

    Raises
    ------
    ValueError
        It is none.
    """
    loops: list[list[tuple[float, float]]] = []
    values = path.tolist()
    k = 0
    while k < len(values):
        operation = values[k]
        if operation not in _OPERANDS or (operation != 0 and not loops):
            raise ValueError("no path")
        count = _OPERANDS[int(operation)]
        flat = values[k + 1 : k + 1 + count]
        if len(flat) != count:
            raise ValueError("a path that is cut off")
        points = list(zip(flat[1::2], flat[::2], strict=True))
        k += 1 + count
        if operation == 0:
            loops.append(points)
        elif operation == 4:
            loops.append(loops[-1][:1])  # a path may go on from where it was closed
        elif operation == 1:
            loops[-1] += points
        else:
            loops[-1] += _curve([loops[-1][-1], *points])
    return [np.array(loop, np.float64) for loop in loops if len(loop) > 2]


def _curve(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points along a Bézier curve, without its first (de Casteljau)."""
    along = np.linspace(0, 1, _PARTS_OF_CURVE + 1)[1:, None]
    level = [np.broadcast_to(np.array(point), (_PARTS_OF_CURVE, 2)) for point in points]
    while len(level) > 1:
        level = [a + along * (b - a) for a, b in pairwise(level)]
    return [(float(y), float(x)) for y, x in level[0]]


def roi_of(
    mask: NDArray[np.bool_], corner: tuple[int, int], name: str, z: int = 0, t: int = 0
) -> ImagejRoi:
    """Selection around a mask, along the edges of its pixels.

    Parameters
    ----------
    mask : ndarray of bool
        (y, x), with at least one pixel.
    corner : tuple of int
        Where its first pixel lies in the plane.
    name : str
    z, t : int
        Position counted from 1; 0 for none.

    Returns
    -------
    ImagejRoi
        Traced; composite where there are holes or several parts.
    """
    from roifile import ROI_TYPE, ImagejRoi

    loops = [loop + np.array(corner) for loop in trace(mask)]
    everything = np.concatenate(loops)
    top, left = (int(n) for n in everything.min(0))
    bottom, right = (int(n) for n in everything.max(0))
    roi = ImagejRoi(
        name=name, version=228, top=top, left=left, bottom=bottom, right=right, z_position=z,
        t_position=t,
    )  # fmt: skip
    if len(loops) == 1 and len(loops[0]) <= _MOST_CORNERS:
        roi.roitype = ROI_TYPE.TRACED
        roi.integer_coordinates = (loops[0] - [top, left])[:, ::-1].astype(np.int32)
        roi.n_coordinates = len(loops[0])
        return roi
    path: list[float] = []
    for loop in loops:
        for k, (y, x) in enumerate(loop.tolist()):
            path += [1.0 if k else 0.0, float(x), float(y)]
        path.append(4.0)
    roi.roitype = ROI_TYPE.RECT
    roi.multi_coordinates = np.array(path, np.float32)
    roi.shape_roi_size = len(path)
    return roi
