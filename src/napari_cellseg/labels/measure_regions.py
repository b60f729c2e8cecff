"""How many objects lie in drawn regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Regions = Mapping[str, Any]
"""By name: the corners (y, x) of a polygon, in voxels with centres at whole numbers, which holds
all planes; or a bool mask (y, x) or (z, y, x)."""


def count_in_regions(
    objects: pd.DataFrame | NDArray[np.uint32],
    regions: Regions,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    axes: str | None = None,
    shape: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Count the objects whose centroid lies in each region.

    Parameters
    ----------
    objects : pandas.DataFrame or ndarray of uint32
        A table with ``centroid_y``, ``centroid_x`` (and ``centroid_z``), indexed by ``t`` and
        ``id``, or labels.
    regions : mapping of str to polygon or mask
        A polygon is an (n, 2) array of corners (y, x), in voxels with centres at whole numbers; it
        holds the objects of all planes. A mask is bool, (y, x) or (z, y, x). Regions may overlap.
    spacing : sequence of float
        (z, y, x): length of a voxel in the unit of the table's centroids; 1 where these are in
        voxels. The area is in its square.
    axes : str, optional
        Of labels; by default yx, zyx or tzyx.
    shape : sequence of int, optional
        (z, y, x) or (y, x) of the image, against which masks are checked; that of the labels where
        these are given.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``t`` and ``region``, in the order given: ``objects``; ``area`` of the region in
        the plane (of a mask with z, of its largest plane); ``per_area``, objects / area.

    Raises
    ------
    InputError
        A region is neither polygon nor mask, or a mask has another shape than the image.
    """
    import pandas as pd

    if not regions:
        raise InputError("There are no regions to count in: draw one first.")
    scale = np.asarray(spacing, np.float64)[-3:]
    scale = np.concatenate([np.ones(3 - len(scale)), scale])
    frames: list[tuple[int, NDArray[np.float64]]]
    extent: tuple[int, ...] | None = tuple(shape) if shape is not None else None
    if isinstance(objects, np.ndarray):
        from napari_cellseg.labels.measure import centroids

        frames = [(t, found) for t, (_, found) in enumerate(centroids(objects, axes))]
        has_time = "t" in (axes or "") or (axes is None and objects.ndim == 4)
        extent = objects.shape[1:] if has_time else objects.shape
    else:
        frames = _of_table(objects, scale)
    planar = extent is not None and len(extent) == 2
    rows = []
    for t, points in frames:
        for name, region in regions.items():
            inside = _holds(name, region, points, extent, planar)
            area = _area(region) * scale[1] * scale[2]
            count = int(np.count_nonzero(inside))
            rows.append((t, str(name), count, area, count / area if area else np.nan))
    table = pd.DataFrame(rows, columns=["t", "region", "objects", "area", "per_area"])
    return table.set_index(["t", "region"])


def region_of(
    points: NDArray[np.float64], regions: Regions, shape: tuple[int, ...], planar: bool
) -> list[str]:
    """Name of the first region that holds each point (z, y, x) in voxels; "" where none does."""
    names = np.full(len(points), "", object)
    for name, region in reversed(list(regions.items())):
        names[_holds(name, region, points, shape[-2:] if planar else shape, planar)] = str(name)
    return [str(name) for name in names]


def _of_table(
    table: pd.DataFrame, scale: NDArray[np.float64]
) -> list[tuple[int, NDArray[np.float64]]]:
    missing = {"centroid_y", "centroid_x"} - set(table.columns)
    if missing:
        raise InputError(f"The table has no column {sorted(missing)[0]}: pass one of objects.")
    columns = [
        table[f"centroid_{axis}"].to_numpy(np.float64)
        if f"centroid_{axis}" in table
        else np.zeros(len(table))
        for axis in "zyx"
    ]
    points = np.stack(columns, 1) / scale
    if "t" not in table.index.names:
        return [(0, points)]
    times = table.index.get_level_values("t").to_numpy()
    return [(int(t), points[times == t]) for t in np.unique(times)] or [(0, points)]


def _holds(
    name: str,
    region: Any,
    points: NDArray[np.float64],
    shape: tuple[int, ...] | None,
    planar: bool,
) -> NDArray[np.bool_]:
    array = np.asarray(region)
    if array.dtype == np.bool_:
        fits = shape is None or array.shape in (tuple(shape), tuple(shape)[-2:])
        if array.ndim not in (2, 3) or not fits:
            raise InputError(
                f"The mask of region {name!r} has shape {array.shape} and the image "
                f"{shape}: they are not of the same image."
            )
        nearest = np.rint(points[:, -array.ndim :]).astype(np.int64)
        within = ((nearest >= 0) & (nearest < array.shape)).all(1)
        inside = np.zeros(len(points), np.bool_)
        inside[within] = array[tuple(nearest[within].T)]
        return inside
    return _in_polygon(_corners(name, array), points[:, 1:])


def _corners(name: str, array: NDArray[Any]) -> NDArray[np.float64]:
    usable = array.dtype.kind in "iuf" and array.ndim == 2 and array.shape[1] == 2
    if not usable or len(array) < 3 or not np.isfinite(array).all():
        raise InputError(
            f"Region {name!r} is neither a polygon of three or more corners (y, x) nor a bool mask."
        )
    return array.astype(np.float64)


def _in_polygon(corners: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Points (y, x) with an odd number of sides on their left."""
    inside = np.zeros(len(points), np.bool_)
    y, x = points.T
    for (y1, x1), (y2, x2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y1 != y2:
            spans = (y1 <= y) != (y2 <= y)
            inside ^= spans & (x1 + (y - y1) * (x2 - x1) / (y2 - y1) <= x)
    return inside


def _area(region: Any) -> float:
    array = np.asarray(region)
    if array.dtype == np.bool_:
        return float(array.reshape(-1, *array.shape[-2:]).sum((1, 2)).max())
    y, x = array.astype(np.float64).T
    return float(abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2)
