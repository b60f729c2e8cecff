"""What prompting is at any moment, and how it is shown; asks nothing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from psygnal import Signal

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.plane_view import Plane
from napari_cellseg.session.prompt_encoding import PlaneEncoding
from napari_cellseg.session.prompt_field import FieldClicks
from napari_cellseg.session.prompt_marks import Commits, Preview
from napari_cellseg.session.prompt_object import PromptObject
from napari_cellseg.session.prompt_settings import PromptSettings
from napari_cellseg.worker.scene import Scene

if TYPE_CHECKING:
    from napari_cellseg.labels import Change
    from napari_cellseg.session.merge import Labels
    from napari_cellseg.session.session import Session
    from napari_cellseg.volume import Volume

_owners = itertools.count(1)


class PromptState:
    """What prompting is at any moment; `PromptAnswers` adds the way from a prompt to an answer."""

    #: The object in hand, its candidates, or what can be done has changed.
    changed: ClassVar[Signal] = Signal()
    #: Prompts or the object in hand have changed, for whoever draws them.
    prompts_changed: ClassVar[Signal] = Signal()
    #: The preview array is another one (or None).
    preview_replaced: ClassVar[Signal] = Signal(object)

    def __init__(self, session: Session) -> None:
        self.session = session
        self.active = False
        self.settings = PromptSettings()
        self.encoding = PlaneEncoding(session, self.scene)
        self.field = FieldClicks(session)
        self.preview: Preview | None = None
        self.commits = Commits(session)
        self.objects: dict[int, PromptObject] = {}
        self.current: PromptObject | None = None
        self.last_plane: Plane | None = None
        self._owner = f"prompts {next(_owners)}"
        self._revision = 0
        self._prompts = itertools.count(1)
        self._numbers = itertools.count(1)
        self._tickets = itertools.count(1)
        self._making_labels = False
        self.encoding.changed.connect(self.changed.emit)
        session.stepped.connect(self._on_step)

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
        with self._lock:
            self.field.prepare(self.encoding.view.t if self.encoding.view is not None else 0)

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

    def _on_step(self, change: Change) -> None:
        """Follow what changed the cells: what is free, and what is still there, is another."""

    def _show_all(self) -> None:
        with self._shown_at_once():
            for one in self.objects.values():
                self._show(one)

    def _shown_at_once(self) -> AbstractContextManager[None]:
        return nullcontext() if self.preview is None else self.preview.at_once()

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
            empty = np.zeros(self._volume().label_shape, np.uint32)
            self._making_labels = True  # objects and what can be undone belong to these
            try:
                self.session._set_labels(empty, None, None)
            finally:
                self._making_labels = False
            self.session._refresh()
        assert self.session.labels is not None
        return self.session.labels
