"""The walk from plane to plane: what prompts the next one, and what its answer is worth.

A mask is judged as it would be kept: without what is blocked, and without pieces that do not lie on
the mask before (cells nearby that the model took in). Where the first prompt's answer is refused, a
second one by the deepest point is tried; a plane costs two decodings at most.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import Cancelled, InputError
from napari_cellseg.prompts.answer import Answer, Region
from napari_cellseg.prompts.mask_region import NOWHERE, seen_in, tight, whole
from napari_cellseg.prompts.predictor import Capabilities
from napari_cellseg.prompts.prompt import Prompt
from napari_cellseg.prompts.stop_rule import StopRule, compare, floods

Mask: TypeAlias = NDArray[np.bool_]
AnswerPlane: TypeAlias = Callable[[int, Prompt], Answer | None]
Blocked: TypeAlias = Callable[[int], Mask | None]

#: Share of the mask's height or width by which its box is enlarged on each side.
_MARGIN = 0.05


@dataclass(frozen=True, eq=False)
class Step:
    """The object in one plane.

    Attributes
    ----------
    index : int
        Of the plane.
    region : tuple of slice
        Rows and columns of the mask.
    mask : array of bool
        The object in that region; of a plane that ended the walk, what was refused.
    scores : dict
        ``score`` (the model's; 1 for a mask drawn by hand), ``overlap`` (with the plane before,
        over the smaller area) and ``area_ratio`` (over that of the plane before), where there is
        a plane before; empty where there is no mask.
    stopped : str
        Why the walk ended here, a key of `napari_cellseg.prompts.stop_rule.REASONS`; else "".
    given : bool
        Whether the mask is one of the `known` ones.
    """

    index: int
    region: tuple[slice, slice]
    mask: Mask
    scores: dict[str, float] = field(default_factory=dict)
    stopped: str = ""
    given: bool = False

    @property
    def accepted(self) -> bool:
        """Whether the mask belongs to the object."""
        return not self.stopped


@dataclass(frozen=True, eq=False)
class Walk:
    """What stays the same from plane to plane.

    Attributes
    ----------
    answer, rule, blocked, between, capabilities, cancel
        See `napari_cellseg.prompts.propagate.propagate`.
    shape : two ints
        Rows and columns of every plane.
    pixel : two floats
        Distance of rows and of columns.
    apart : float
        Distance of neighbouring planes, in pixels.
    known : dict of index to Region
        Tight; `NOWHERE` where the object was taken out.
    """

    answer: AnswerPlane
    shape: tuple[int, int]
    between: tuple[int, int]
    rule: StopRule
    pixel: tuple[float, float]
    apart: float
    blocked: Blocked | None
    known: dict[int, Region]
    capabilities: Capabilities
    cancel: threading.Event | None

    def side(self, start: Region, at: int, direction: int) -> Iterator[Step]:
        """Walk one way; `at` is the plane of the mask that prompts."""
        previous, index, given = start, at, [start]
        first, last = self.between
        while first <= (index := index + direction) <= last:
            if self.cancel is not None and self.cancel.is_set():
                raise Cancelled("The propagation was cancelled; the planes found so far stand.")
            if index in self.known:
                step = self.passed_on(index, previous)
            else:
                found = self.ask(index, previous, abs(index - at), given)
                missing = abs(index - at)
                if found is None and missing <= self.rule.max_gap:
                    continue
                step = found or Step(at + direction, *NOWHERE, stopped="gap")
            yield step
            if step.accepted:
                previous, at = (step.region, step.mask), index
                if step.given:
                    given.append(previous)
                continue
            ahead = [k for k in self.known if (k - index) * direction > 0]
            if not ahead:
                return
            index = min(ahead, key=lambda k: abs(k - at)) - direction

    def passed_on(self, index: int, previous: Region) -> Step:
        """Return the step of a plane that a hand has corrected."""
        mine = self.known[index]
        if mine is NOWHERE:
            return Step(index, *NOWHERE, stopped="given", given=True)
        return Step(index, *mine, scores={"score": 1.0, **compare(mine, previous)}, given=True)

    def ask(self, index: int, previous: Region, planes: int, given: list[Region]) -> Step | None:
        """Try every form of prompt; what the first gave counts where all are refused."""
        first: Step | None = None
        tried = False
        blocked = self.taken(index)
        for prompt in self.prompts(previous, planes):
            answered = self.answer(index, prompt)
            if answered is None:
                return None
            if tuple(answered.shape) != self.shape:
                raise InputError(
                    f"Plane {index} has {answered.shape[0]} × {answered.shape[1]} pixels, but the "
                    f"mask to carry on {self.shape[0]} × {self.shape[1]}: all planes must be alike."
                )
            for choice in range(len(answered)):
                region, score = answered.region(choice), float(answered.scores[choice])
                step = self.judge(index, region, score, previous, planes, given, blocked)
                if step is not None and step.accepted:
                    return step
                if not tried:
                    first, tried = step, True
        return first

    def taken(self, index: int) -> Mask | None:
        """Return the pixels of a plane that belong to other objects; None if there are none."""
        mask = self.blocked(index) if self.blocked is not None else None
        if mask is not None and (mask.dtype != np.bool_ or mask.shape != self.shape):
            raise InputError(
                f"What is blocked in plane {index} ({mask.dtype}, shape {mask.shape}) must be bool "
                f"of the plane's {self.shape[0]} × {self.shape[1]} pixels."
            )
        return mask

    def judge(
        self,
        index: int,
        region: Region,
        score: float,
        previous: Region,
        planes: int,
        given: list[Region],
        blocked: Mask | None,
    ) -> Step | None:
        """Return the step that a candidate mask makes; None if it is empty."""
        found = tight(region)
        if found is NOWHERE:
            return None
        if floods(found, self.shape) and not any(floods(one, self.shape) for one in given):
            scores = {"score": score, **compare(found, previous)}
            return Step(index, *found, scores=scores, stopped="flood")
        free = found if blocked is None else tight((found[0], found[1] & ~blocked[found[0]]))
        if free is NOWHERE:
            scores = {"score": score, **compare(found, previous)}
            return Step(index, *found, scores=scores, stopped="blocked")
        free = _attached(free, previous)
        scores = {"score": score, **compare(free, previous)}
        total = np.count_nonzero(free[1]) / max(np.count_nonzero(mask) for _, mask in given)
        stopped = self.rule.verdict(scores, planes * self.apart, float(total))
        return Step(index, *free, scores=scores, stopped=stopped)

    def prompts(self, previous: Region, planes: int) -> Iterator[Prompt]:
        """Box and mask; should the answer be refused, the deepest point instead of the mask."""
        able = self.capabilities
        box = self.box(previous, planes) if able.box else None
        mask = whole(previous, self.shape) if able.mask else None
        if box is not None or mask is not None:
            yield Prompt(box=box, mask=mask)
        if able.points:
            yield Prompt(points=[self.deepest(previous)], box=box)

    def box(self, region: Region, planes: int) -> tuple[float, float, float, float]:
        """Return the mask's box, enlarged by a share of its sides or a pixel, within the plane."""
        reach = _MARGIN * math.sqrt(max(1.0, planes * self.apart))
        low, high = [], []
        for part, size in zip(region[0], self.shape, strict=True):
            margin = max(1.0, reach * (part.stop - part.start))
            low.append(max(-0.5, part.start - 0.5 - margin))
            high.append(min(size - 0.5, part.stop - 0.5 + margin))
        return low[0], low[1], high[0], high[1]

    def deepest(self, region: Region) -> tuple[float, float]:
        """Return the pixel of a mask that lies furthest from its rim."""
        from scipy.ndimage import distance_transform_edt

        (rows, cols), mask = region
        depth = distance_transform_edt(np.pad(mask, 1), sampling=self.pixel)[1:-1, 1:-1]
        row, col = np.unravel_index(int(np.argmax(depth)), mask.shape)
        return float(rows.start + row), float(cols.start + col)


def _attached(region: Region, previous: Region) -> Region:
    """Drop pieces that do not lie on the mask before, unless none does."""
    from scipy.ndimage import label

    place, mask = region
    pieces, number = label(mask, np.ones((3, 3), int))
    if number == 1:
        return region
    touching = np.unique(pieces[mask & seen_in(previous, place)])
    if not touching.size:
        return region
    return tight((place, np.isin(pieces, touching)))
