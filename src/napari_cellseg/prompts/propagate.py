"""Carry an object's mask from plane to plane until it ends.

The mask of one plane prompts the next, as in micro-sam (Archit et al. 2025, Nature Methods 22) and
SAM's own mask input: its box, a little enlarged, with the mask itself. Unlike there, every limit
that ends the walk is one of `StopRule`, a plane that ends it is shown with its reason, and planes
corrected by hand are never computed again.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.answer import Region
from napari_cellseg.prompts.mask_region import NOWHERE, within
from napari_cellseg.prompts.plane_walk import AnswerPlane, Blocked, Mask, Step, Walk
from napari_cellseg.prompts.predictor import Capabilities
from napari_cellseg.prompts.stop_rule import StopRule
from napari_cellseg.volume.spacing import check_spacing

__all__ = ["Step", "StopRule", "propagate", "propagate_from"]


def propagate(
    answer: AnswerPlane,
    start_mask: Mask,
    start_index: int,
    count: int,
    *,
    spacing: Sequence[float] | None = None,
    rule: StopRule | None = None,
    direction: Sequence[int] = (-1, +1),
    blocked: Blocked | None = None,
    known: Mapping[int, Mask] | None = None,
    between: tuple[int, int] | None = None,
    capabilities: Capabilities | None = None,
    cancel: threading.Event | None = None,
) -> Iterator[Step]:
    """Carry a mask through the planes on either side, the nearest first.

    A plane that is missing or where the object is not found is bridged, up to `StopRule.max_gap`
    in a row, and gives no step. Each side ends with the stack, or with a step that says why.

    Parameters
    ----------
    answer : callable (index, prompt) → Answer or None
        Answers a prompt in a plane; None where the plane is missing or blank.
    start_mask : array of bool, (rows, cols)
        The object in the plane of the start, which gives no step of its own.
    start_index : int
    count : int
        Number of planes.
    spacing : three floats, optional
        Distance of planes, of rows and of columns: (z, y, x) in µm where planes are xy. All equal
        by default.
    rule : StopRule, optional
    direction : sequence of int
        -1: towards plane 0, +1: towards the last.
    blocked : callable index → array of bool (rows, cols) or None, optional
        Pixels of other objects that must stay; they are taken out of the result.
    known : mapping of index to array of bool (rows, cols), optional
        Planes that a hand has corrected. They are passed on as they are, and the walk goes on from
        them, also where it ended before it got there. An empty one ends the object.
    between : two ints, optional
        First and last plane to reach, as if the stack ended there; the whole stack by default.
    capabilities : Capabilities, optional
        Which prompts the model takes; all by default.
    cancel : threading.Event, optional
        Polled before each plane.

    Yields
    ------
    Step
        The sides take turns, so that the planes nearest to the start come first.

    Raises
    ------
    InputError
        If the start, a known mask, what is blocked or an answer does not fit the planes.
    Cancelled
        If `cancel` was set; the steps given before stand.
    """
    start = _checked(start_mask, start_index, count)
    if start is NOWHERE:
        raise InputError("The mask to carry on is empty: mark the object in this plane first.")
    sides = tuple(direction)
    if not set(sides) <= {-1, 1} or len(set(sides)) != len(sides):
        raise InputError(f"direction={direction} must be -1, +1 or both.")
    through, *pixel = (1.0, 1.0, 1.0) if spacing is None else check_spacing(spacing, True)
    fixed = {
        index: _checked(mask, index, count, start_mask) for index, mask in (known or {}).items()
    }
    first, final = (0, count - 1) if between is None else between
    walk = Walk(
        answer=answer,
        shape=(start_mask.shape[0], start_mask.shape[1]),
        between=(max(first, 0), min(final, count - 1)),
        rule=rule or StopRule(),
        pixel=(pixel[0], pixel[1]),
        apart=through / math.sqrt(pixel[0] * pixel[1]),
        blocked=blocked,
        known=fixed,
        capabilities=capabilities or Capabilities(),
        cancel=cancel,
    )
    return _in_turns([walk.side(start, start_index, side) for side in sides])


def propagate_from(
    answer: AnswerPlane,
    mask: Mask,
    index: int,
    count: int,
    *,
    start: int,
    spacing: Sequence[float] | None = None,
    rule: StopRule | None = None,
    blocked: Blocked | None = None,
    known: Mapping[int, Mask] | None = None,
    between: tuple[int, int] | None = None,
    capabilities: Capabilities | None = None,
    cancel: threading.Event | None = None,
) -> Iterator[Step]:
    """Carry on from a plane that was corrected, away from where the object was started.

    Planes between the start and the corrected one, and those on the other side, stay as they are.

    Parameters
    ----------
    mask : array of bool, (rows, cols)
        The corrected mask; empty: the object ends here, and only `known` planes beyond follow.
    index : int
        Of the corrected plane.
    start : int
        Plane in which the object was started; where it is the corrected one, both sides follow.
    answer, count, spacing, rule, blocked, known, between, capabilities, cancel
        See `propagate`.

    Yields
    ------
    Step
    """
    sides = (-1, 1) if index == start else (1 if index > start else -1,)

    def onward(mask: Mask, index: int, sides: tuple[int, ...]) -> Iterator[Step]:
        return propagate(
            answer,
            mask,
            index,
            count,
            spacing=spacing,
            rule=rule,
            direction=sides,
            blocked=blocked,
            known=known,
            between=between,
            capabilities=capabilities,
            cancel=cancel,
        )

    def resumed(side: int) -> Iterator[Step]:
        low, high = (0, count - 1) if between is None else between
        drawn = [
            k
            for k, one in (known or {}).items()
            if (k - index) * side > 0 and low <= k <= high and one.any()
        ]
        if drawn and known:
            first = min(drawn, key=lambda k: abs(k - index))
            yield Step(first, *within(known[first]), scores={"score": 1.0}, given=True)
            yield from onward(known[first], first, (side,))

    if _checked(mask, index, count) is NOWHERE:
        return chain.from_iterable(resumed(side) for side in sides)
    return onward(mask, index, sides)


def _checked(mask: Mask, index: int, count: int, like: Mask | None = None) -> Region:
    array = np.asarray(mask)
    if array.dtype != np.bool_ or array.ndim != 2:
        raise InputError(
            f"The mask of plane {index} ({array.dtype}, shape {array.shape}) must be bool "
            "(rows, cols)."
        )
    if not 0 <= index < count:
        raise InputError(f"Plane {index} does not exist: there are {count}, counted from 0.")
    if like is not None and array.shape != like.shape:
        raise InputError(
            f"The mask of plane {index} has shape {array.shape}, but that of the start "
            f"{like.shape}."
        )
    return within(array)


def _in_turns(sides: list[Iterator[Step]]) -> Iterator[Step]:
    while sides:
        for side in list(sides):
            step = next(side, None)
            if step is None:
                sides.remove(side)
            else:
                yield step
