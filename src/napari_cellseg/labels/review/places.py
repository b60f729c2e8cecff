"""Places where a cell may be missing.

With a flow field: what flows together above a low threshold, or was rejected as a sink, and is
still free. Without: what is as bright as the labelled cells, and free. Where such pieces lie is
found once; how free each is follows the labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cellseg.labels.review.boxes import at_border
from napari_cellseg.labels.review.item import ReviewItem
from napari_cellseg.labels.review.score import MISSING_WORDS, PLACE_NAMES, place_weights
from napari_cellseg.labels.review.shape import deepest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cellseg.labels.review.evidence import Frame
    from napari_cellseg.labels.review.item import Slices

#: Cell probability above which pieces are looked for.
LOW = 0.15
_FREE = 0.5  # share of a piece that must be unlabelled
_FEWEST = 4  # voxels
_SMALL = 0.15  # of the usual cell: smaller pieces are no cells
_MOST_UNUSUAL = 0.3  # of what labelled cells stand out by: pieces below are background


@dataclass(frozen=True, eq=False)
class Place:
    """A piece of the frame that could be a cell.

    Attributes
    ----------
    box : tuple of slice
    mask : array of bool
        In the box.
    sure, pointed, stands_out : float
        Mean cell probability; mean length of the flow; contrast in that of labelled cells.
    """

    box: Slices
    mask: NDArray[np.bool_]
    sure: float
    pointed: float
    stands_out: float

    def free(self, labels: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Its unlabelled voxels, in the box."""
        open_: NDArray[np.bool_] = self.mask & (labels[self.box] == 0)
        return open_


@dataclass(frozen=True)
class Free:
    """What of a place is free now.

    Attributes
    ----------
    voxels : int
    whole : int
        Voxels of the place.
    depth : float
        Largest distance to the outline of what is free, in µm.
    centre : tuple of float
        ``(z, y, x)``, a free voxel near the middle.
    anchor : tuple of int
        ``(z, y, x)``, the first voxel of the place: names it, whatever is free.
    """

    voxels: int
    whole: int
    depth: float
    centre: tuple[float, float, float]
    anchor: tuple[int, int, int]


def field_places(frame: Frame) -> list[Place]:
    """Pieces of the flow field above a low threshold, whether labelled now or not."""
    from scipy import ndimage as ndi

    from napari_cellseg.flows import label_field

    assert frame.field is not None
    pieces = label_field(frame.field, probability=LOW, min_size=4)
    places = []
    for row, box in enumerate(ndi.find_objects(pieces.labels.view(np.int32))):
        mask = pieces.labels[box] == row + 1
        chance = 1 / (1 + np.exp(-float(pieces.logit[row])))
        places.append(Place(box, mask, chance, float(pieces.agreement[row]), np.nan))
    return places


def image_places(frame: Frame, levels: tuple[float, float], usual: float) -> list[Place]:
    """Unlabelled pieces about as bright (or dark) as labelled cells.

    Parameters
    ----------
    frame : Frame
        With an image.
    levels : two floats
        Intensity of the background and of labelled cells.
    usual : float
        Voxels of the usual cell.
    """
    from scipy import ndimage as ndi

    everything = tuple(slice(0, n) for n in frame.shape)
    background, cells = levels
    if cells == background:
        return []
    radius = _radius(frame, usual) / float(frame.spacing.min())
    sigma = [0.15 * radius * frame.spacing.min() / step for step in frame.spacing]
    rise = (ndi.gaussian_filter(frame.pixels(everything), sigma) - background) / (
        cells - background
    )
    bright = (rise > 0.5) & (frame.labels == 0)
    # a rim that the labels left around a cell is no cell of its own
    bright = ndi.binary_opening(bright, iterations=max(1, int(0.2 * radius)))
    pieces, _ = ndi.label(bright)
    places = []
    for row, box in enumerate(ndi.find_objects(pieces)):
        mask = pieces[box] == row + 1
        places.append(Place(box, mask, np.nan, np.nan, float(rise[box][mask].mean())))
    return places


