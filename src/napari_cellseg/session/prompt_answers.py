"""How prompts are asked and their answers shown; `Prompting` adds what a user can do."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from psygnal import Signal

from napari_cellseg.errors import CellsegError, InputError
from napari_cellseg.prompts.plane_view import Plane
from napari_cellseg.session.prompt_encoding import PlaneEncoding
from napari_cellseg.session.prompt_field import FieldClicks
from napari_cellseg.session.prompt_marks import Commits, Preview
from napari_cellseg.session.prompt_object import Part, Point, PromptObject, Said
from napari_cellseg.session.prompt_settings import PromptSettings
from napari_cellseg.worker import Priority
from napari_cellseg.worker.scene import Scene, forget_scenes

if TYPE_CHECKING:
    from napari_cellseg.prompts.answer import Answer
    from napari_cellseg.prompts.clicker import PlanePrompts
    from napari_cellseg.session.merge import Labels
    from napari_cellseg.session.session import Session
    from napari_cellseg.volume import Volume

MOST_TILES = 16
"""Times that a mask on a large plane is followed into tiles that were not encoded yet."""

ATTEMPTS = 2
"""Encodings after which an answer that still finds its plane missing is given up."""

_owners = itertools.count(1)


class PromptAnswers:
    """State of prompting, and the way from a prompt to what is shown."""

    #: The object in hand, its candidates, or what can be done has changed.
    changed: ClassVar[Signal] = Signal()
    #: Prompts or the object in hand have changed, for whoever draws them.
    prompts_changed: ClassVar[Signal] = Signal()
    #: The preview array is another one (or None).
    preview_replaced: ClassVar[Signal] = Signal(object)
    #: A box of the labels was written.
    labels_written: ClassVar[Signal] = Signal(object)

    def __init__(self, session: Session) -> None:
        self.session = session
        self.active = False
        self.settings = PromptSettings()
        self.encoding = PlaneEncoding(session, self.scene)
        self.field = FieldClicks(session)
        self.preview: Preview | None = None
        self.commits = Commits()
        self.objects: dict[int, PromptObject] = {}
        self.current: PromptObject | None = None
        self.last_plane: Plane | None = None
        self._owner = f"prompts {next(_owners)}"
        self._revision = 0
        self._prompts = itertools.count(1)
        self._numbers = itertools.count(1)
        self._attempts: dict[int, int] = {}
        self._own_labels: Labels | None = None
        self.settings.changed.connect(self._on_setting)
        self.encoding.ended.connect(self._on_encoded)
        self.encoding.changed.connect(self.changed.emit)
        self.field.changed.connect(self._on_field)
        self.commits.written.connect(self.labels_written.emit)

    # -- what is asked of ------------------------------------------------------------------------

    def scene(self) -> Scene | None:
        """Return what prompts are asked of now; None without an image or while off."""
        volume = self.session.volume
        if volume is None or not self.active:
            return None
        chosen = self.settings
        return Scene(
            self._owner,
            self._revision,
            self.session._spaced(),
            tuple(min(channel, volume.n_channels - 1) for channel in chosen.channels),
            chosen.limits,
            chosen.model,
            chosen.checkpoint,
            chosen.framing,
            chosen.device,
        )

    def image_edited(self) -> None:
        """Say that voxels of the image have changed: nothing encoded before is used again."""
        self._new_scene()

    @property
    def ready(self) -> bool:
        """Whether a click in the plane in view is answered without an encoding."""
        return self.encoding.view is not None and self.encoding.view in self.encoding.ready

    @property
    def waiting(self) -> bool:
        """Whether an answer is being waited for."""
        return any(one.pending is not None for one in self.objects.values()) or self.field.busy

    def prepare_3d(self) -> None:
        """Index the field that the last segmentation kept, so that 3D clicks are answered."""
        self.field.prepare(self.encoding.view.t if self.encoding.view is not None else 0)

    # -- asking ----------------------------------------------------------------------------------

    def _activate(self) -> None:
        self.active = True
        self.encoding.look_at(self.encoding.view, self.encoding.near)

    def _ask_again(self, one: PromptObject, said: Said) -> None:
        """Ask for an object anew after something was said, changed or taken back in a plane."""
        one.revision += 1
        one.problem = ""
        self._attempts.pop(one.number, None)
        if isinstance(said, Point) and (self.settings.in_3d or one.basin):
            one.basin = True
            self._ask_field(one)
            return
        one.choice = self._kept_choice(one, said.plane)
        if one.names_something(said.plane) or self._whole_in(one, said.plane) is not None:
            self._ask_plane(one, said.plane)
        else:
            one.forget_plane(said.plane)
            self._show(one)

    def _kept_choice(self, one: PromptObject, plane: Plane) -> dict[Plane, int]:
        """A choice among candidates lasts while it is the first prompt that it was made for."""
        choice = dict(one.choice)
        here = [said for said in one.said.values() if said.plane == plane]
        if len(here) < 2 or one.answered.get(plane) != here[0].number:
            choice.pop(plane, None)
        return choice

    def _whole_in(self, one: PromptObject, plane: Plane) -> Any:
        """What an object without prompts of its own covers in a plane, bool (rows, cols)."""
        rest = one.parts.get(None)
        volume = self.session.volume
        if rest is None or volume is None:
            return None
        whole = np.zeros(plane.shape(volume), np.bool_)
        inside = plane.region(slice(0, whole.shape[0]), slice(0, whole.shape[1]), self._axes)
        for side, edge, axis in zip(inside, rest.region, self._axes, strict=True):
            if axis not in plane.axes[1:] and not edge.start <= side.start < edge.stop:
                return None
        picked = tuple(
            slice(None)
            if axis in plane.axes[1:]
            else slice(side.start - edge.start, side.stop - edge.start)
            for side, edge, axis in zip(inside, rest.region, self._axes, strict=True)
        )
        edges = dict(zip(self._axes, rest.region, strict=True))
        flat = Plane(plane.orientation, 0, 0).cut(rest.mask[picked], self._axes)
        whole[edges[plane.axes[1]], edges[plane.axes[2]]] = flat
        return whole if whole.any() else None

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
        one.pending = plane
        revision = one.revision
        said = self._prompts_in(one, plane)
        first = next(iter(n for n, s in one.said.items() if s.plane == plane), 0)

        def land(answer: Answer | None) -> None:
            if self.objects.get(one.number) is not one or one.revision != revision:
                return
            if answer is None:
                self._wait_for(one, plane, said)
                return
            self._take(one, plane, answer, first)
            missing = tuple(getattr(answer, "missing", ()))
            if missing and self._attempts.get(one.number, 0) < MOST_TILES:
                self._attempts[one.number] = self._attempts.get(one.number, 0) + 1
                one.pending = plane  # what is shown so far ends at a tile's border
                self.encoding.want(plane, said, missing)
            elif not missing:
                self._attempts.pop(one.number, None)

        def fail(error: Exception) -> None:
            if self.objects.get(one.number) is one and one.revision == revision:
                one.pending, one.problem = None, str(error)
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
        tried = self._attempts.get(one.number, 0)
        if tried >= ATTEMPTS:
            one.pending = None
            one.problem = (
                "The plane was encoded but not kept: raise the size of the cache in the "
                "preferences, or make room on its disk."
            )
            self.session._fail(CellsegError(one.problem))
            return
        self._attempts[one.number] = tried + 1
        self.encoding.want(plane, said)

    def _on_encoded(self, plane: Plane | None) -> None:
        for one in list(self.objects.values()):
            if plane is None and one.pending is not None and not one.basin:
                one.pending, one.problem = None, self.encoding.problem
            elif plane is not None and one.pending == plane:
                self._ask_plane(one, plane)
        self.changed.emit()

    def _take(self, one: PromptObject, plane: Plane, answer: Answer, first: int) -> None:
        one.pending = None
        one.answers[plane] = answer
        one.answered[plane] = first
        if one.choice.get(plane, 0) >= len(answer):
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
        revision = one.revision
        if not positive:
            one.parts.pop(None, None)
            self._show(one)
            return

        def land(part: Part | None, reason: str) -> None:
            if self.objects.get(one.number) is not one or one.revision != revision:
                return
            one.problem = reason
            if part is None:
                one.parts.pop(None, None)
            else:
                one.parts[None] = part
            one.pending = None
            self._show(one)
            self.changed.emit()

        one.pending = points[-1].plane
        try:
            self.field.ask(one.number, positive, negative, land)
        except CellsegError as error:
            one.pending, one.problem = None, str(error)
            self.session._fail(error)
        self.changed.emit()

    def _on_field(self) -> None:
        self.changed.emit()

    # -- showing ---------------------------------------------------------------------------------

    def _show(self, one: PromptObject) -> None:
        if self.preview is None:
            return
        part = one.whole(self._axes)
        if part is not None:
            own, overwrite = one.label, self.settings.overwrite
            part = self.commits.free(self.session.labels, part, own, overwrite)
            if part is None and not one.problem:
                one.problem = (
                    "This lies on finished cells, which stay as they are: reopen one, or allow "
                    "overwriting."
                )
        self.preview.show(one.number, part)

    def _show_all(self) -> None:
        with self._shown_at_once():
            for one in self.objects.values():
                self._show(one)

    def _shown_at_once(self) -> AbstractContextManager[None]:
        return nullcontext() if self.preview is None else self.preview.at_once()

    def _drop(self, one: PromptObject) -> None:
        self.objects.pop(one.number, None)
        self._attempts.pop(one.number, None)
        one.revision += 1
        if one.pending is not None:
            self.encoding.unwant(one.pending)
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
            forget_scenes(self._owner)
            for one in self.objects.values():
                one.answers.clear()
                if one.pending is not None and not one.basin:
                    one.pending = None
            self.encoding.forget()
            self.changed.emit()

    def _reset(self, volume: Volume | None) -> None:
        """Another image: nothing of the former one stays."""
        self._revision += 1
        forget_scenes(self._owner)
        self.objects.clear()
        self.current = self.last_plane = None
        self._attempts.clear()
        self.commits.forget()
        self._own_labels = None
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
        forget_scenes(self._owner)
        self.objects.clear()
        self.preview = None

    # -- small things ----------------------------------------------------------------------------

    @property
    def _lock(self) -> Any:
        return self.session._lock

    @property
    def _axes(self) -> str:
        return self.session.label_axes

    def _next_number(self) -> int:
        return next(self._prompts)

    def _next_object(self) -> int:
        return next(self._numbers)

    def _volume(self) -> Volume:
        volume = self.session.volume
        if volume is None:
            raise InputError("Open an image first: there is nothing to prompt.")
        return volume

    def _voxel(self, position: Sequence[float]) -> tuple[float, ...]:
        """Check a position along the label axes.

        Raises
        ------
        InputError
            If it is not finite, has other axes, or lies outside the image.
        """
        shape = self._volume().label_shape
        place = tuple(float(at) for at in position)
        if len(place) != len(shape):
            raise InputError(
                f"The position {place} needs one number for each of {', '.join(self._axes)}."
            )
        if not all(math.isfinite(at) for at in place):
            raise InputError("The position is not finite: click on a voxel of the image.")
        if not all(-0.5 <= at <= size - 0.5 for at, size in zip(place, shape, strict=True)):
            raise InputError(
                f"The point {tuple(round(at, 1) for at in place)} lies outside the image, which "
                f"has {shape} voxels ({', '.join(self._axes)})."
            )
        return tuple(min(at, size - 0.51) for at, size in zip(place, shape, strict=True))

    def _plane_of(self, place: tuple[float, ...]) -> Plane:
        at = dict(zip(self._axes, place, strict=True))
        return Plane("xy", round(at.get("z", 0)), round(at.get("t", 0)))

    def _writable_labels(self) -> Labels:
        """Return the session's labels, made empty where there are none yet."""
        if self.session.labels is None:
            self._own_labels = np.zeros(self._volume().label_shape, np.uint32)
            self.session._set_labels(self._own_labels, None, None)
            self.session._refresh()
        assert self.session.labels is not None
        return self.session.labels
