"""An object that a user prompts: what was said of it, and where it is found so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.prompts.plane_view import Plane

if TYPE_CHECKING:
    from napari_cellseg.prompts.answer import Answer
    from napari_cellseg.prompts.clicker import PlanePrompts

Slices = tuple[slice, ...]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Point:
    """A click.

    Attributes
    ----------
    number : int
        Names it; no other prompt of the session has it.
    position : tuple of float
        Voxel along the label axes.
    positive : bool
    plane : Plane
        The plane it was made in.
    """

    number: int
    position: tuple[float, ...]
    positive: bool
    plane: Plane


@dataclass(frozen=True)
class BoxPrompt:
    """A box ``(row0, col0, row1, col1)`` in a plane."""

    number: int
    box: Box
    plane: Plane


@dataclass(frozen=True, eq=False)
class Drawing:
    """A scribble or a lasso: its vertices, (n, 2) ``(row, col)``, and what it covers."""

    number: int
    kind: str
    vertices: NDArray[np.float64]
    rows: slice
    cols: slice
    mask: NDArray[np.bool_] = field(repr=False)
    plane: Plane

    def over(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return it over the whole plane."""
        whole = np.zeros(shape, np.bool_)
        whole[self.rows, self.cols] = self.mask
        return whole


Said = Point | BoxPrompt | Drawing


def described(said: Said) -> dict[str, Any]:
    """Return a prompt as provenance keeps it, ready for JSON."""
    plane = [said.plane.orientation, said.plane.index, said.plane.t]
    if isinstance(said, Point):
        return {"point": list(said.position), "positive": said.positive, "plane": plane}
    if isinstance(said, BoxPrompt):
        return {"box": list(said.box), "plane": plane}
    return {said.kind: said.vertices.tolist(), "plane": plane}


@dataclass(frozen=True, eq=False)
class Part:
    """Where an object is, as one answer gave it.

    Attributes
    ----------
    region : tuple of slice
        Over the label axes.
    mask : array of bool
        Of the region's shape.
    source : str
        "click", "through z", "basin", "everything" or "label".
    scores : dict of str to float
        "score" (the predicted intersection over union), and of planes that were reached through z
        "overlap" and "area_ratio" too.
    """

    region: Slices
    mask: NDArray[np.bool_] = field(repr=False)
    source: str
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return int(np.count_nonzero(self.mask))


