"""What a user points at: clicks, boxes and drawings, and the object that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.plane_view import Plane
from napari_cellseg.session.prompt_object import (
    BoxPrompt,
    Drawing,
    Point,
    PromptObject,
    Said,
    moved,
)
from napari_cellseg.session.prompt_volume import PromptVolume

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class PromptInput(PromptVolume):
    """The verbs by which prompts come, change and go."""

    def click(
        self, position: Sequence[float], positive: bool = True, plane: Plane | None = None
    ) -> PromptObject | None:
        """Add a point.

        Parameters
        ----------
        position : sequence of float
            Voxel along the label axes.
        positive : bool
            Whether it lies in the object.
        plane : Plane, optional
            The plane that is looked at; the xy plane of the voxel by default.

        Returns
        -------
        PromptObject or None
            The object that it belongs to, or, with none in hand, the open one that is shown
            there already, which is only taken in hand; None if the voxel cannot be prompted,
            which is said as a notice.

        Raises
        ------
        InputError
            If it lies outside the image, is not finite, or is negative and no object is begun.
        """
        place = self._voxel(position)
        where = plane if plane is not None else self._plane_of(place)
        where.within(self._volume())
        if positive and self._taken(place):
            return None
        with self._lock:
            if positive and self.current is None:
                shown = self._hand_at(tuple(round(at) for at in place))
                if shown is not None:
                    return shown
            one = self._object(begins=positive)
            if one is None:
                raise InputError(
                    "A negative point takes something from an object: begin one with a positive "
                    "point or a box."
                )
            return self._say(one, Point(self._next_number(), place, positive, where))

    def box(self, plane: Plane, box: Sequence[float]) -> PromptObject:
        """Add a box ``(row0, col0, row1, col1)``, which replaces the object's former one there.

        Raises
        ------
        InputError
            If it has no area, is not finite, or lies outside the plane.
        """
        from napari_cellseg.prompts.prompt import Prompt

        shape = plane.within(self._volume()).shape(self._volume())
        checked = Prompt(box=box).within(shape).box
        assert checked is not None
        with self._lock:
            one = self._object(begins=True)
            assert one is not None
            for number, said in list(one.said.items()):
                if isinstance(said, BoxPrompt) and said.plane == plane:
                    del one.said[number]
                    one.bounds.discard(number)
            return self._say(one, BoxPrompt(self._next_number(), checked, plane))

    def draw(
        self, plane: Plane, vertices: ArrayLike, kind: str = "lasso", width: float = 3.0
    ) -> PromptObject:
        """Add a lasso (a closed outline) or a scribble (a line of some width) as a mask prompt.

        Parameters
        ----------
        plane : Plane
        vertices : array of float, (n, 2)
            ``(row, col)``.
        kind : {"lasso", "scribble"}
        width : float
            Of a scribble, in pixels.

        Raises
        ------
        InputError
            If it covers no pixel of the plane.
        """
        from napari_cellseg.prompts.outline import lasso, scribble

        shape = plane.within(self._volume()).shape(self._volume())
        lines = np.asarray(vertices, np.float64)
        (rows, cols), mask = (
            lasso(lines, shape) if kind == "lasso" else scribble(lines, width, shape)
        )
        with self._lock:
            one = self._object(begins=True)
            assert one is not None
            number = self._next_number()
            return self._say(one, Drawing(number, kind, lines, rows, cols, mask, plane))

    def remove_prompt(self, number: int) -> None:
        """Take a prompt back; what is left of its object is asked again."""
        with self._lock:
            for one in list(self.objects.values()):
                said = one.said.pop(number, None)
                if said is None:
                    continue
                if not one.said and one.label is None:
                    self._drop(one)
                else:
                    self._ask_again(one, said)
                self.prompts_changed.emit()
                return

    def move_prompt(self, number: int, position: Sequence[float]) -> None:
        """Move a point within its plane; InputError if it leaves the image."""
        place = self._voxel(position)
        with self._lock:
            for one in self.objects.values():
                if number in one.said:
                    one.said[number] = moved(one.said[number], place, self._axes)
                    self._ask_again(one, one.said[number])
                    self.prompts_changed.emit()
                    return

    def hand(self, number: int) -> None:
        """Take an open object in hand."""
        with self._lock:
            if number in self.objects:
                self.current = self.objects[number]
                self._look_back(self.current)
                self.prompts_changed.emit()
                self.changed.emit()

    # -- inside ----------------------------------------------------------------------------------

    def _object(self, begins: bool) -> PromptObject | None:
        """Return the object that a new prompt belongs to; begin one where it may."""
        if self.current is not None and not (begins and self.settings.several):
            return self.current
        if not begins:
            return self.current
        one = PromptObject(self._next_object())
        self.objects[one.number] = self.current = one
        return one

    def _say(self, one: PromptObject, said: Said) -> PromptObject:
        one.said[said.number] = said
        self.current = one
        self.session.last_error = None  # what was refused before is past
        self.last_plane = said.plane
        self._ask_again(one, said)
        self.prompts_changed.emit()
        return one

    def _look_back(self, one: PromptObject) -> None:
        """The prompt made last is now the last one of this object."""
        self.last_plane = next(reversed(one.planes), self.last_plane)

    def _hand_at(self, place: tuple[int, ...]) -> PromptObject | None:
        """Take the open object in hand that is shown at a voxel, if there is one."""
        if self.preview is None:
            return None
        number = int(self.preview.labels[place])
        if number not in self.objects:
            return None
        self.hand(number)
        return self.objects[number]

    def _taken(self, place: tuple[float, ...]) -> bool:
        """Whether a voxel belongs to an object that stays; that is said."""
        labels = self.session.labels
        if labels is None:
            return False
        label = int(labels[tuple(round(at) for at in place)])
        mine = self.current is not None and self.current.label == label
        if label == 0 or mine or (self.settings.overwrite and label not in self.commits.locked):
            return False
        locked = label in self.commits.locked
        self.session._notice_for_now(
            f"Cell {label} is {'locked' if locked else 'finished'}: "
            f"{'unlock' if locked else 'reopen'} it to change it."
        )
        return True
