"""What prompting does beyond one plane: through z, everything in a plane, picture, download."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from psygnal import Signal

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.plane_view import Plane
from napari_cellseg.session.prompt_answers import PromptAnswers
from napari_cellseg.session.prompt_object import BoxPrompt, Part, PromptObject
from napari_cellseg.worker import Job, Priority
from napari_cellseg.worker.prompt_planes import Kept

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_cellseg.prompts.everything import Everything
    from napari_cellseg.prompts.propagate import Step
    from napari_cellseg.prompts.stop_rule import StopRule

    Mask = NDArray[np.bool_]


class PromptVolume(PromptAnswers):
    """The verbs that take longer; each shows in the session's status and can be cancelled."""

    #: The 8-bit picture that the model sees of a plane: (plane, array of uint8 (rows, cols, 3)).
    pictured: ClassVar[Signal] = Signal(object, object)

    _carrying = 0  # number of the object that was carried through z last

    def through_z(
        self,
        first: int | None = None,
        last: int | None = None,
        rule: StopRule | None = None,
    ) -> Job:
        """Carry the object in hand from the plane prompted last to its neighbours.

        Planes with prompts of their own stay as they are, and the walk goes on from them. Where
        the object was carried already and another plane was corrected since, only the planes
        beyond that one, seen from where it began, are computed again.

        Parameters
        ----------
        first, last : int, optional
            Planes to reach; as far as the object goes by default.
        rule : StopRule, optional

        Returns
        -------
        Job

        Raises
        ------
        InputError
            If no object is in hand, it has no mask in a plane, or the image has one plane only.
        """
        with self._lock:
            one, plane = self._carried()
            count = self._volume().sizes.get(plane.axes[0], 1)
            begun = one.began if one.began is not None and one.began in one.parts else plane
            if (begun.orientation, begun.t) != (plane.orientation, plane.t):
                begun = plane
            one.began = begun
            shape = plane.shape(self._volume())
            known: dict[int, Mask] = {}
            for other in one.planes:
                same = (other.orientation, other.t) == (plane.orientation, plane.t)
                if same and other not in (plane, begun):
                    known[other.index] = self._over_plane(one, other, shape)
            revision = one.revision
            arguments = {
                "scene": self._scene_now(),
                "plane": plane,
                "mask": self._over_plane(one, plane, shape),
                "start": begun.index,
                "known": known,
                "kept": self._kept(one),
                "rule": rule,
                "between": (first or 0, count - 1 if last is None else last),
            }

            def land(steps: list[Step]) -> None:
                if self.objects.get(one.number) is one and one.revision == revision:
                    self._carry(one, plane, begun, steps)

            self._carrying = one.number
            return self.session._submit(
                "through z", "through z", arguments, land, lane="encode", priority=Priority.VIEW
            )

    def everything(
        self,
        diameter: float | None = None,
        min_size: int | None = None,
        max_size: int | None = None,
        **rules: Any,
    ) -> Job:
        """Find everything in the plane in view; each object found is an open one, with its box.

        Parameters
        ----------
        diameter : float, optional
            Of a cell, in pixels.
        min_size, max_size : int, optional
            Pixels.
        rules
            Further arguments of `napari_cellseg.prompts.everything`.

        Raises
        ------
        InputError
            If no plane is in view.
        """
        with self._lock:
            plane = self.encoding.view
            if plane is None:
                raise InputError("No plane is in view: open an image, and turn to a plane of it.")
            revision = self._revision
            arguments = {
                "scene": self._scene_now(),
                "plane": plane,
                "kept": self._kept(None),
                "diameter": diameter,
                "min_size": min_size,
                "max_size": max_size,
                **rules,
            }

            def land(found: Everything) -> None:
                if self._revision == revision:
                    self._spread(plane, found)

            return self.session._submit(
                "everything", "everything", arguments, land, lane="encode", priority=Priority.VIEW
            )

    def picture(self) -> Job:
        """Make the 8-bit picture that the model sees of the plane in view; `pictured` follows.

        Raises
        ------
        InputError
            If no plane is in view.
        """
        with self._lock:
            plane = self.encoding.view
            if plane is None:
                raise InputError("No plane is in view: open an image, and turn to a plane of it.")
            arguments = {"scene": self._scene_now(), "plane": plane}
            return self.session._submit(
                "picture",
                "picture",
                arguments,
                lambda picture: self.pictured.emit(plane, picture),
                lane="decode",
                priority=Priority.VIEW,
            )

    def download(self) -> Job:
        """Fetch the weights of the chosen model."""

        def land(file: Path) -> None:
            self._new_scene()

        return self.session._submit(
            "download", "download model", {"model": self.settings.model}, land, lane="files"
        )

    # -- inside ----------------------------------------------------------------------------------

    def _scene_now(self) -> Any:
        if self.scene() is None:
            self._activate()
        scene = self.scene()
        if scene is None:
            self._volume()  # says what is missing
        return scene

    def _kept(self, one: PromptObject | None) -> Kept:
        locked = frozenset(self.commits.locked) if self.settings.overwrite else None
        own = None if one is None else one.label
        return Kept(self.session.labels, self._axes, own, locked)

    def _carried(self) -> tuple[PromptObject, Plane]:
        """The object in hand, and the plane from which it is carried on."""
        one = self.current
        if one is None:
            raise InputError("No object is in hand: click on a cell first, then carry it through.")
        planes = [plane for plane in (self.last_plane, *reversed(one.planes)) if plane in one.parts]
        if not planes or planes[0] is None:
            raise InputError(
                "The object has no mask in a plane yet: click on it, and wait for its mask."
            )
        if self._volume().sizes.get(planes[0].axes[0], 1) < 2:
            raise InputError("The image has one plane only: there is nothing to carry a mask to.")
        return one, planes[0]

    def _over_plane(self, one: PromptObject, plane: Plane, shape: tuple[int, int]) -> Mask:
        """An object's own part of a plane, over the whole plane; empty where it has none."""
        whole = np.zeros(shape, np.bool_)
        part = one.parts.get(plane)
        if part is not None:
            edges = dict(zip(self._axes, part.region, strict=True))
            flat = Plane(plane.orientation, 0, 0).cut(part.mask, self._axes)
            whole[edges[plane.axes[1]], edges[plane.axes[2]]] = flat
        return whole

    def _carry(self, one: PromptObject, plane: Plane, begun: Plane, steps: list[Step]) -> None:
        """Take the planes that an object was carried to in place of those of the last time."""
        from napari_cellseg.prompts.stop_rule import REASONS

        side = np.sign(plane.index - begun.index)
        for other, part in list(one.parts.items()):
            if other is None or part.source != "through z":
                continue
            if (other.orientation, other.t) != (plane.orientation, plane.t):
                continue
            if side == 0 or side * (other.index - plane.index) > 0:
                del one.parts[other]
        one.stops = {
            index: why
            for index, why in one.stops.items()
            if side != 0 and side * (index - plane.index) <= 0
        }
        for step in steps:
            if step.stopped:
                one.stops[step.index] = REASONS.get(step.stopped, step.stopped)
                continue
            if step.given or not step.mask.any():
                continue
            at = Plane(plane.orientation, step.index, plane.t)
            region = at.region(*step.region, self._axes)
            upright = np.ascontiguousarray(at.upright(step.mask, self._axes))
            one.parts[at] = Part(region, upright, "through z", dict(step.scores))
        one.revision += 1
        self._show(one)
        self.changed.emit()

    def _spread(self, plane: Plane, found: Everything) -> None:
        from scipy import ndimage

        with self._shown_at_once():
            for one in list(self.objects.values()):
                found_before = set(one.parts) == {plane} and len(one.said) == 1
                if found_before and one.parts[plane].source == "everything":
                    self._drop(one)  # found the last time, and not touched since
        for row, place in zip(found.table, ndimage.find_objects(found.labels), strict=False):
            if place is None:
                continue
            rows, cols = place
            mask = found.labels[place] == row["id"]
            one = PromptObject(self._next_object())
            box = (rows.start - 0.5, cols.start - 0.5, rows.stop - 0.5, cols.stop - 0.5)
            number = self._next_number()
            one.said[number] = BoxPrompt(number, box, plane)
            upright = np.ascontiguousarray(plane.upright(mask, self._axes))
            one.parts[plane] = Part(
                plane.region(rows, cols, self._axes),
                upright,
                "everything",
                {"score": float(row["score"])},
            )
            self.objects[one.number] = one
        self._show_all()
        count = len(found)
        self.session._idle_text = f"found {count:,} object{'' if count == 1 else 's'}"
        self.prompts_changed.emit()
        self.changed.emit()