class PromptObject:
    """One object: open while it is prompted, committed once it is in the labels.

    Attributes
    ----------
    number : int
        Names it in the session; the preview shows it by this number.
    said : dict of int to Point, BoxPrompt or Drawing
        By number, in the order of saying.
    parts : dict of Plane to Part
        Answers of planes. Under None, what is not of one plane (a basin, a label that was
        reopened); planes with an answer of their own take the place of that.
    label : int or None
        Its id in the labels, once it has one.
    awaited : dict of Plane to int
        Planes whose answer is being waited for, and the ticket of the newest question there: an
        answer to any other is dropped.
    put_off : tuple of Plane
        Planes whose answer was waited for when prompting was turned off.
    tries, followed : dict of Plane to int
        Encodings that a question has led to, and times that a mask was followed into new tiles.
    problem : str
        Why the last prompts found nothing, in one sentence.
    basin : bool
        Whether its clicks are answered by the flow field.
    bounds : set of int
        Numbers of its boxes that bound what the flow field answers, in place of naming something
        in their planes.
    began : Plane or None
        Where it was carried through z from.
    stops : dict of int to str
        Planes in which that ended, and why.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.said: dict[int, Said] = {}
        self.parts: dict[Plane | None, Part] = {}
        self.label: int | None = None
        self.region: Slices | None = None
        self.answers: dict[Plane, Answer] = {}
        self.choice: dict[Plane, int] = {}
        self.answered: dict[Plane, int] = {}
        self.awaited: dict[Plane, int] = {}
        self.put_off: tuple[Plane, ...] = ()
        self.tries: dict[Plane, int] = {}
        self.followed: dict[Plane, int] = {}
        self.asked_field: tuple[Plane, int] | None = None
        self.problem = ""
        self.revision = 0
        self.basin = False
        self.bounds: set[int] = set()
        self.began: Plane | None = None
        self.stops: dict[int, str] = {}

    def __repr__(self) -> str:
        return f"<PromptObject {self.number}: {len(self.said)} prompts, {len(self.parts)} parts>"

    @property
    def pending(self) -> Plane | None:
        """Where an answer is being waited for; the plane asked last, if in several."""
        if self.asked_field is not None:
            return self.asked_field[0]
        return next(reversed(self.awaited), None)

    @property
    def empty(self) -> bool:
        """Whether nothing was said and nothing found."""
        return not self.said and not self.parts

    @property
    def points(self) -> tuple[Point, ...]:
        """Its points, in order."""
        return tuple(one for one in self.said.values() if isinstance(one, Point))

    @property
    def planes(self) -> tuple[Plane, ...]:
        """Planes in which something was said, in order."""
        return tuple(dict.fromkeys(one.plane for one in self.said.values()))

    @property
    def voxels(self) -> int:
        """Voxels of all parts (a plane that also lies in the whole counts twice)."""
        return sum(part.voxels for part in self.parts.values())

    def bounding(self) -> dict[str, tuple[float, float]]:
        """First and last voxel along each axis that its boxes bound, by the axis' letter."""
        edges: dict[str, tuple[float, float]] = {}
        for one in self.said.values():
            if isinstance(one, BoxPrompt) and one.number in self.bounds:
                _, rows, cols = one.plane.axes
                row0, col0, row1, col1 = one.box
                for axis, low, high in ((rows, row0, row1), (cols, col0, col1)):
                    known = edges.get(axis, (low, high))
                    edges[axis] = max(low, known[0]), min(high, known[1])
        return edges

    def in_plane(self, plane: Plane, shape: tuple[int, int], axes: str) -> PlanePrompts:
        """Put together what was said in one plane.

        Parameters
        ----------
        plane : Plane
        shape : tuple of int
            Rows and columns of the plane.
        axes : str
            Label axes.
        """
        from napari_cellseg.prompts.clicker import PlanePrompts

        here = [
            one
            for one in self.said.values()
            if one.plane == plane and one.number not in self.bounds
        ]
        points = [one for one in here if isinstance(one, Point)]
        boxes = [one.box for one in here if isinstance(one, BoxPrompt)]
        drawings = [one.over(shape) for one in here if isinstance(one, Drawing)]
        return PlanePrompts(
            tuple(plane.pixel(one.position, axes) for one in points),
            tuple(int(one.positive) for one in points),
            boxes[-1] if boxes else None,
            np.logical_or.reduce(drawings) if drawings else None,
            self.choice.get(plane, 0),
        )

    def names_something(self, plane: Plane) -> bool:
        """Whether what was said in a plane says where the object is."""
        return any(
            one.plane == plane
            and one.number not in self.bounds
            and not (isinstance(one, Point) and not one.positive)
            for one in self.said.values()
        )

    def forget_plane(self, plane: Plane) -> None:
        """Drop what was found in a plane."""
        self.parts.pop(plane, None)
        for found in (self.answers, self.choice, self.answered, self.tries, self.followed):
            found.pop(plane, None)

    def copy(self) -> PromptObject:
        """Return an object that can be changed without this one."""
        other = PromptObject(self.number)
        other.said, other.parts = dict(self.said), dict(self.parts)
        other.label, other.region, other.basin = self.label, self.region, self.basin
        other.bounds = set(self.bounds)
        other.choice, other.answered = dict(self.choice), dict(self.answered)
        other.began, other.stops = self.began, dict(self.stops)
        return other

    def whole(self, axes: str) -> Part | None:
        """Everything that was found, as one part; None if nothing was."""
        return united(self.parts, axes)


def united(parts: dict[Plane | None, Part], axes: str) -> Part | None:
    """Unite the parts of an object; a plane's own part replaces that plane of the rest.

    Parameters
    ----------
    parts : dict of Plane or None to Part
    axes : str
        Label axes.

    Returns
    -------
    Part or None
        Over the box around all of them; None if no voxel is left.
    """
    if not parts:
        return None
    if len(parts) == 1:
        part = next(iter(parts.values()))
        return part if part.mask.any() else None
    box = around(part.region for part in parts.values())
    mask = np.zeros(tuple(edge.stop - edge.start for edge in box), np.bool_)
    rest = parts.get(None)
    if rest is not None:
        mask[shifted(rest.region, box)] |= rest.mask
    for plane in parts:
        if plane is not None:
            where = plane.region(slice(None), slice(None), axes)
            inside = tuple(
                edge
                if edge == slice(None)
                else slice(edge.start - side.start, edge.stop - side.start)
                for edge, side in zip(where, box, strict=True)
            )
            mask[inside] = False
    for plane, part in parts.items():
        if plane is not None:
            mask[shifted(part.region, box)] |= part.mask
    if not mask.any():
        return None
    sources = {part.source for part in parts.values()}
    return Part(box, mask, sources.pop() if len(sources) == 1 else "click")


def around(regions: Iterable[Slices]) -> Slices:
    """The box around regions."""
    return tuple(
        slice(min(edge.start for edge in edges), max(edge.stop for edge in edges))
        for edges in zip(*regions, strict=True)
    )


def shifted(region: Sequence[slice], box: Sequence[slice]) -> Slices:
    """A region as seen from the corner of a box."""
    return tuple(
        slice(edge.start - side.start, edge.stop - side.start)
        for edge, side in zip(region, box, strict=True)
    )


def moved(said: Said, position: Sequence[float], axes: str) -> Said:
    """A point at another place of its plane; anything else as it is."""
    if not isinstance(said, Point):
        return said
    row, col = said.plane.pixel(position, axes)
    return replace(said, position=said.plane.position(row, col, axes))
