"""measure: one row of numbers for each object of a label image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels.measure_intensity import STATISTICS, channels_of, measure_channel
from napari_cellseg.labels.measure_kernels import gather
from napari_cellseg.labels.measure_neighbours import neighbours
from napari_cellseg.labels.measure_regions import Regions, region_of
from napari_cellseg.labels.measure_surface import crofton
from napari_cellseg.volume.axes import DEFAULTS
from napari_cellseg.volume.spacing import check_spacing

if TYPE_CHECKING:
    import pandas as pd

_FAR = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class _Sums:
    """What one pass over the labels of one time point adds up; rows are objects."""

    ids: NDArray[np.uint32]
    counts: NDArray[np.int64]
    sums: NDArray[np.int64]
    squares: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    exits: NDArray[np.int64]


def measure(
    labels: NDArray[np.uint32],
    spacing: Sequence[float] | None = None,
    axes: str | None = None,
    image: Any = None,
    *,
    spacing_known: bool = True,
    gap: float = 0.0,
    regions: Regions | None = None,
) -> pd.DataFrame:
    """Measure every object.

    Parameters
    ----------
    labels : ndarray of uint32
        Shape ``([t,] [z,] y, x)``.
    spacing : sequence of float, optional
        (z, y, x) in µm, or (y, x); None: unknown.
    axes : str, optional
        Of `labels`; by default yx, zyx or tzyx.
    image : Volume, mapping of name to array, or array, optional
        Intensities are measured in it; it is read lazily, around the objects, and NaN is passed
        over.
    spacing_known : bool
        False: `spacing` only tells the proportions of a voxel; lengths are in voxels.
    gap : float
        Objects are neighbours whose voxels are at most this far apart, in µm (in voxels of y where
        the spacing is not known); 0: they touch, if only at a corner.
    regions : mapping of str to polygon or mask, optional
        See `count_in_regions`; adds a column with the name of the first that holds the centroid.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``t`` and ``id``, rising. Columns of 3D labels, 2D in brackets:

        - ``voxels``; ``volume_um3`` [``area_um2``]; ``diameter_um`` of the ball [disc] of that
          size;
        - ``surface_um2`` [``perimeter_um``] by Crofton's formula (see `measure_surface`): within
          3 % on balls with a radius of 5 voxels or more along each axis; the border of the image
          counts as surface;
        - ``sphericity`` [``circularity``]: surface of the ball of that volume / surface
          [4π × area / perimeter²]; at most 1, which objects of few voxels would exceed;
        - ``extent_z``, ``extent_y``, ``extent_x``: sides of the box around it;
        - ``major_axis_um``, [``middle_axis_um``,] ``minor_axis_um``: axes of the ellipsoid with
          the same second moments;
        - ``centroid_…``; ``bbox_z0`` … ``bbox_x1`` in voxels, half open;
        - ``NAME_mean``, ``_sd``, ``_min``, ``_max``, ``_sum`` for each channel (``intensity_…``
          where there is one);
        - ``neighbours``, ``neighbour_ids`` (text, separated by spaces); ``touches_border``;
        - ``region`` where there are any.

        Without a known spacing there is no volume, names lose their unit, and lengths are in voxels
        (``surface``, ``diameter`` and axes in voxels of y).

    Raises
    ------
    InputError
        Labels, spacing, image or regions do not fit.
    """
    import pandas as pd

    frames, size, letters = _prepared(labels, spacing, axes)
    planar = "z" not in letters
    channels = channels_of(image, tuple(labels.shape))
    known = spacing_known and spacing is not None
    scale = np.asarray(size) if known else np.ones(3)
    offsets, factors = crofton(size[1:] if planar else size)
    tables = []
    for t, frame in enumerate(frames):
        sums = _sums(frame, offsets)
        columns = _shape_columns(sums, size, scale, factors, planar, known)
        leading = (t,) if "t" in letters else ()
        for name, channel in channels.items():
            values = measure_channel(frame, sums.ids, channel, leading, planar)
            columns |= {f"{name}_{what}": values[:, k] for k, what in enumerate(STATISTICS)}
        near = neighbours(frame, sums.ids, size, gap)
        columns["neighbours"] = np.array([len(one) for one in near], np.int64)
        columns["neighbour_ids"] = [" ".join(map(str, one.tolist())) for one in near]
        edges = slice(1, None) if planar else slice(None)
        at_border = (sums.low == 0) | (sums.high == np.asarray(frame.shape))
        columns["touches_border"] = at_border[:, edges].any(1)
        if regions is not None:
            middles = sums.sums / np.maximum(sums.counts, 1)[:, None]
            columns["region"] = region_of(middles, regions, frame.shape, planar)
        index = pd.MultiIndex.from_arrays(
            [np.full(len(sums.ids), t, np.int64), sums.ids.astype(np.int64)], names=["t", "id"]
        )
        tables.append(pd.DataFrame(columns, index=index))
    filled = [table for table in tables if len(table)] or tables[:1]
    return pd.concat(filled)


def centroids(
    labels: NDArray[np.uint32], axes: str | None = None
) -> list[tuple[NDArray[np.uint32], NDArray[np.float64]]]:
    """Ids and centroids (z, y, x) in voxels of all objects, for each time point."""
    found = []
    for frame in _prepared(labels, None, axes)[0]:
        sums = _sums(frame, np.zeros((0, 3), np.int64))
        found.append((sums.ids, sums.sums / np.maximum(sums.counts, 1)[:, None]))
    return found


def _prepared(
    labels: NDArray[np.uint32], spacing: Sequence[float] | None, axes: str | None
) -> tuple[list[NDArray[np.uint32]], tuple[float, float, float], str]:
    letters = axes or DEFAULTS.get(labels.ndim, "")
    if letters not in ("yx", "zyx", "tyx", "tzyx") or len(letters) != labels.ndim:
        raise InputError(
            f"Labels of shape {labels.shape} and axes {axes!r} cannot be measured: pass 2D to 4D "
            "labels and axes such as 'zyx'."
        )
    if labels.dtype.kind not in "iu" or (labels.size and int(labels.min()) < 0):
        raise InputError(
            f"Labels of type {labels.dtype} cannot be measured: pass 0 for background and a "
            "positive whole number for each object."
        )
    if labels.size and int(labels.max()) > np.iinfo(np.uint32).max:
        raise InputError(f"Ids up to {labels.max()} need more than 32 bits: renumber the objects.")
    size = check_spacing(spacing, "z" in letters) if spacing is not None else (1.0, 1.0, 1.0)
    if "z" not in letters:
        size = (1.0, size[1], size[2])
    whole = np.ascontiguousarray(labels, np.uint32)
    depth = () if "z" in letters else (1,)
    frames = whole if "t" in letters else whole[None]
    return [frame.reshape(*depth, *frame.shape) for frame in frames], size, letters


def _sums(labels: NDArray[np.uint32], offsets: NDArray[np.int64]) -> _Sums:
    ids = unique_ids(labels)
    n = len(ids)
    sums = _Sums(
        ids=ids,
        counts=np.zeros(n, np.int64),
        sums=np.zeros((n, 3), np.int64),
        squares=np.zeros((n, 6), np.int64),
        low=np.full((n, 3), _FAR, np.int64),
        high=np.zeros((n, 3), np.int64),
        exits=np.zeros((n, len(offsets)), np.int64),
    )
    gather(
        labels, ids, offsets, sums.counts, sums.sums, sums.squares, sums.low, sums.high, sums.exits
    )
    return sums


def unique_ids(labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Ids that occur, rising, without 0; sorts one value for each run along x."""
    flat = labels.reshape(-1)
    if not flat.size:
        return np.zeros(0, np.uint32)
    starts = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ids = np.unique(np.concatenate([flat[:1], flat[starts]]))
    return np.asarray(ids[ids > 0])


