"""Clicks on the rim of a cell: they bend the threshold near them instead of parting the cell.

A click beside the rim says that the threshold was wrong there. It becomes the logit of the click
at the click, and falls back to what it was with a Gaussian of the physical distance.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows.basin_index import BasinIndex
from napari_cellseg.flows.basin_local import SAME_END, Part, surroundings

if TYPE_CHECKING:
    from napari_cellseg.flows.field import FlowField

_WIDTH = 0.35  # standard deviation of the bend, in diameters of the cell
_LEAST = 0.15  # of the way from the threshold to the top that a click moves it, at least
_HIGH = 0.5  # of the way from the threshold up to the top: a click below it is on the rim,
_DEEP = 0.5  # and so is one that lies no deeper than this share of the greatest depth


def ends_together(index: BasinIndex, at: int, others: NDArray[np.int64], diameter: float) -> bool:
    """Whether covered voxel `at` ends where one of the `others` does, in a cell so large (µm)."""
    if not others.size:
        return False
    apart = index.ends(others) - index.ends(np.array([at]))
    return bool(((apart**2).sum(1) <= (SAME_END * diameter) ** 2).any())


def grown(
    field: "FlowField",
    index: BasinIndex,
    voxel: NDArray[np.int64],
    level: float,
    diameter: float,
) -> Part:
    """Voxels around a positive click below `level` that belong to its cell too.

    The cell has about the `diameter`, µm. They end where the click ends, and are connected to it
    above the bent threshold.
    """
    from scipy import ndimage

    at = index.find(voxel)
    steps = np.array(index.integration.spacing)
    reach = np.maximum(1, np.ceil(3 * _WIDTH * diameter / steps)).astype(np.int64)
    around = surroundings(field, index, voxel, at, reach, diameter)
    mine = float(around.logits[around.here])
    limit = level + _nearness(around.box, voxel, index, diameter) * min(0.0, mine - 1e-3 - level)
    pieces, _ = ndimage.label(around.joins & (around.logits > limit), np.ones((3, 3, 3)))
    mask = np.asarray(pieces == pieces[around.here])
    return Part(around.box, mask, min(level, mine))


def trimmed(
    field: "FlowField", index: BasinIndex, part: Part, voxel: NDArray[np.int64]
) -> NDArray[np.bool_] | None:
    """Mask of `part` without the rim around a negative click; None if that is not on the rim."""
    where = tuple(slice(a, b) for a, b in zip(part.box[:3], part.box[3:], strict=True))
    logits = field.logits.reshape(index.integration.shape)[where].astype(np.float32)
    here = tuple(voxel - part.box[:3])
    mine = float(logits[here])
    top = float(np.percentile(logits[part.mask], 95.0))
    if mine > part.level + _HIGH * (top - part.level):
        depth = depths(part.mask, index)
        if depth[here] > _DEEP * depth.max():
            return None
    lift = max(0.0, mine - part.level) + _LEAST * (top - part.level)
    diameter = index.diameter_of(float(np.count_nonzero(part.mask)))
    limit = part.level + _nearness(part.box, voxel, index, diameter) * lift
    limit[here] = np.inf
    return part.mask & (logits > limit)


def depths(mask: NDArray[np.bool_], index: BasinIndex) -> NDArray[np.float64]:
    """Distance of each voxel of a mask from its border, in µm."""
    from scipy import ndimage

    pad = [(0, 0) if index.integration.planar else (1, 1), (1, 1), (1, 1)]
    deep = ndimage.distance_transform_edt(np.pad(mask, pad), sampling=index.integration.spacing)
    inner = tuple(slice(low, -high or None) for low, high in pad)
    return np.asarray(deep[inner], np.float64)


def _nearness(
    box: NDArray[np.int64], voxel: NDArray[np.int64], index: BasinIndex, diameter: float
) -> NDArray[np.float64]:
    """1 at the voxel, falling with the distance, for each voxel of a box."""
    steps = index.integration.spacing
    width = _WIDTH * diameter
    square = np.zeros((1, 1, 1))
    for axis in range(3):
        offset = (np.arange(box[axis], box[axis + 3]) - voxel[axis]) * steps[axis] / width
        square = square + (offset**2).reshape([-1 if k == axis else 1 for k in range(3)])
    return np.asarray(np.exp(-square / 2))
