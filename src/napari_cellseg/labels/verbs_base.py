"""What the verbs of a document share: which object, where, and what comes of the edits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.labels.core import LabelCore
from napari_cellseg.labels.edit import MOST, Edit, Key, Labels, Mark, Slices, Step
from napari_cellseg.labels.operations.geometry import lengths, plane_of
from napari_cellseg.labels.operations.preview import preview

AXIS = {"xy": 0, "xz": 1, "yz": 2}


class PlaneLike(Protocol):
    """A plane as the rest of the package knows it."""

    @property
    def orientation(self) -> str:
        """Which axes it shows: "xy", "xz" or "yz"."""

    @property
    def index(self) -> int:
        """Where it is, along the third."""


Plane: TypeAlias = int | tuple[str, int] | PlaneLike
"""The viewed plane: ("xy", index), ("xz", index), ("yz", index), an index of z, or an object with
`orientation` and `index` (and `t`)."""
Ids: TypeAlias = int | Iterable[int] | Iterable[Key]
"""An id, ids, or (t, id) keys."""
Outcome: TypeAlias = Step | list[Edit] | None
"""The step; None where nothing changed; the edits where only a preview was wanted."""


@dataclass(frozen=True)
class Place:
    """Where a verb works: a time point, and a plane if not in the whole object."""

    t: int
    axis: int | None = None
    index: int = 0


class VerbsBase(LabelCore):
    """The checks that come before anything changes, and the way into `apply`."""

    @property
    def _spatial(self) -> int:
        return len(self.axes) - self.timed

    def _place(self, t: int | None, plane: Plane | None = None) -> Place:
        """Return where to work; InputError where that is not clear or not there."""
        if t is None and plane is not None and self.timed:
            t = getattr(plane, "t", None)
        when = self._time(t)
        if plane is None:
            return Place(when)
        if isinstance(plane, int | np.integer):
            orientation, index = "xy", int(plane)
        elif isinstance(plane, tuple):
            if len(plane) != 2:
                raise InputError(f"The plane {plane} must be an orientation and an index.")
            orientation, index = plane[0], _whole(plane[1])
        else:
            orientation, index = plane.orientation, plane.index
        shape = self.labels.shape[-self._spatial :]
        if orientation not in (AXIS if len(shape) == 3 else ("xy",)):
            raise InputError(
                f"The labels have no {orientation!r} planes: choose 'xy'"
                + (", 'xz' or 'yz'." if len(shape) == 3 else ".")
            )
        axis, count = AXIS[orientation], shape[AXIS[orientation]] if len(shape) == 3 else 1
        if not 0 <= index < count:
            raise InputError(
                f"There is no {orientation} plane {index}: they go from 0 to {count - 1}."
            )
        return Place(when, axis, int(index)) if len(shape) == 3 else Place(when)

    def _time(self, t: int | None) -> int:
        if not self.timed:
            if t not in (None, 0):
                raise InputError(f"The labels have no time axis: leave out t={t}.")
            return 0
        count = self.labels.shape[0]
        if t is None:
            raise InputError(f"The labels have {count} time points: say which one with t=….")
        when = _whole(t)
        if not 0 <= when < count:
            raise InputError(f"There is no time point {when}: they go from 0 to {count - 1}.")
        return when

    def _volume(self, t: int) -> Labels:
        return self.labels[t] if self.timed else self.labels

    def _keys(self, ids: Ids, t: int | None, *, unlocked: bool = True) -> list[Key]:
        """Return (t, id) of objects that exist and, if so wished, are not locked; none twice."""
        given = listed(ids)
        if not given:
            raise InputError("No object is chosen: choose one first.")
        out: dict[Key, None] = {}
        for one in given:
            if isinstance(one, tuple) and len(one) == 2:
                key = (self._time(_whole(one[0])), _whole(one[1]))
            else:
                key = (self._time(t), _whole(one))
            self.objects.voxels(key[1], key[0])  # raises where there is none
            if unlocked and self.is_locked(key[1], key[0]):
                raise InputError(f"Object {key[1]} is locked: unlock it before you change it.")
            out[key] = None
        return list(out)

    def _ids(self, ids: Ids, t: int) -> list[int]:
        """Return ids at one time point, as `_keys`."""
        keys = self._keys(ids, t)
        if any(key[0] != t for key in keys):
            raise InputError("The objects are of different time points: choose those of one.")
        return [id for _, id in keys]

    def _one(self, id: int, t: int) -> int:
        return self._ids([id], t)[0]

    def _writable_id(self, id: int, t: int) -> int:
        """Return an id that an object has or may get."""
        value = _whole(id)
        if not 0 < value <= MOST:
            raise InputError(f"The object's id {value} must lie between 1 and {MOST}.")
        if self.is_locked(value, t):
            raise InputError(f"Object {value} is locked: unlock it before you change it.")
        return value

    def _box(self, id: int, place: Place) -> Slices:
        """Return an object's box, in the plane if there is one."""
        box = self.objects.box(id, place.t)
        if place.axis is None:
            return box
        cut = plane_of(box, place.axis, place.index)
        if not all(lengths(cut)) or not (self._volume(place.t)[cut] == id).any():
            raise InputError(f"Object {id} has nothing in plane {place.index}: go to one it is in.")
        return cut

    def _region(self, region: Sequence[Any]) -> Slices:
        """Return a box over the spatial axes that lies in the labels."""
        from napari_cellseg.labels.edit import as_region

        box = as_region(region)
        shape = self.labels.shape[-self._spatial :]
        if len(box) != len(shape) or any(
            cut.stop > size for cut, size in zip(box, shape, strict=True)
        ):
            raise InputError("The drawing's box does not lie in the labels: draw within them.")
        return box

    def _fresh(self, t: int) -> Any:
        """Return the callable that gives new ids."""
        return lambda count: self.free_ids(count, t)

    def _timed(self, edits: Sequence[Edit], t: int) -> list[Edit]:
        return [edit.at(t) for edit in edits] if self.timed else list(edits)

    def _outcome(
        self,
        edits: Sequence[Edit],
        t: int,
        preview: bool = False,
        *,
        marks: Sequence[Mark] = (),
        info: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """Apply edits of one time point as one step, or give them back."""
        made = self._timed(edits, t)
        return made if preview else self.apply(*made, *marks, info=info)

    def preview(self, edits: Sequence[Edit]) -> tuple[Slices, Labels]:
        """Return the box around edits, and what the labels there would be; nothing is written.

        Voxels that locks would spare are shown as edited.

        Parameters
        ----------
        edits : sequence of Edit
            As a verb gave them with ``preview=True``.

        Returns
        -------
        region : tuple of slice
            Over all axes of the labels.
        box : array of uint32

        Raises
        ------
        InputError
            If there are none.
        """
        return preview(self.labels, edits)


def listed(ids: Ids) -> list[Any]:
    """Return ids as a list, where there is only one, too."""
    return [ids] if isinstance(ids, int | np.integer) else list(ids)


def _whole(value: Any) -> int:
    try:
        return int(value.__index__())
    except (AttributeError, TypeError):
        raise InputError(f"{value!r} must be a whole number.") from None
