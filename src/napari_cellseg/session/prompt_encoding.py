"""Which plane is encoded next: one that was clicked, then the one in view, then its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, ClassVar

from psygnal import Signal

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.plane_view import Plane
from napari_cellseg.worker import Job, Priority

if TYPE_CHECKING:
    from napari_cellseg.prompts.clicker import PlanePrompts
    from napari_cellseg.session.jobs import SessionJobs
    from napari_cellseg.worker.prompting import Encoded, ModelFacts
    from napari_cellseg.worker.scene import Scene

AHEAD = 8
"""Planes on either side of the one in view that are encoded while nothing else is to do."""


class PlaneEncoding:
    """Keeps one encoding under way, always the most urgent one.

    A plane that was clicked is wanted most, then the plane in view, then its neighbours outwards.
    What becomes more urgent than the plane being encoded stops that one: encoders look at their
    token between blocks, and a plane can take half a minute.

    Parameters
    ----------
    session : SessionJobs
        Submits the work.
    scene : callable
        Returns what is to be encoded for now, or None.

    Attributes
    ----------
    view : Plane or None
    near : two floats or None
        Pixel at the middle of the view; large planes begin there.
    ahead : int
        See `AHEAD`.
    ready : frozenset of Plane
        Planes known to be encoded (large ones in part).
    running : Plane or None
    model : ModelFacts or None
        Of the model, once it is loaded.
    problem : str
        Why nothing is encoded, or not the plane in view, in one sentence; empty while all is well.
    """

    changed: ClassVar[Signal] = Signal()
    #: A plane is encoded; None: nothing can be.
    ended: ClassVar[Signal] = Signal(object)
    #: A plane cannot be encoded (its pixels are all the same, or NaN): the plane, and why.
    refused: ClassVar[Signal] = Signal(object, str)

    def __init__(self, session: SessionJobs, scene: Callable[[], Scene | None]) -> None:
        self._session = session
        self._scene = scene
        self._wanted: dict[Plane, tuple[PlanePrompts, tuple[int, ...], int]] = {}
        self._refused: dict[Plane, str] = {}
        self._halted = False
        self._job: Job | None = None
        self._large = False
        self.view: Plane | None = None
        self.near: tuple[float, float] | None = None
        self.ahead = AHEAD
        self.ready: frozenset[Plane] = frozenset()
        self.running: Plane | None = None
        self.model: ModelFacts | None = None
        self.problem = ""

    def look_at(self, plane: Plane | None, near: tuple[float, float] | None = None) -> None:
        """Take a plane as the one in view."""
        self.view, self.near = plane, near
        if not self._halted:
            self.problem = "" if plane is None else self._refused.get(plane, "")
        self._pump()

    def want(
        self, plane: Plane, said: PlanePrompts, tiles: tuple[int, ...] = (), by: int = 0
    ) -> None:
        """Encode a plane first, because it was prompted; of a large one, the tiles it needs."""
        self._wanted.pop(plane, None)
        self._wanted[plane] = said, tiles, by  # the latest comes last
        self._refused.pop(plane, None)
        self.ready -= {plane}
        self.problem, self._halted = "", False
        self._pump()

    def wanted_by(self, plane: Plane) -> int | None:
        """For which object a plane is to be encoded first; None if for none."""
        return self._wanted[plane][2] if plane in self._wanted else None

    def unwant(self, plane: Plane, by: int = 0) -> bool:
        """A plane is no more urgent than others, if it was for this object; whether it was."""
        if self.wanted_by(plane) != by:
            return False
        del self._wanted[plane]
        self._pump()
        return True

    def stop(self) -> None:
        """Encode nothing any more, until something is asked for again."""
        self._wanted.clear()
        self.view = None
        if self._job is not None:
            self._job.cancel()

    def forget(self) -> None:
        """Start afresh: image, contrast or model have changed."""
        self.ready = frozenset()
        self._wanted.clear()
        self._refused.clear()
        self.model, self.problem, self._large, self._halted = None, "", False, False
        if self._job is not None:
            self._job.cancel()
        self._pump()
        self.changed.emit()

    def _targets(self, scene: Scene) -> Iterator[Plane]:
        yield from reversed(self._wanted)
        if self.view is None:
            return
        yield self.view
        if self._large:  # tiles are encoded where somebody looks or clicks
            return
        count = scene.volume.sizes.get(self.view.axes[0], 1)
        for step in range(1, self.ahead + 1):
            for sign in (1, -1):
                if 0 <= self.view.index + sign * step < count:
                    yield self.view.moved(sign * step)

    def _pump(self) -> None:
        scene = self._scene()
        if scene is None or self._halted:
            return
        done = self.ready.union(self._refused)
        target = next((plane for plane in self._targets(scene) if plane not in done), None)
        if target is None or target == self.running:
            return
        if self._job is not None:
            # a neighbour that is half done is left only for something that somebody waits for
            if target in self._wanted or target == self.view:
                self._job.cancel()
            return  # its end pumps again
        urgent = target in self._wanted or target == self.view
        said, tiles, _ = self._wanted.get(target, (None, (), 0))
        self.running = target
        self._job = self._session.background(
            "encode plane",
            {
                "scene": scene,
                "plane": target,
                "said": said,
                "near": self.near if target == self.view else None,
                "tiles": tiles,
            },
            key="encode",
            lane="encode",
            priority=Priority.VIEW if urgent else Priority.PREFETCH,
            land=lambda encoded: self._land(scene, encoded),
            fail=lambda error: self._fail(scene, target, error),
            end=self._end,
        )
        self.changed.emit()

    def _land(self, scene: Scene, encoded: Encoded) -> None:
        present = self._scene()
        if present is None or present.revision != scene.revision:
            return
        self.ready |= {encoded.plane}
        self.model = encoded.model
        self._large = encoded.tiled
        self._wanted.pop(encoded.plane, None)
        self.ended.emit(encoded.plane)

    def _fail(self, scene: Scene, plane: Plane, error: Exception) -> None:
        present = self._scene()
        if present is None or present.revision != scene.revision:
            return
        said = str(error) or type(error).__name__
        if isinstance(error, InputError):  # of this plane: others go on
            self._refused[plane] = said
            wanted = self._wanted.pop(plane, None) is not None
            if plane == self.view:
                self.problem = said
            if wanted or plane == self.view:  # nobody asked for a neighbour
                self._session._fail(error)
            self.refused.emit(plane, said)
            return
        self._wanted.clear()
        self.problem, self._halted = said, True
        self._session._fail(error)
        self.ended.emit(None)

    def _end(self, job: Job) -> None:
        if job is not self._job:
            return
        self._job = self.running = None
        self._pump()
        self.changed.emit()
