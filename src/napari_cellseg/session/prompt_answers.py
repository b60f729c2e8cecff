"""How prompts are asked and their answers shown; `Prompting` adds what a user can do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_cellseg.errors import CellsegError
from napari_cellseg.prompts.plane_view import Plane
from napari_cellseg.session.prompt_marks import Preview
from napari_cellseg.session.prompt_object import BoxPrompt, Part, Point, PromptObject, Said
from napari_cellseg.session.prompt_settings import PromptSettings
from napari_cellseg.session.prompt_state import PromptState
from napari_cellseg.worker import Priority
from napari_cellseg.worker.scene import forget_scenes

if TYPE_CHECKING:
    from napari_cellseg.prompts.answer import Answer
    from napari_cellseg.prompts.clicker import PlanePrompts
    from napari_cellseg.session.session import Session
    from napari_cellseg.volume import Volume

MOST_TILES = 16
"""Times that a mask on a large plane is followed into tiles that were not encoded yet."""

ATTEMPTS = 3
"""Encodings after which an answer that still finds its plane missing is given up."""


class PromptAnswers(PromptState):
    """The way from a prompt to what is shown."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.settings.changed.connect(self._on_setting)
        self.encoding.ended.connect(self._on_encoded)
        self.encoding.refused.connect(self._on_refused)
        self.field.changed.connect(self._on_field)

    def image_edited(self) -> None:
        """Say that voxels of the image have changed: nothing encoded before is used again."""
        self._new_scene()

    # -- asking ----------------------------------------------------------------------------------

    def _activate(self) -> None:
        self.active = True
        self.encoding.look_at(self.encoding.view, self.encoding.near)
        for one in list(self.objects.values()):
            planes, one.put_off = one.put_off, ()
            for plane in dict.fromkeys(planes):
                self._ask_plane(one, plane)

    def _put_off(self) -> None:
        """What is being waited for is asked again once prompting is on again."""
        for one in self.objects.values():
            one.put_off = (*one.put_off, *one.awaited)
            one.awaited.clear()
            one.tries.clear()  # an encoding that was stopped is no failed one

    def _ask_again(self, one: PromptObject, said: Said) -> None:
        """Ask for an object anew after something was said, changed or taken back in a plane."""
        one.revision += 1
        one.problem = ""
        one.tries.pop(said.plane, None)
        one.followed.pop(said.plane, None)
        if isinstance(said, Point) and (self.settings.in_3d or one.basin):
            one.basin = True
            self._ask_field(one)
            return
        if self._bounds(one, said):
            self._ask_field(one)
            return
        one.choice = self._kept_choice(one, said.plane)
        if one.names_something(said.plane) or self._whole_in(one, said.plane) is not None:
            self._ask_plane(one, said.plane)
        else:
            one.forget_plane(said.plane)
            self._leave(one, said.plane)
            self._show(one)

    def _bounds(self, one: PromptObject, said: Said) -> bool:
        """Whether a box bounds the cell that was clicked in 3D, or did before it was removed."""
        if said.number in one.bounds and said.number not in one.said:
            one.bounds.discard(said.number)
            return True
        clicked = one.basin and any(point.positive for point in one.points)
        if isinstance(said, BoxPrompt) and clicked and self.settings.in_3d:
            one.bounds.add(said.number)
        return said.number in one.bounds

    def _kept_choice(self, one: PromptObject, plane: Plane) -> dict[Plane, int]:
        """A choice among candidates lasts while it is the first prompt that it was made for."""
        choice = dict(one.choice)
        here = [said for said in one.said.values() if said.plane == plane]
        if not here or one.answered.get(plane) != here[0].number:
            choice.pop(plane, None)
        return choice

    def _prompts_in(self, one: PromptObject, plane: Plane) -> PlanePrompts:
        said = one.in_plane(plane, plane.shape(self._volume()), self._axes)
        if said.box is None and said.mask is None and 1 not in said.labels:
            return replace(said, mask=self._whole_in(one, plane))
        return said

    def _ask_plane(self, one: PromptObject, plane: Plane) -> None:
        scene = self.scene()
        if scene is None:
            self._activate()
            scene = self.scene()
        if scene is None:
            return
        ticket = next(self._tickets)
        one.awaited.pop(plane, None)
        one.awaited[plane] = ticket
        said = self._prompts_in(one, plane)
        first = next(iter(n for n, s in one.said.items() if s.plane == plane), 0)

        def current() -> bool:
            return self.objects.get(one.number) is one and one.awaited.get(plane) == ticket

        def land(answer: Answer | None) -> None:
            if not current():
                return
            if answer is None:
                self._wait_for(one, plane, said)
                return
            one.tries.pop(plane, None)
            missing = tuple(getattr(answer, "missing", ()))
            followed = one.followed.get(plane, 0)
            if missing and followed < MOST_TILES:
                one.followed[plane] = followed + 1
                self._take(one, plane, answer, first)  # so far it ends at a tile's border
                self.encoding.want(plane, said, missing, one.number)
                return
            one.followed.pop(plane, None)
            del one.awaited[plane]
            self._take(one, plane, answer, first)

        def fail(error: Exception) -> None:
            if current():
                del one.awaited[plane]
                one.problem = str(error)
                self.session._fail(error)
                self.changed.emit()

        self.session.background(
            "prompt",
            {"scene": scene, "plane": plane, "said": said},
            key=("prompt", one.number, plane),
            lane="decode",
            priority=Priority.CLICK,
            land=land,
            fail=fail,
            end=lambda job: self.changed.emit(),
        )
        self.changed.emit()

    def _wait_for(self, one: PromptObject, plane: Plane, said: PlanePrompts) -> None:
        """Have a plane encoded for a click; its end asks again."""
        if self.encoding.wanted_by(plane) not in (None, one.number):
            return  # another object's turn in this plane; its end asks this one again
        tried = one.tries.get(plane, 0)
        if tried >= ATTEMPTS:
            self._leave(one, plane)
            one.problem = (
                "The plane was encoded but not kept: raise the size of the cache in the "
                "preferences, or make room on its disk."
            )
            self.session._fail(CellsegError(one.problem))
            return
        one.tries[plane] = tried + 1
        self.encoding.want(plane, said, by=one.number)

    def _leave(self, one: PromptObject, plane: Plane) -> None:
        """Wait no more for an object's answer in a plane."""
        one.awaited.pop(plane, None)
        one.put_off = tuple(other for other in one.put_off if other != plane)
        if self.encoding.unwant(plane, one.number):
            for other in list(self.objects.values()):
                if plane in other.awaited:  # it counted on that encoding
                    self._ask_plane(other, plane)

    def _on_encoded(self, plane: Plane | None) -> None:
        for one in list(self.objects.values()):
            if plane is None and one.awaited:
                one.awaited.clear()
                one.problem = self.encoding.problem
            elif plane is not None and plane in one.awaited:
                self._ask_plane(one, plane)
        self.changed.emit()

    def _on_refused(self, plane: Plane, why: str) -> None:
        for one in self.objects.values():
            if one.awaited.pop(plane, None) is not None:
                one.problem = why
        self.changed.emit()

    def _take(self, one: PromptObject, plane: Plane, answer: Answer, first: int) -> None:
        one.answers[plane] = answer
        one.answered[plane] = first
        if 1 < len(answer) <= one.choice.get(plane, 0):
            one.choice.pop(plane, None)
        self._take_candidate(one, plane)

    def _take_candidate(self, one: PromptObject, plane: Plane) -> None:
        answer = one.answers[plane]
        index = one.choice.get(plane, 0) if len(answer) > 1 else 0
        (rows, cols), mask = answer.region(index)
        if mask.any():
            region = plane.region(rows, cols, self._axes)
            upright = np.ascontiguousarray(plane.upright(mask, self._axes))
            scores = {"score": float(answer.scores[index])}
            one.parts[plane] = Part(region, upright, "click", scores)
            one.problem = ""
        else:
            one.parts.pop(plane, None)
            one.problem = "Nothing was found there: add a point, or draw a box around the cell."
        self._show(one)
        self.changed.emit()

    def _choose(self, one: PromptObject, plane: Plane, index: int) -> int:
        one.choice[plane] = index
        self._take_candidate(one, plane)
        return index

    # -- asking the field ------------------------------------------------------------------------

    def _ask_field(self, one: PromptObject) -> None:
        points = one.points
        positive = [point.position for point in points if point.positive]
        negative = [point.position for point in points if not point.positive]
        if not positive:
            one.asked_field = None
            one.parts.pop(None, None)
            self._show(one)
            return
        asked = one.asked_field = points[-1].plane, next(self._tickets)

        def land(part: Part | None, reason: str) -> None:
            if self.objects.get(one.number) is not one or one.asked_field != asked:
                return
            one.asked_field = None
            one.problem = reason
            if part is None:
                one.parts.pop(None, None)
            else:
                one.parts[None] = part
            self._show(one)
            self.changed.emit()

        try:
            self.field.ask(one.number, positive, negative, land, one.bounding())
        except CellsegError as error:
            one.asked_field, one.problem = None, str(error)
            self.session._fail(error)
        self.changed.emit()

    def _on_field(self) -> None:
        self.changed.emit()

    # -- showing ---------------------------------------------------------------------------------

    def _drop(self, one: PromptObject) -> None:
        self.objects.pop(one.number, None)
        one.revision += 1
        for plane in list(one.awaited):
            self._leave(one, plane)
        if self.preview is not None:
            self.preview.show(one.number, None)
        if self.current is one:
            self.current = None

    # -- changes from outside --------------------------------------------------------------------

    def _on_setting(self, name: str) -> None:
        with self._lock:
            if name in PromptSettings.SCENE:
                self._new_scene()
            elif name == "overwrite":
                self._show_all()
            elif name == "in_3d" and self.settings.in_3d and self.active:
                self.prepare_3d()
            self.changed.emit()

    def _new_scene(self) -> None:
        """Image, contrast or model are others: nothing encoded before counts, prompts stay."""
        with self._lock:
            self._revision += 1
            forget_scenes(self._owner, self._revision)
            self.encoding.forget()
            for one in list(self.objects.values()):
                one.revision += 1
                one.answers.clear()
                one.tries.clear()
                one.followed.clear()
                for plane in list(one.awaited):
                    self._ask_plane(one, plane)
            self.changed.emit()

    def _reset(self, volume: Volume | None) -> None:
        """Another image: nothing of the former one stays."""
        self._revision += 1
        forget_scenes(self._owner, self._revision)
        self.objects.clear()
        self.current = self.last_plane = None
        self.commits.forget()
        self.encoding.view = None
        self.encoding.forget()
        self.field.forget()
        if volume is not None and max(self.settings.channels) >= volume.n_channels:
            self.settings.channels = (0,)
        self.preview = None if volume is None else Preview(volume.label_shape)
        self.preview_replaced.emit(self.preview)

    def close(self) -> None:
        """Let go of everything."""
        self.active = False
        self.encoding.stop()
        self._revision += 1
        forget_scenes(self._owner, self._revision)
        self.objects.clear()
        self.current = self.last_plane = None
        self.commits.forget()
        self.field.forget()
        self.preview = None