def look(place: Place, frame: Frame) -> Free | None:
    """See how free a place is, by the labels as they are; None where most of it is labelled."""
    free = place.free(frame.labels)
    open_, whole = int(np.count_nonzero(free)), int(np.count_nonzero(place.mask))
    if open_ < _FREE * whole or open_ < _FEWEST:
        return None
    corner = [part.start for part in place.box]
    points = np.argwhere(free)
    # a voxel of the place itself, so that a bent one is not missed by the camera
    nearest = points[((points - points.mean(0)) ** 2).sum(1).argmin()] + corner
    first = np.unravel_index(int(place.mask.argmax()), place.mask.shape) + np.array(corner)
    z, y, x = [0] * (3 - frame.ndim) + [int(n) for n in nearest]
    az, ay, ax = [0] * (3 - frame.ndim) + [int(n) for n in first]
    centre = float(z), float(y), float(x)
    return Free(open_, whole, deepest(free, frame.spacing), centre, (az, ay, ax))


def judge(place: Place, free: Free, frame: Frame, usual: float, source: str) -> ReviewItem | None:
    """Score a place; None where it is too small for a cell.

    Parameters
    ----------
    place : Place
    free : Free
        From `look`.
    frame : Frame
    usual : float
        Voxels of the usual cell.
    source : {"field", "image"}
        Where the place was found.
    """
    if free.voxels < _SMALL * usual:
        return None
    depth = free.depth / _radius(frame, usual)
    reasons = place_reasons(place, free.voxels, free.whole, usual, depth)
    names = [name.replace(" ", "_").replace("-", "_") for name in PLACE_NAMES]
    return ReviewItem(
        kind="missing",
        t=frame.t,
        id=None,
        score=float(place_weights(source).score(reasons)),
        why=(MISSING_WORDS,),
        centre=free.centre,
        box=place.box,
        features={"voxels": float(free.voxels), **dict(zip(names, reasons.tolist(), strict=True))},
        touches_border=at_border(place.box, frame.shape),
        anchor=free.anchor,
    )


def place_reasons(
    place: Place, free: int, whole: int, usual: float, depth: float
) -> NDArray[np.float64]:
    """Reasons to think that a cell is missing, 0 to 1, in the order of `PLACE_NAMES`.

    Parameters
    ----------
    place : Place
    free, whole : int
        Voxels that are unlabelled, and all.
    usual : float
        Voxels of the usual cell.
    depth : float
        Largest distance to the outline, in radii of the usual cell: what is long is no cell.
    """
    values = np.array(
        [
            (place.sure - LOW) / (0.9 - LOW),
            1 + np.log(free / usual) / np.log(1 / _SMALL),
            (depth - 0.2) / 0.6,
            (free / whole - _FREE) / (1 - _FREE),
            place.pointed,
            (place.stands_out - _MOST_UNUSUAL) / (1 - _MOST_UNUSUAL),
        ]
    )
    reasons: NDArray[np.float64] = np.clip(np.nan_to_num(values, nan=0.0), 0, 1)
    return reasons


class Places:
    """The places of a frame, and how free they are; what an edit did not touch stays known.

    Parameters
    ----------
    places : list of Place
    frame : Frame
        Where they were found.

    Attributes
    ----------
    all : list of Place
    """

    def __init__(self, places: list[Place], frame: Frame) -> None:
        self.all = places
        self._frame = frame
        self._free = [look(place, frame) for place in places]
        self._judged: dict[int, ReviewItem | None] = {}
        self._for: tuple[float, str] | None = None
        ends = [[(part.start, part.stop) for part in place.box] for place in places]
        self._ends = np.array(ends, np.int64).reshape(len(places), frame.ndim, 2)

    def look_again(self, touched: list[Slices]) -> None:
        """See how free the places are that meet one of some boxes."""
        met = np.zeros(len(self.all), bool)
        for box in touched:
            ends = np.array([(part.start, part.stop) for part in box])
            met |= ((self._ends[..., 0] < ends[:, 1]) & (ends[:, 0] < self._ends[..., 1])).all(1)
        for row in np.flatnonzero(met).tolist():
            self._free[row] = look(self.all[row], self._frame)
            self._judged.pop(row, None)

    def items(self, usual: float, source: str) -> list[ReviewItem]:
        """What may be missing cells; as in `judge`."""
        if self._for != (usual, source):
            self._for = usual, source
            self._judged.clear()
        found = []
        for row, free in enumerate(self._free):
            if free is None:
                continue
            if row not in self._judged:
                self._judged[row] = judge(self.all[row], free, self._frame, usual, source)
            item = self._judged[row]
            if item is not None:
                found.append(item)
        return found


def _radius(frame: Frame, usual: float) -> float:
    """Radius of the ball or disc with the voxels of the usual cell, in µm."""
    size = usual * float(np.prod(frame.spacing))
    return float(np.cbrt(0.75 * size / np.pi) if frame.ndim == 3 else np.sqrt(size / np.pi))
