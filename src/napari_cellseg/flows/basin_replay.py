"""Several points of one object: each corrects what the others gave.

Points are not equal. The first says where the object is; each other one was put where a result was
wrong, and people put it in the middle of what is wrong. So a point speaks for a ball around it that
reaches to the present border: that much is added, or taken away, at least. The rest of what a
correction means is decided by the field: neighbouring basins, the threshold, or a watershed.

The points are replayed: positive ones in their order, negative ones when they are the most wrong.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows.basin_index import BasinIndex
from napari_cellseg.flows.basin_local import Part, local_basin
from napari_cellseg.flows.basin_rim import ends_together, grown, trimmed
from napari_cellseg.flows.basin_split import split

if TYPE_CHECKING:
    from napari_cellseg.flows.field import FlowField

_MOST = 32  # points that are replayed; the others only claim their voxel

_BALL = 0.5  # diameters of the object that a point speaks for at most
_FAIR = 0.75  # of the way to the nearest opposite point that a ball may reach
_BEYOND = 2.0  # as far away as the object: so far a point takes of another cell or basin
_INNER = 0.5  # radii of a neighbouring cell: a point as deep in it, or as far away, takes it whole
_SHALLOW = 0.25  # radii of the object: a negative point no deeper than this is on its rim


@dataclass(eq=False)
class _Canvas:
    """An object while its points are replayed, in a box; all lengths are in µm."""

    field: "FlowField"
    index: BasinIndex
    box: NDArray[np.int64]
    mask: NDArray[np.bool_]
    claims: NDArray[np.int8]  # 1 and -1 where points have spoken; the positive voxels are 2
    level: float
    size: float  # diameter of the object

    @cached_property
    def labels(self) -> NDArray[np.int32]:
        """Instances on the canvas."""
        return self.index.labels(self.index.covered(self.box))

    def within(self, part: Part) -> NDArray[np.bool_]:
        """Mask of a part on the canvas."""
        out = np.zeros(self.mask.shape, np.bool_)
        low = np.maximum(part.box[:3], self.box[:3])
        high = np.maximum(low, np.minimum(part.box[3:], self.box[3:]))
        out[_slices(low, high, self.box)] = part.mask[_slices(low, high, part.box)]
        return out

    def away(self, voxel: NDArray[np.int64]) -> NDArray[np.float64]:
        """Squared distance of each voxel of the canvas from one."""
        square = np.zeros((1, 1, 1))
        for axis in range(3):
            offset = np.arange(self.mask.shape[axis]) - (voxel[axis] - self.box[axis])
            shape = [-1 if k == axis else 1 for k in range(3)]
            square = square + ((offset * self.index.integration.spacing[axis]) ** 2).reshape(shape)
        return square

    def holds(self, voxel: NDArray[np.int64]) -> bool:
        """Whether a voxel is in the present mask."""
        return bool(self.mask[tuple(voxel - self.box[:3])])

    def wrong(self, voxel: NDArray[np.int64], sign: int) -> float:
        """How far a point lies on the wrong side of the border; 0 if it is on the right one.

        The border of the field counts too: people click in the middle of what they see.
        """
        if self.holds(voxel) == (sign > 0):
            return 0.0
        if sign > 0:
            return self.gap(voxel, self.mask)
        return min(self.edge(voxel), self.gap(voxel, ~self.mask))

    def gap(self, voxel: NDArray[np.int64], there: NDArray[np.bool_]) -> float:
        """Distance from a voxel to the nearest one that is there; infinite for none."""
        near = self.away(voxel)[there]
        return float(np.sqrt(near.min())) if near.size else np.inf

    def edge(self, voxel: NDArray[np.int64]) -> float:
        """Distance from the nearest voxel outside of the canvas."""
        steps = np.array(self.index.integration.spacing)
        gaps = np.minimum(voxel - self.box[:3], self.box[3:] - 1 - voxel) + 1
        return float((gaps * steps)[1 if self.index.integration.planar else 0 :].min())

    def claim(self, ball: NDArray[np.bool_], sign: int) -> None:
        """Note what a point says of a ball around it, where none has spoken yet."""
        self.claims[ball & (self.claims == 0)] = sign

    def part(self) -> None:
        """Part the mask between the claims."""
        if not ((self.claims < 0) & self.mask).any():
            return
        seeds = np.clip(self.claims, -1, 1)
        self.mask = split(self.field, self.index, self.mask, self.box, seeds)
        self.mask = _reached(self.mask, self.claims == 2)


def replayed(
    field: "FlowField",
    index: BasinIndex,
    base: Part | None,
    positive: NDArray[np.int64],
    negative: NDArray[np.int64],
) -> Part:
    """What several points leave of an object, and add to it.

    A positive point outside of the present mask adds its ball, and what lies between the ball and
    the mask; of another instance all, if it lies deep in it or far from the mask, else what is
    near; below the threshold what flows together with it.

    A negative point inside takes its ball away. On the rim it bends the threshold there (see
    :func:`.basin_rim.trimmed`). Deeper inside, the mask is parted between all balls so far (see
    :func:`.basin_split.split`), where the nearest positive point speaks for a ball too: the
    largest one in the mask that leaves the negative one room, and where both would overlap they
    share the way in proportion to their depths, so that clicks on the middles of two united cells
    part them half-way, whichever is the positive one.

    Parameters
    ----------
    field : FlowField
        One frame.
    index : BasinIndex
        Of that frame.
    base : Part or None
        What the first positive point gave, or a box; None for nothing.
    positive, negative : numpy.ndarray, int64, shape (n, 3)
        Voxels ``(z, y, x)``. Every positive one is in the result, and no negative one.
    """
    canvas = _canvas(field, index, base, positive)
    negative = negative[((negative >= canvas.box[:3]) & (negative < canvas.box[3:])).all(1)]
    negative = negative[np.lexsort(negative.T)]
    signs = np.repeat([1, -1], [len(positive), len(negative)])
    points = np.concatenate([positive, negative])
    canvas.claims[tuple((positive - canvas.box[:3]).T)] = 2
    if base is None:
        gaps = [_gap(canvas, positive[0], other) / 2 for other in points[1:]]
        radius = min([_BALL * canvas.size, *gaps])
        canvas.mask |= canvas.away(positive[0]) <= radius**2
    for _ in range(min(_MOST, len(points))):
        pairs = zip(points, signs.tolist(), strict=True)
        wrong = np.array([canvas.wrong(*pair) for pair in pairs])
        if not wrong.any():
            break
        first = np.flatnonzero((signs > 0) & (wrong > 0))[:1]
        considered = np.append(first, np.flatnonzero(signs < 0))
        worst = int(considered[wrong[considered].argmax()])
        if signs[worst] > 0:
            _add(canvas, points[worst], float(wrong[worst]), positive, negative)
        else:
            _take(canvas, points[worst], float(wrong[worst]), positive, negative)
        points, signs = np.delete(points, worst, 0), np.delete(signs, worst)
    canvas.mask |= canvas.claims == 2
    canvas.mask[tuple((negative - canvas.box[:3]).T)] = False
    canvas.mask = _reached(canvas.mask, canvas.claims == 2)
    return Part(canvas.box, canvas.mask, canvas.level)


def _canvas(
    field: "FlowField",
    index: BasinIndex,
    base: Part | None,
    positive: NDArray[np.int64],
) -> _Canvas:
    """Box of all that may be in the result, with `base` painted."""
    shape = np.array(index.integration.shape)
    boxes = [np.concatenate([positive.min(0), positive.max(0) + 1])]
    numbers = {index.instance(voxel) for voxel in positive} - {0}
    boxes += [index.boxes[number].astype(np.int64) for number in sorted(numbers)]
    size = index.diameter
    if base is not None:
        boxes.append(base.box)
        size = index.diameter_of(float(np.count_nonzero(base.mask)))
    reach = np.ceil(_BALL * size / np.array(index.integration.spacing)).astype(np.int64) + 1
    low = np.maximum(np.min([box[:3] for box in boxes], 0) - reach, 0)
    high = np.minimum(np.max([box[3:] for box in boxes], 0) + reach, shape)
    blank = np.zeros(high - low, np.bool_)
    canvas = _Canvas(
        field,
        index,
        np.concatenate([low, high]),
        blank,
        blank.astype(np.int8),
        index.threshold if base is None else base.level,
        size,
    )
    if base is not None:
        canvas.mask = canvas.within(base)
    return canvas


def _add(
    canvas: _Canvas,
    voxel: NDArray[np.int64],
    wrong: float,
    positive: NDArray[np.int64],
    negative: NDArray[np.int64],
) -> None:
    """Correct the mask by a positive point, `wrong` µm outside of it."""
    index = canvas.index
    radius = _reach(canvas, voxel, negative, min(wrong, _BALL * canvas.size))
    away = canvas.away(voxel)
    own = index.instance(voxel)
    labels = canvas.labels
    ball = (away <= radius**2) & ((labels == own) | (labels == 0))
    if own:
        box = index.boxes[own].astype(np.int64)
        cell = canvas.within(Part(box, index.mask(own, box), index.threshold)) & ~canvas.mask
        inner = _INNER * index.diameter_of(float(np.count_nonzero(cell))) / 2
        outside = np.sqrt(away[~cell].min()) if not cell.all() else np.inf
        whole = min(outside, canvas.edge(voxel)) >= inner or wrong >= inner
        if whole:
            ball &= cell
            added = cell
        else:
            added = ball | (cell & (away <= (_BEYOND * wrong) ** 2))
    else:
        added = ball.copy()
        if radius < wrong:
            added |= _way(canvas, voxel, radius) & (labels == 0)
        added |= _flowing(canvas, voxel, positive, wrong)
    canvas.mask |= added
    canvas.claim(ball, 1)
    canvas.part()


def _flowing(
    canvas: _Canvas, voxel: NDArray[np.int64], positive: NDArray[np.int64], wrong: float
) -> NDArray[np.bool_]:
    """What flows together with a voxel below the threshold; of another cell only what is near."""
    index = canvas.index
    at = index.find(voxel)
    inside = [index.find(other) for other in positive if canvas.holds(other)]
    known = np.array([other for other in inside if other >= 0], np.int64)
    if at >= 0 and ends_together(index, at, known, canvas.size):
        return canvas.within(grown(canvas.field, index, voxel, canvas.level, canvas.size))
    found = local_basin(canvas.field, index, voxel)
    if isinstance(found, str):
        return np.zeros_like(canvas.mask)
    return canvas.within(found) & (canvas.away(voxel) <= (_BEYOND * wrong) ** 2)


def _way(canvas: _Canvas, voxel: NDArray[np.int64], width: float) -> NDArray[np.bool_]:
    """Voxels within `width` of the straight way from one to the nearest voxel of the mask."""
    steps = np.array(canvas.index.integration.spacing).reshape(3, 1, 1, 1)
    goal = np.where(canvas.mask, canvas.away(voxel), np.inf)
    end = np.array(np.unravel_index(int(goal.argmin()), goal.shape)) + canvas.box[:3]
    along = (end - voxel).reshape(3, 1, 1, 1) * steps
    places = np.indices(canvas.mask.shape) + (canvas.box[:3] - voxel).reshape(3, 1, 1, 1)
    places = places * steps
    share = np.clip((places * along).sum(0) / max(float((along**2).sum()), 1e-12), 0, 1)
    return np.asarray(((places - share * along) ** 2).sum(0) <= width**2)


def _take(
    canvas: _Canvas,
    voxel: NDArray[np.int64],
    wrong: float,
    positive: NDArray[np.int64],
    negative: NDArray[np.int64],
) -> None:
    """Correct the mask by a negative point, `wrong` µm inside of it."""
    index = canvas.index
    gaps = [_gap(canvas, voxel, other) for other in positive]
    nearest = positive[int(np.argmin(gaps))]
    gap, depth = min(gaps), canvas.gap(nearest, ~canvas.mask)
    depth = min(depth, canvas.size)
    radius = wrong * min(1.0, gap / (wrong + depth))  # two balls that overlap share their way
    canvas.claim((canvas.away(voxel) <= radius**2) & canvas.mask, -1)
    half = index.diameter_of(float(np.count_nonzero(canvas.mask))) / 2
    if wrong <= _SHALLOW * half:
        rim = trimmed(canvas.field, index, Part(canvas.box, canvas.mask, canvas.level), voxel)
        if rim is not None:
            wanted = canvas.claims == 2  # a bent threshold must not lose what was asked for
            rim = (rim & (canvas.claims >= 0)) | (canvas.mask & wanted)
            canvas.mask = _reached(rim, wanted)
            return
    own = _reach(canvas, nearest, negative, min(gap - radius, depth))
    canvas.claim((canvas.away(nearest) <= own**2) & canvas.mask, 1)
    canvas.part()


def _reach(
    canvas: _Canvas, voxel: NDArray[np.int64], others: NDArray[np.int64], radius: float
) -> float:
    """At most `radius`, so that a ball around a voxel leaves room for the opposite points."""
    return min([radius, *(_FAIR * _gap(canvas, voxel, other) for other in others)])


def _gap(canvas: _Canvas, a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    return float(np.sqrt((((a - b) * canvas.index.integration.spacing) ** 2).sum()))


def _reached(mask: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Leave out the pieces that hold nothing wanted."""
    from scipy import ndimage

    pieces, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    kept = np.unique(pieces[wanted & mask])
    return np.asarray(np.isin(pieces, kept[kept > 0]))


def _slices(
    low: NDArray[np.int64], high: NDArray[np.int64], box: NDArray[np.int64]
) -> tuple[slice, ...]:
    ends = zip(low - box[:3], high - box[:3], strict=True)
    return tuple(slice(int(a), int(b)) for a, b in ends)
