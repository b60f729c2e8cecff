"""3D clicks: answered by the flow field that the last segmentation kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from psygnal import Signal

from napari_cellseg.errors import InputError
from napari_cellseg.session.prompt_object import Part
from napari_cellseg.worker import Job, JobState, Priority

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cellseg.flows.basin import Basin
    from napari_cellseg.session.jobs import SessionJobs
    from napari_cellseg.session.records import Run

Land = Callable[[Part | None, str], None]


class FieldClicks:
    """Prepares the field once for each time point, and asks it.

    Attributes
    ----------
    ready : bool
        Whether a click is answered at once.
    busy : bool
        Whether the field is being prepared.
    """

    changed: ClassVar[Signal] = Signal()

    def __init__(self, session: SessionJobs) -> None:
        self._session = session
        self._prepared: tuple[Run, float, set[int]] | None = None
        self._preparing: int | None = None
        self._job: Job | None = None
        self._after: dict[int, Callable[[bool], None]] = {}

    @property
    def reason(self) -> str:
        """Why there is no field to click in; empty if there is one."""
        if self._session.volume is None:
            return "Open an image first."
        if self._session._source is None:
            return "3D clicks need a flow field: press Segment all (or Try) in the Segment dock."
        if getattr(self._session._source.segmentation.field, "stitched", False):
            return "Planes that are joined by overlap have no 3D flow to click in: segment in 3D."
        return ""

    @property
    def ready(self) -> bool:
        """Whether the present field is prepared, at some time point."""
        return self._of_present() is not None

    @property
    def busy(self) -> bool:
        """Whether the field is being prepared."""
        return self._preparing is not None

    def forget(self) -> None:
        """Let go of the field."""
        self._prepared, self._preparing, self._job = None, None, None
        self._after.clear()

    def prepare(self, t: int = 0) -> None:
        """Index the field of a time point, unless that was done; nothing without a field."""
        source = self._session._source
        if source is None or self.reason or self._preparing == t:
            return
        done = self._of_present()
        if done is not None and t in done:
            return
        field, frame = source.segmentation.field, self._frame(source, t)
        if frame is None:
            return
        self._preparing, self._job = t, None  # the end of a job that this replaces is no end
        probability = float(source.segmentation.parameters["probability"])

        def land(_: None) -> None:
            known = self._of_present()
            if known is None or self._prepared is None:
                known = set()
                self._prepared = (source, probability, known)
            known.add(t)

        def end(job: Job) -> None:
            if job is not self._job:
                return  # of another image, or another time point was wanted since
            self._preparing = self._job = None
            waiting, self._after = list(self._after.values()), {}
            for ask in waiting:
                ask(job.state is JobState.FAILED)
            self.changed.emit()

        self._job = self._session.background(
            "prepare clicks",
            {"field": field, "t": frame, "probability": probability},
            key="prepare clicks",
            lane="encode",
            priority=Priority.VIEW,
            land=land,
            fail=self._session._fail,
            end=end,
        )
        self.changed.emit()

    def ask(
        self,
        number: int,
        positive: Sequence[Sequence[float]],
        negative: Sequence[Sequence[float]],
        land: Land,
        bounds: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        """Ask for the object that voxels name; it is answered once the field is prepared.

        Parameters
        ----------
        number : int
            Of the object: its newest question replaces one that waits.
        positive, negative : sequence of voxels along the label axes
            Of one time point, that of the last positive one.
        land : callable
            Given the part that was found, or None, and why.
        bounds : mapping of str to two floats, optional
            First and last voxel along some of the axes: the object does not reach beyond.

        Raises
        ------
        InputError
            If there is no field, or it does not reach to where the click was.
        """
        source = self._session._source
        if source is None or self.reason:
            raise InputError(self.reason)
        axes = self._session.label_axes
        t = round(positive[-1][axes.index("t")]) if "t" in axes else 0
        frame = self._frame(source, t)
        if frame is None:
            raise InputError(
                f"Time point {t} was not segmented: press Segment all, then click there."
            )
        done = self._of_present()
        if done is None or t not in done:
            self._after[number] = lambda failed: self._ask_again(
                number, positive, negative, land, bounds, failed
            )
            self.prepare(t)
            return
        offset = np.array(
            [
                0 if source.region is None else source.region[axis].start
                for axis, letter in enumerate(axes)
                if letter != "t"
            ],
            np.float64,
        )

        def local(places: Sequence[Sequence[float]]) -> list[list[float]]:
            kept = [
                [at for at, letter in zip(place, axes, strict=True) if letter != "t"]
                for place in places
                if "t" not in axes or round(place[axes.index("t")]) == t
            ]
            return (np.asarray(kept, np.float64) - offset).tolist() if kept else []

        def found(basin: Basin) -> None:
            if not basin.found:
                land(None, basin.reason)
                return
            edges = [
                slice(edge.start + int(start), edge.stop + int(start))
                for edge, start in zip(basin.region, offset, strict=True)
            ]
            mask = basin.mask
            if "t" in axes:
                edges.insert(0, slice(t, t + 1))
                mask = mask[None]
            land(Part(tuple(edges), np.ascontiguousarray(mask), "basin"), basin.reason)

        assert self._prepared is not None
        field = source.segmentation.field
        wrong = _outside(local(positive) + local(negative), field.spatial_shape)
        if wrong:
            raise InputError(wrong)
        self._session.background(
            "basin",
            {
                "field": field,
                "positive": local(positive),
                "negative": local(negative),
                "box": _box(bounds, axes, offset, field.spatial_shape),
                "t": frame,
                "probability": self._prepared[1],
            },
            key=("basin", number),
            lane="decode",
            priority=Priority.CLICK,
            land=found,
            fail=lambda error: land(None, str(error)),
            end=lambda job: self.changed.emit(),
        )

    def _ask_again(
        self,
        number: int,
        positive: Sequence[Sequence[float]],
        negative: Sequence[Sequence[float]],
        land: Land,
        bounds: Mapping[str, tuple[float, float]] | None,
        failed: bool,
    ) -> None:
        if failed:
            land(None, "The field could not be prepared for 3D clicks: segment again.")
            return
        try:
            self.ask(number, positive, negative, land, bounds)
        except InputError as error:
            land(None, str(error))

    def _of_present(self) -> set[int] | None:
        """Time points prepared of the present field; None if none are."""
        if self._prepared is None or self._prepared[0] is not self._session._source:
            return None
        return self._prepared[2]

    def _frame(self, source: Run, t: int) -> int | None:
        """The field's frame of a time point."""
        if "t" not in self._session.label_axes:
            return 0
        first = 0 if source.region is None else source.region[0].start
        frame = t - first
        return frame if 0 <= frame < source.segmentation.field.n_times else None


def _box(
    bounds: Mapping[str, tuple[float, float]] | None,
    axes: str,
    offset: NDArray[np.float64],
    shape: tuple[int, ...],
) -> list[float] | None:
    """The box of a field that bounds along some label axes give; None without any."""
    if not bounds:
        return None
    letters = [letter for letter in axes if letter != "t"]
    edges = [
        (bounds[letter][0] - start, bounds[letter][1] - start)
        if letter in bounds
        else (0.0, side - 1.0)
        for letter, start, side in zip(letters, offset.tolist(), shape, strict=True)
    ]
    return [low for low, _ in edges] + [high for _, high in edges]


def _outside(places: Sequence[Sequence[float]], shape: tuple[int, ...]) -> str:
    for place in places:
        if not all(-0.5 <= at < size for at, size in zip(place, shape, strict=True)):
            return (
                "The click lies outside the part of the image that was segmented: press Segment "
                "all, or click inside it."
            )
    return ""
