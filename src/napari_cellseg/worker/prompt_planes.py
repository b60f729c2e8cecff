"""Operations that ask many prompts: an object through its planes, and everything in a plane."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import CellsegError
from napari_cellseg.prompts.plane_view import AXES, Plane
from napari_cellseg.worker.prompting import on_device, predictor_of
from napari_cellseg.worker.registry import JobContext, operation
from napari_cellseg.worker.scene import Scene, clicker_of

if TYPE_CHECKING:
    from napari_cellseg.prompts.answer import Answer
    from napari_cellseg.prompts.everything import Everything
    from napari_cellseg.prompts.prompt import Prompt
    from napari_cellseg.prompts.propagate import Step
    from napari_cellseg.prompts.stop_rule import StopRule

    Mask = NDArray[np.bool_]


ATTEMPTS = 3
"""Times that a plane is encoded for one answer, where the image changes under the work."""


@dataclass(frozen=True, eq=False)
class Kept:
    """Labels whose objects stay as they are, for work that runs beside the window.

    Attributes
    ----------
    labels : array of int or None
        Read only.
    axes : str
        Of the labels.
    own : int or None
        Id of the object in hand, which may change.
    locked : frozenset of int or None
        Ids that stay; None: all do.
    """

    labels: NDArray[Any] | None
    axes: str
    own: int | None = None
    locked: frozenset[int] | None = None

    def inside(self, plane: Plane) -> Mask | None:
        """Pixels of a plane that stay, bool (rows, cols); None if none do."""
        if self.labels is None:
            return None
        here = np.asarray(plane.cut(self.labels, self.axes))
        stays = here != 0 if self.locked is None else np.isin(here, list(self.locked))
        if self.own is not None and not (self.locked and self.own in self.locked):
            stays &= here != self.own
        return stays if stays.any() else None


@operation("through z", uses_torch=True)
def through_z(
    context: JobContext,
    *,
    scene: Scene,
    plane: Plane,
    mask: Mask,
    start: int,
    known: Mapping[int, Mask],
    kept: Kept,
    rule: StopRule | None = None,
    between: tuple[int, int] | None = None,
) -> list[Step]:
    """Carry an object's mask from a plane to its neighbours; planes are encoded as it goes.

    Parameters
    ----------
    scene : Scene
    plane : Plane
        Where the mask is.
    mask : array of bool, (rows, cols)
    start : int
        Plane in which the object was begun: where it is another one, planes between the two, and
        beyond it, stay as they are.
    known : mapping of index to array of bool
        Planes that a hand has corrected.
    kept : Kept
        Objects that stay.
    rule : StopRule, optional
    between : two int, optional
        First and last plane to reach.
    """
    from napari_cellseg.prompts.plane_prompter import NotEncoded
    from napari_cellseg.prompts.propagate import propagate_from

    count = scene.volume.sizes.get(plane.axes[0], 1)
    across, rows, cols = AXES[plane.orientation]
    spacing = dict(zip("zyx", scene.volume.spacing, strict=True))

    def run(there: Scene) -> list[Step]:
        context.progress(0.0, "loading the model")
        predictor = predictor_of(context, there)
        reached = 0

        def answer(index: int, prompt: Prompt) -> Answer | None:
            nonlocal reached
            reached += 1
            fraction = reached / (reached + 8)  # how far it goes, nobody knows
            context.progress(fraction, f"plane {index}")
            at = Plane(plane.orientation, index, plane.t)
            prompter = clicker_of(there, at, predictor).prompter
            for _ in range(ATTEMPTS):
                prompter.encode(prompt, cancel=context.cancel)
                with suppress(NotEncoded):  # the image was painted on in between
                    return prompter.decode(prompt, multimask=False)
            raise CellsegError(
                f"Plane {index} was encoded but not kept: raise the size of the cache in the "
                "preferences, or try again once nothing changes the image any more."
            )

        steps = propagate_from(
            answer,
            mask,
            plane.index,
            count,
            start=start,
            spacing=(spacing[across], spacing[rows], spacing[cols]),
            rule=rule,
            blocked=lambda index: kept.inside(Plane(plane.orientation, index, plane.t)),
            known=known,
            between=between,
            capabilities=predictor.capabilities,
            cancel=context.cancel,
        )
        return list(steps)

    return on_device(context, scene, run)


@operation("everything", uses_torch=True)
def everything(
    context: JobContext,
    *,
    scene: Scene,
    plane: Plane,
    kept: Kept,
    diameter: float | None = None,
    min_size: int | None = None,
    max_size: int | None = None,
    **rules: Any,
) -> Everything:
    """Find everything in a plane; see `napari_cellseg.prompts.everything`.

    Parameters
    ----------
    diameter : float, optional
        Of a cell, in pixels of the plane's columns.
    """
    from napari_cellseg.prompts.everything_plane import everything_in

    def run(there: Scene) -> Everything:
        context.progress(0.0, "loading the model")
        predictor = predictor_of(context, there)
        prompter = clicker_of(there, plane, predictor).prompter
        context.progress(0.02, "encoding the plane")
        return everything_in(
            prompter,
            kept.inside(plane),
            diameter=diameter,
            min_size=min_size,
            max_size=max_size,
            progress=lambda fraction, said: context.progress(0.2 + 0.8 * fraction, said),
            cancel=context.cancel,
            **rules,
        )

    return on_device(context, scene, run)
