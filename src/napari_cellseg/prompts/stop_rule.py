"""When an object that is followed from plane to plane has ended, or has been lost."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.answer import Region
from napari_cellseg.prompts.mask_region import seen_in

REASONS = {
    "score": "the model is not sure of the mask",
    "overlap": "the mask lies beside that of the plane before",
    "growth": "the mask has grown too much",
    "shrinkage": "the mask has shrunk too much",
    "flood": "the mask reaches all four borders of the plane",
    "gap": "too many planes in a row are missing or hold nothing of the object",
    "blocked": "other objects that must stay take up the whole mask",
    "given": "the object was taken out of this plane by hand",
}
"""Why a propagation stopped: the word in `Step.stopped`, and what to tell a user."""


@dataclass(frozen=True)
class StopRule:
    """How much an object may change from one plane to the next.

    The limits are those of neighbouring planes as far apart as pixels are. Where planes lie
    further apart an object changes more, so overlap, growth and shrinkage are raised to the power
    √d, d being the distance of the two planes in pixels: at d = 4, a growth of 2 allows 4. The
    root keeps floods out: the outline of a cell moves by a few pixels per pixel of depth, which
    changes its area far less than exponentially.

    Attributes
    ----------
    min_score : float
        Smallest intersection over union that the model predicts for its mask; ``-inf`` for models
        whose scores say nothing.
    min_overlap : float
        Smallest intersection with the mask before, over the smaller of the two areas. This
        measure, rather than intersection over union, is 1 for a cell that tapers off however
        fast, and small only where the mask has jumped to a neighbour; the change of area has its
        own limits.
    max_growth, min_shrink : float
        Largest and smallest area relative to the mask before.
    max_total : float
        Largest area relative to the largest mask that the user drew or accepted: growth that is
        slow enough for each plane ends here.
    max_gap : int
        Planes in a row that may be missing or empty.

    Raises
    ------
    InputError
        If a limit cannot be met or never applies.
    """

    min_score: float = 0.6
    min_overlap: float = 0.5
    max_growth: float = 2.0
    min_shrink: float = 0.25
    max_total: float = 20.0
    max_gap: int = 1

    def __post_init__(self) -> None:
        fits = {
            "min_score": self.min_score < 1,
            "min_overlap": 0 <= self.min_overlap <= 1,
            "max_growth": 1 <= self.max_growth < math.inf,
            "min_shrink": 0 <= self.min_shrink <= 1,
            "max_total": 1 <= self.max_total < math.inf,
            "max_gap": self.max_gap >= 0,
        }
        for name, good in fits.items():
            if not good:
                raise InputError(f"The stop rule's {name}={getattr(self, name)} is out of range.")

    def verdict(self, scores: dict[str, float], distance: float, total: float) -> str:
        """Say why a mask ends the propagation; "" if it does not.

        Parameters
        ----------
        scores : dict
            ``score``, and ``overlap`` and ``area_ratio`` of `compare`.
        distance : float
            Between the two planes, in pixels.
        total : float
            Area relative to the largest mask that the user gave.
        """
        power = math.sqrt(max(distance, 1.0))
        # written so that NaN stops
        if not scores["score"] >= self.min_score:
            return "score"
        if not scores["overlap"] >= self.min_overlap**power:
            return "overlap"
        if not (scores["area_ratio"] <= self.max_growth**power and total <= self.max_total):
            return "growth"
        if not scores["area_ratio"] >= self.min_shrink**power:
            return "shrinkage"
        return ""


def compare(region: Region, previous: Region) -> dict[str, float]:
    """Return ``overlap`` (over the smaller area) and ``area_ratio`` of two masks, none empty."""
    place, mask = region
    area, before = np.count_nonzero(mask), np.count_nonzero(previous[1])
    shared = np.count_nonzero(mask & seen_in(previous, place))
    return {"overlap": shared / min(area, before), "area_ratio": area / before}


def floods(region: Region, shape: tuple[int, int]) -> bool:
    """Whether a mask reaches all four borders of its plane, as background does and no cell."""
    (rows, cols), _ = region
    return rows.start == cols.start == 0 and (rows.stop, cols.stop) == tuple(shape)
