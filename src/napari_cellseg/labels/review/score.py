"""One number of doubt from all reasons: logistic, with published weights that are never negative.

``score = 1 / (1 + exp(-(intercept + Σ weight × reason)))``. A set of weights for every combination
of evidence lies in ``weights.json``, which says how it was made: fitted to the real errors of the
built-in model and to errors put into true labels, on images of which every alike group was left
out of the study that measures the ranking.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellseg.labels.review.doubt import GROUPS, NAMES, WORDS, WORDS_2D

if TYPE_CHECKING:
    from numpy.typing import NDArray

WEIGHTS = Path(__file__).with_name("weights.json")
#: Weight of a prompted object that is not what the flow gives, by hand: no true labels are made
#: by prompts, so nothing could be fitted.
PROMPT_WEIGHT = 2.0
PROMPT_WORDS = "prompt and flow disagree"
#: Sets of evidence that there are weights for; the field brings the quality numbers with it.
SETS = (
    ("shape",),
    ("shape", "image"),
    ("shape", "quality"),
    ("shape", "image", "quality"),
    ("shape", "quality", "field"),
    ("shape", "image", "quality", "field"),
)
#: What is measured of a place where a cell may be missing.
PLACE_NAMES = ("sure", "cell-sized", "compact", "free", "pointed", "stands out")
MISSING_WORDS = "cell missing?"


@dataclass(frozen=True)
class Weights:
    """Intercept, and a weight for each reason; reasons that the set lacks have 0."""

    intercept: float
    weights: NDArray[np.float64]

    def score(self, reasons: NDArray[np.float64]) -> NDArray[np.float64]:
        """Doubt of each row of reasons, 0 to 1."""
        out: NDArray[np.float64] = 1 / (1 + np.exp(-(self.intercept + reasons @ self.weights)))
        return out


def set_name(groups: tuple[str, ...]) -> str:
    """How a set of evidence is called in the file of weights."""
    return "+".join(groups)


@cache
def _stored() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(WEIGHTS.read_text("utf-8"))
    return found


@cache
def object_weights(groups: tuple[str, ...]) -> Weights:
    """Weights for objects with this evidence."""
    entry = _stored()["objects"][set_name(groups)]
    return Weights(entry["intercept"], np.array([entry["weights"].get(n, 0.0) for n in NAMES]))


@cache
def place_weights(source: str) -> Weights:
    """Weights for places found in the ``"field"`` or in the ``"image"``."""
    entry = _stored()["places"][source]
    weights = [entry["weights"].get(name, 0.0) for name in PLACE_NAMES]
    return Weights(entry["intercept"], np.array(weights))


def score_objects(
    reasons: NDArray[np.float64],
    there: NDArray[np.bool_],
    basin: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Doubt of each object, and what each reason adds to it.

    Parameters
    ----------
    reasons : array, (n, len(NAMES))
        From `doubts`.
    there : array of bool, (n, len(GROUPS))
        From `available`.
    basin : array, (n,)
        IoU of prompted objects with the flow's basin, NaN for others.

    Returns
    -------
    score : array, (n,)
    added : array, (n, len(NAMES) + 1)
        In log odds; the last is that of the prompt.
    """
    score = np.zeros(len(reasons))
    added = np.zeros((len(reasons), len(NAMES) + 1))
    added[:, -1] = PROMPT_WEIGHT * (1 - np.nan_to_num(basin, nan=1.0))
    for row in np.unique(there, axis=0):
        chosen = (there == row).all(1)
        groups = tuple(group for group, has in zip(GROUPS, row, strict=True) if has)
        weights = object_weights(groups)
        added[chosen, :-1] = reasons[chosen] * weights.weights
        odds = weights.intercept + added[chosen].sum(1)
        score[chosen] = 1 / (1 + np.exp(-odds))
    return score, added


def whys(added: NDArray[np.float64], planar: bool, most: int = 3) -> list[tuple[str, ...]]:
    """The strongest reasons for each object in words; none where nothing stands out.

    Parameters
    ----------
    added : array of float, (n, len(NAMES) + 1)
        What each reason adds, in log odds.
    planar : bool
        Of a 2D image, which has no planes that could disagree.
    most : int
        How many to give.
    """
    words = [(WORDS_2D.get(name) if planar else None) or WORDS[name] for name in NAMES]
    words.append(PROMPT_WORDS)
    least = np.maximum(0.3, 0.25 * added.max(1, initial=0.0))
    counts = np.minimum((added >= least[:, None]).sum(1), most)
    out: list[tuple[str, ...]] = [()] * len(added)
    some = np.flatnonzero(counts)
    strongest = np.argsort(-added[some], axis=1, kind="stable")[:, :most].tolist()
    for row, count, best in zip(some.tolist(), counts[some].tolist(), strongest, strict=True):
        out[row] = tuple(words[index] for index in best[:count])
    return out
