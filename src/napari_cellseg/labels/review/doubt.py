"""From what was measured to reasons for doubt: each 0 (none) to 1, some relative to all objects.

Every reason rises where an object is more likely wrong; the score is monotone in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Column = NDArray[np.float64]

#: Reasons by the evidence that they need, with the words shown to the user.
REASONS: dict[str, dict[str, str]] = {
    "shape": {
        "small": "much smaller than the others",
        "large": "much larger than the others",
        "tiny": "only a few voxels",
        "dents": "dents in its outline",
        "rough": "ragged outline",
        "long": "longer than the others",
        "neck": "pinched like two cells",
        "stray": "in separate pieces",
        "jump": "its area jumps between planes",
        "gaps": "planes are missing",
        "drift": "shifts between planes",
        "part": "looks like a part of its neighbour",
        "contact": "touches a neighbour widely",
    },
    "image": {
        "faint": "hardly stands out in the image",
        "edge": "no edge in the image at its outline",
        "no valley": "no valley in the image to its neighbour",
        "texture": "uneven in the image",
    },
    "quality": {
        "unsure": "the model is unsure",
        "less sure": "the model is less sure than of others",
        "disagree": "planes disagree",
        "disagree more": "planes disagree more than in others",
        "misfit": "its shape does not fit the flow",
        "misfit more": "its shape fits the flow less than others",
    },
    "field": {
        "sinks": "two sinks",
        "leaves": "flows into something else",
        "pale": "much of it is background to the model",
        "soft rim": "the model sees no clear outline",
        "spill": "the model sees more cell around it",
        "bridge": "the model sees no gap to its neighbour",
    },
}
GROUPS = tuple(REASONS)
NAMES = tuple(name for group in REASONS.values() for name in group)
WORDS = {name: words for group in REASONS.values() for name, words in group.items()}
#: Planes have one orientation: there it is only that the flow is short.
WORDS_2D = {
    "disagree": "the flow is unclear",
    "disagree more": "the flow is less clear than in others",
}


def outlying(values: Column, floor: float, among: Column | None = None) -> Column:
    """Robust z-scores: distance from the median in units of the spread, at least `floor`."""
    known = values if among is None else among
    known = known[np.isfinite(known)]
    if known.size < 5:  # too few to say what is usual
        return np.zeros_like(values)
    middle = np.median(known)
    spread = max(1.4826 * float(np.median(np.abs(known - middle))), floor)
    z: Column = (values - middle) / spread
    return z


def doubts(raw: Mapping[str, Column]) -> NDArray[np.float64]:
    """Reasons for doubt of all objects.

    Parameters
    ----------
    raw : mapping of str to array of float, (n,)
        Columns `measure.RAW`; NaN where the evidence is not there.

    Returns
    -------
    array of float64, (n, len(NAMES))
        0 to 1, in the order of `NAMES`; 0 where the evidence is not there (`available`).
    """
    size = outlying(raw["log_size"], 0.2)
    # half a cell at the border is small, cut straight, and right
    free = 1 - 0.5 * raw["border"]
    touch = _ramp(raw["share"], 0.05, 0.35)
    solid = raw["solidity"]
    usual = _median(solid)
    whole = _ramp(raw["union_solidity"], usual - 0.12, usual)
    united = outlying(raw["log_union"], 0.2, raw["log_size"])
    fits = 1 - _ramp(united, 2.0, 4.0)
    logit = raw["logit"]
    chance = _sigmoid(logit)
    contrast = raw["level"] - _median(raw["level_outside"])
    sign = 1.0 if _median(contrast) >= 0 else -1.0
    contrast = sign * contrast
    edge = sign * (raw["level_inside"] - raw["level_outside"])
    between = sign * (raw["level_between"] - _median(raw["level_outside"]))
    with np.errstate(divide="ignore", invalid="ignore"):
        valley = between / np.maximum(contrast, 1e-9)
        uneven = np.log(np.maximum(raw["texture"], 1e-9) / np.maximum(np.abs(contrast), 1e-9))
        gap = _sigmoid(raw["logit_between"]) / np.maximum(chance, 1e-9)
    columns = {
        "small": _ramp(-size, 1, 5) * free,
        "large": _ramp(size, 1, 5),
        "tiny": _ramp(-raw["log_voxels"], -6.0, -2.5),
        "dents": _ramp(usual - solid, 0.02, 0.25),
        "rough": _ramp(outlying(raw["roughness"], 0.03), 1, 6),
        "long": _ramp(outlying(raw["elongation"], 0.15), 1, 5) * free,
        "neck": _ramp(raw["neck"], 0.02, 0.5),
        "stray": _ramp(raw["stray"], 0.0, 0.2),
        "jump": _ramp(raw["area_jump"], 0.3, 1.1),
        "gaps": _ramp(raw["gaps"], 0.0, 0.3),
        "drift": _ramp(raw["drift"], 0.2, 0.9),
        "part": touch * whole * fits,
        "contact": touch,
        "faint": 1 - _ramp(contrast / max(_median(contrast), 1e-9), 0.1, 0.9),
        "edge": 1 - _ramp(edge / max(_median(edge), 1e-9), 0.0, 0.9),
        "no valley": touch * _ramp(valley, 0.4, 1.0),
        "texture": _ramp(outlying(uneven, 0.2), 1, 5),
        "unsure": _ramp(-logit, -8.0, 1.0),
        "less sure": _ramp(-outlying(logit, 0.5), 1, 6),
        "disagree": _ramp(1 - raw["agreement"], 0.02, 0.4),
        "disagree more": _ramp(-outlying(raw["agreement"], 0.02), 1, 6),
        "misfit": _ramp(np.log(np.maximum(raw["flow_error"], 1e-4)), -4.0, 0.0),
        "misfit more": _ramp(outlying(raw["flow_error"], 0.03), 1, 8),
        "sinks": _ramp(raw["sinks"], 0.0, 0.35),
        "leaves": _ramp(raw["leaves"], 0.0, 0.5),
        "pale": _ramp(1 - raw["chance"], 0.05, 0.5),
        "soft rim": 1 - _ramp(raw["logit_inside"] - raw["logit_outside"], 0.3, 3.0),
        "spill": _ramp(_sigmoid(raw["logit_outside"]), 0.45, 0.9),
        "bridge": touch * _ramp(gap, 0.6, 1.0),
    }
    return np.nan_to_num(np.column_stack([columns[name] for name in NAMES]), nan=0.0)


def available(raw: Mapping[str, Column]) -> NDArray[np.bool_]:
    """Which groups of evidence there are for each object: (n, len(GROUPS)) in that order."""
    there = {
        "shape": np.ones(len(raw["log_size"]), bool),
        "image": np.isfinite(raw["level"]),
        "quality": np.isfinite(raw["logit"]),
        "field": np.isfinite(raw["leaves"]),
    }
    return np.column_stack([there[group] for group in GROUPS])


def _ramp(values: Column, low: float, high: float) -> Column:
    """0 up to `low`, 1 from `high`."""
    out: Column = np.clip((values - low) / (high - low), 0, 1)
    return out


def _sigmoid(logit: Column) -> Column:
    out: Column = 1 / (1 + np.exp(-np.clip(logit, -40, 40)))
    return out


def _median(values: Column) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else 0.0
