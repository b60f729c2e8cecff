"""All prompts on one object of a plane, answered together and always in the same way."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.prompts.answer import Answer
from napari_cellseg.prompts.prompt import Prompt

if TYPE_CHECKING:
    from napari_cellseg.prompts.plane_prompter import PlanePrompter

Box = tuple[float, float, float, float]
Names = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class PlanePrompts:
    """What a user has said of one object in one plane, in the order of saying.

    Attributes
    ----------
    points : tuple of (row, col)
    labels : tuple of int
        1 or 0 for each point.
    box : tuple of float or None
        ``(row0, col0, row1, col1)``.
    mask : array of bool, (rows, cols), or None
        A scribble or a lasso.
    choice : int
        Which candidate of the first prompt the user has chosen; 0 is the best.
    """

    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    box: Box | None = None
    mask: NDArray[np.bool_] | None = field(default=None, repr=False)
    choice: int = 0

    def prompt(self, mask: NDArray[Any] | None = None) -> Prompt:
        """Return all of it as one prompt; InputError where it does not name an object."""
        return Prompt(self.points, self.labels, self.box, self.mask if mask is None else mask)

    @property
    def first(self) -> PlanePrompts | None:
        """What was said first, where more was said after it; None otherwise."""
        if self.mask is not None:
            return None
        if self.box is not None:
            return PlanePrompts(box=self.box) if self.points else None
        if len(self.points) < 2 or 1 not in self.labels:
            return None
        at = self.labels.index(1)
        return PlanePrompts((self.points[at],), (1,))


class Clicker:
    """Answers `PlanePrompts` on one plane.

    The first prompt is answered alone; what is said after it corrects the candidate that the user
    has chosen, whose logits go along, as the models were trained (Kirillov et al., Segment
    Anything, ICCV 2023, appendix A). The result depends on the prompts and the choice alone, not on
    what was shown in between, so that a deleted prompt leaves no trace.

    Parameters
    ----------
    prompter : PlanePrompter
    """

    def __init__(self, prompter: PlanePrompter) -> None:
        self.prompter = prompter
        self._first: tuple[Any, Answer, Names] | None = None
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Drop what was answered: the plane is another."""
        with self._lock:
            self._first = None

    def answer(self, said: PlanePrompts) -> Answer:
        """Answer everything said of an object.

        Raises
        ------
        InputError
            If the prompts do not name an object of the plane, or are not for this model.
        NotEncoded
            If the plane, or the tile that is needed, is not in the cache.
        """
        can = self.prompter.predictor.capabilities
        if said.mask is not None and not can.mask:
            return self.prompter.decode(_boxed(said).prompt())
        first = said.first if can.mask else None
        if first is None:
            return self.prompter.decode(said.prompt())
        begun, names = self._answer_first(first)
        answer = self._correct(said, begun)
        if names != self._names(first.prompt()):  # the image was painted on in between
            self.forget()
            answer = self._correct(said, self._answer_first(first)[0])
        return answer

    def _correct(self, said: PlanePrompts, begun: Answer) -> Answer:
        logits = begun.refine(min(said.choice, len(begun) - 1)) if len(begun) else None
        return self.prompter.decode(said.prompt(logits), multimask=False)

    def _answer_first(self, first: PlanePrompts) -> tuple[Answer, Names]:
        key = (first.points, first.box)
        with self._lock:
            known = self._first
        if known is not None and known[0] == key:
            return known[1], known[2]
        answer = self.prompter.decode(first.prompt())
        names = self._names(first.prompt())
        with self._lock:
            self._first = (key, answer, names)
        return answer, names

    def _names(self, prompt: Prompt) -> Names:
        """What the tiles of a prompt were called when they were last read."""
        return tuple(
            self.prompter.embeddings.keys.get(tile) for tile in self.prompter.tiles_for(prompt)
        )


def _boxed(said: PlanePrompts) -> PlanePrompts:
    """The box of a drawn mask in its place, for models that take no masks."""
    assert said.mask is not None
    rows, cols = (np.flatnonzero(said.mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return said
    top, bottom, left, right = (float(edge) for edge in (rows[0], rows[-1], cols[0], cols[-1]))
    around = (top - 0.5, left - 0.5, bottom + 0.5, right + 0.5)
    return PlanePrompts(said.points, said.labels, said.box or around)