def _shape_columns(
    sums: _Sums,
    size: tuple[float, float, float],
    scale: NDArray[np.float64],
    factors: NDArray[np.float64],
    planar: bool,
    known: bool,
) -> dict[str, Any]:
    spatial = (1, 2) if planar else (0, 1, 2)
    letters = [("z", "y", "x")[k] for k in spatial]
    # without a known spacing the unit is a voxel of y
    unit = np.asarray(size) if known else np.asarray(size) / size[1]
    content = sums.counts * math.prod(unit[k] for k in spatial)
    surface = sums.exits @ factors / (1.0 if known else size[1] ** (1 if planar else 2))
    suffix = "_um" if known else ""
    columns: dict[str, Any] = {"voxels": sums.counts}
    if known:
        columns["area_um2" if planar else "volume_um3"] = content
    wide = np.sqrt(4 / np.pi * content) if planar else np.cbrt(6 / np.pi * content)
    columns[f"diameter{suffix}"] = wide
    with np.errstate(divide="ignore", invalid="ignore"):
        if planar:
            columns[f"perimeter{suffix}"] = surface
            columns["circularity"] = np.minimum(4 * np.pi * content / surface**2, 1.0)
        else:
            columns["surface_um2" if known else "surface"] = surface
            columns["sphericity"] = np.minimum(np.pi * wide**2 / surface, 1.0)
    for k, axis in zip(spatial, letters, strict=True):
        columns[f"extent_{axis}"] = (sums.high[:, k] - sums.low[:, k]) * scale[k]
    names = ("major", "minor") if planar else ("major", "middle", "minor")
    lengths = _axes_lengths(sums, unit, spatial)
    for k, name in enumerate(names):
        columns[f"{name}_axis{suffix}"] = lengths[:, k]
    for k, axis in zip(spatial, letters, strict=True):
        columns[f"centroid_{axis}"] = sums.sums[:, k] / sums.counts * scale[k]
    for k, axis in zip(spatial, letters, strict=True):
        columns[f"bbox_{axis}0"], columns[f"bbox_{axis}1"] = sums.low[:, k], sums.high[:, k]
    return columns


def _axes_lengths(
    sums: _Sums, unit: NDArray[np.float64], spatial: tuple[int, ...]
) -> NDArray[np.float64]:
    """Axes of the ellipsoid (ellipse) with the same second moments, the longest first."""
    n = sums.counts[:, None].astype(np.float64)
    mean = sums.sums / n
    second = sums.squares / n
    matrix = np.empty((len(n), 3, 3))
    for k, (i, j) in enumerate([(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]):
        value = (second[:, k] - mean[:, i] * mean[:, j]) * unit[i] * unit[j]
        if i == j:  # a voxel is a box, no point
            value = value + unit[i] ** 2 / 12
        matrix[:, i, j] = matrix[:, j, i] = value
    part = matrix[:, spatial[0] :, spatial[0] :]
    variances = np.linalg.eigvalsh(part)[:, ::-1] if len(n) else np.zeros((0, len(spatial)))
    factor = 4.0 if len(spatial) == 2 else math.sqrt(20.0)
    return np.asarray(factor * np.sqrt(np.maximum(variances, 0)))
