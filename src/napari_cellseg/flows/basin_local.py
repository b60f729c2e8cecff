"""Cells that the threshold missed: a threshold of its own for one click.

A network that is unsure of a cell leaves it below the threshold, although its flow still runs
together there. The threshold is lowered at the click alone, half of the way from the top of the
basin down to the background around it: where the rim of a well seen cell is too.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows.basin_index import MIN_SIZE, BasinIndex

if TYPE_CHECKING:
    from napari_cellseg.flows.field import FlowField

SAME_END = 0.5  # typical diameters: ends so near to each other are one place

_HALF = 0.5  # of the way from the background up to the top of a basin lies its rim
_LEAST = 0.25  # a click below this share of the way is on the background
_STAND = 1.0  # logits from the background to the top, at least
_MIDDLE = 0.15  # typical diameters around its end are the middle of a basin
_BLUR = 0.04  # typical diameters: logits are blurred so much, since they are near the noise here
_AGREED = 0.25  # mean length of the flow in a cell; it is 0.2 in backgrounds, and 0.7 in cells
_CERTAIN = 0.6  # from which the flow alone makes a cell, whatever the logits
_ALMOST = 5.0  # percentile of the logits that is its threshold then
_SPECK = 0.2  # typical diameters: size of a bump in the logits that has no flow of its own
_RADIUS = 1.25  # of the first box around the click, in typical diameters
_TRIES = 3  # the box is doubled where a basin touches its border


@dataclass(frozen=True, eq=False)
class Part:
    """One basin.

    Attributes
    ----------
    box : numpy.ndarray, int64, shape (6,)
        ``(z0, y0, x0, z1, y1, x1)``, the end excluded.
    mask : numpy.ndarray, bool, shape of `box`
        Its voxels.
    level : float
        Logit above which they are.
    """

    box: NDArray[np.int64]
    mask: NDArray[np.bool_]
    level: float

    def holds(self, voxel: NDArray[np.int64]) -> bool:
        """Whether a voxel ``(z, y, x)`` is one of it."""
        inside = ((voxel >= self.box[:3]) & (voxel < self.box[3:])).all()
        return bool(inside) and bool(self.mask[tuple(voxel - self.box[:3])])


@dataclass(frozen=True, eq=False)
class Surroundings:
    """A box of a field around a click.

    Attributes
    ----------
    box : numpy.ndarray, int64, shape (6,)
        ``(z0, y0, x0, z1, y1, x1)``, the end excluded.
    here : tuple of int
        The clicked voxel in it.
    logits : numpy.ndarray, float32, (z, y, x)
        Of the box, blurred.
    labels : numpy.ndarray, int32, (z, y, x)
        Instances in it.
    joins : numpy.ndarray, bool, (z, y, x)
        Voxels that end where the click ends, but none of an instance other than the one there.
    middle : numpy.ndarray, bool, (z, y, x)
        Those of them that lie around that end; all of them if it is outside of the box.
    lengths : numpy.ndarray, float32, (z, y, x)
        Of the flow, 0 to 1; 0 where it is not covered.
    """

    box: NDArray[np.int64]
    here: tuple[int, ...]
    logits: NDArray[np.float32]
    labels: NDArray[np.int32]
    joins: NDArray[np.bool_]
    middle: NDArray[np.bool_]
    lengths: NDArray[np.float32]


def local_basin(field: "FlowField", index: BasinIndex, voxel: NDArray[np.int64]) -> Part | str:
    """Find the cell around a voxel that is in no instance, or say why there is none.

    Rule: the basin is what ends within half a typical diameter of where the click ends, and is of
    no other instance. Its *top* is the median logit around that end, or the click's own if that
    is higher; the *background* is the median logit beside it outside of all instances. The
    threshold is half-way between, or just below the logit of the click if that is lower; what is
    connected to the click above it is the cell, with its holes. If the top is less than 1 above
    the background, the basin must be certain of its flow (mean length 0.6), and the threshold is
    the 5th percentile of its logits.

    Where fewer than 15 voxels stand out, or their mean flow is shorter than 0.25, a click at least
    1 above the background gives a speck instead: what is highest around it in an area of a fifth
    of the typical diameter.

    There is none if the click is not above a quarter of the way, or what stands out is cut off by
    a box of ten typical diameters.

    Parameters
    ----------
    field : FlowField
        One frame.
    index : BasinIndex
        Of that frame.
    voxel : numpy.ndarray, int64, shape (3,)
        ``(z, y, x)``.
    """
    at = index.find(voxel)
    if at < 0:
        return "the cell probability there is below 0.3 %"
    shape = np.array(index.integration.shape)
    steps = np.array(index.integration.spacing)
    reach = np.maximum(2, np.ceil(_RADIUS * index.diameter / steps)).astype(np.int64)
    for _ in range(_TRIES):
        around = surroundings(field, index, voxel, at, reach, index.diameter)
        found = _standing_out(around, index)
        if isinstance(found, str):
            return found
        mask, level = found
        used = np.argwhere(mask)
        inner = np.concatenate([used.min(0), used.max(0) + 1])
        box = inner + np.tile(around.box[:3], 2)
        cut = ((inner[:3] == 0) & (box[:3] > 0)) | ((inner[3:] == mask.shape) & (box[3:] < shape))
        if not cut.any():
            where = tuple(slice(a, b) for a, b in zip(inner[:3], inner[3:], strict=True))
            return Part(box, mask[where], level)
        reach *= 2
    return "what flows together there is far larger than a cell"


def surroundings(
    field: "FlowField",
    index: BasinIndex,
    voxel: NDArray[np.int64],
    at: int,
    reach: NDArray[np.int64],
    diameter: float,
) -> Surroundings:
    """Box of `reach` voxels around covered voxel number `at`, which is `voxel`.

    All lengths are relative to `diameter`, µm.
    """
    from scipy import ndimage

    shape = np.array(index.integration.shape)
    box = np.concatenate([np.maximum(voxel - reach, 0), np.minimum(voxel + reach + 1, shape)])
    part = tuple(slice(a, b) for a, b in zip(box[:3], box[3:], strict=True))
    covered = index.covered(box)
    labels = index.labels(covered)
    known = covered >= 0
    joins = np.zeros(covered.shape, np.bool_)
    end = index.ends(np.array([at]))
    apart = index.ends(covered[known]) - end
    joins[known] = (apart**2).sum(1) <= (SAME_END * diameter) ** 2
    own = index.label[index.integration.terminal[at]]
    joins &= (labels == 0) | (labels == own)
    places = (np.argwhere(joins) + box[:3]) * index.integration.spacing
    middle = np.zeros(covered.shape, np.bool_)
    middle[joins] = ((places - end) ** 2).sum(1) <= (_MIDDLE * diameter) ** 2
    logits = field.logits.reshape(index.integration.shape)[part].astype(np.float32)
    sigma = _BLUR * diameter / np.array(index.integration.spacing)
    if index.integration.planar:
        sigma[0] = 0.0
    return Surroundings(
        box,
        tuple((voxel - box[:3]).tolist()),
        ndimage.gaussian_filter(logits, sigma, truncate=3.0),
        labels,
        joins,
        middle if middle.any() else joins,
        np.where(known, index.integration.lengths[covered] / np.float32(255), np.float32(0)),
    )


def _standing_out(around: Surroundings, index: BasinIndex) -> tuple[NDArray[np.bool_], float] | str:
    """Mask of the basin in the box and its threshold, or why there is none."""
    from scipy import ndimage

    mine = float(around.logits[around.here])
    outside = around.labels == 0
    beside = around.logits[outside & ~around.joins]
    ground = float(np.median(beside)) if beside.size else index.integration.floor
    top = max(mine, float(np.median(around.logits[around.middle])))
    if top - ground >= _STAND:
        if mine <= ground + _LEAST * (top - ground):
            return "this is the background beside a cell"
        level = min(ground + _HALF * (top - ground), mine - 1e-3)
    elif float(around.lengths[around.joins].mean()) >= _CERTAIN:
        level = min(float(np.percentile(around.logits[around.joins], _ALMOST)), mine - 1e-3)
    else:
        return "the cell probability there does not stand out from what is around it"
    pieces, _ = ndimage.label(around.joins & (around.logits > level), np.ones((3, 3, 3)))
    mask = pieces == pieces[around.here]
    if np.count_nonzero(mask) < MIN_SIZE or float(around.lengths[mask].mean()) < _AGREED:
        if mine - ground < _STAND:
            return "the flow there does not run together"
        return _speck(around, index)
    flat = mask[0] if index.integration.planar else mask
    filled = ndimage.binary_fill_holes(flat).reshape(mask.shape)
    return mask | (filled & outside), level


def _speck(around: Surroundings, index: BasinIndex) -> tuple[NDArray[np.bool_], float] | str:
    """What is brightest around the click, in logits, as large as a speck: a bump without a flow."""
    from scipy import ndimage

    steps = index.integration.spacing
    reach = [max(2, round(_SPECK * index.diameter / step)) for step in steps]
    low = [max(0, at - n) for at, n in zip(around.here, reach, strict=True)]
    part = tuple(slice(a, at + n + 1) for a, at, n in zip(low, around.here, reach, strict=True))
    here = tuple(at - a for at, a in zip(around.here, low, strict=True))
    free = around.labels[part] == 0
    logits = around.logits[part].copy()
    logits[here] = ndimage.maximum_filter(logits, 3)[here]  # a click may just miss the top
    size = index.diameter_of(1.0)
    wanted = max(
        MIN_SIZE, (_SPECK * index.diameter / size) ** (2 if index.integration.planar else 3)
    )
    levels = np.unique(logits[free])[::-1]
    first, last = 0, levels.size - 1
    while first < last:
        middle = (first + last) // 2
        pieces, _ = ndimage.label(free & (logits >= levels[middle]), np.ones((3, 3, 3)))
        enough = pieces[here] and np.count_nonzero(pieces == pieces[here]) >= wanted
        first, last = (first, middle) if enough else (middle + 1, last)
    pieces, _ = ndimage.label(free & (logits >= levels[first]), np.ones((3, 3, 3)))
    mask = np.zeros(around.labels.shape, np.bool_)
    mask[part] = pieces == pieces[here]
    if np.count_nonzero(mask) < MIN_SIZE:
        return f"fewer than {MIN_SIZE} voxels stand out there"
    return mask, float(levels[first])
