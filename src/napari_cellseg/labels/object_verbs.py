"""Verbs on whole objects: merge, delete, number, add, take over, classify, lock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels import operations
from napari_cellseg.labels.edit import Edit, Mark, Step
from napari_cellseg.labels.verbs_base import Ids, Outcome, Plane, VerbsBase


class ObjectVerbs(VerbsBase):
    """Each is one undo step, and raises InputError before anything changes.

    `ids` are ids or (t, id) keys; `t` is the time point, which labels without time leave out.
    """

    def merge(self, ids: Ids, t: int | None = None, plane: Plane | None = None) -> int:
        """Make one object of two or more; the first id stays.

        Parameters
        ----------
        ids : sequence of int
        t : int, optional
        plane : optional
            Take the others' voxels only in this plane; see `Plane`.

        Returns
        -------
        int
            The id that stays.

        Raises
        ------
        InputError
            Fewer than two objects, one that is missing, locked, or not in the plane.
        """
        with self._lock:
            place = self._place(t, plane)
            chosen = self._ids(ids, place.t)
            kept = chosen[0]
            boxes = [self.objects.box(kept, place.t)]
            boxes += [self._box(one, place) for one in chosen[1:]]
            self._outcome(operations.merge(self._volume(place.t), chosen, boxes), place.t)
            return kept

    def delete(
        self, ids: Ids, t: int | None = None, plane: Plane | None = None, preview: bool = False
    ) -> Outcome:
        """Make objects background.

        Parameters
        ----------
        ids : ids, or (t, id) keys
            As `select` gives them; they may be of different time points.
        t : int, optional
        plane : optional
            Only what lies in this plane; see `Plane`.
        preview : bool
            Return the edits, and change nothing.

        Returns
        -------
        Step, or list of Edit

        Raises
        ------
        InputError
            One that is missing, locked, or not in the plane.
        """
        with self._lock:
            keyed = self._keys(ids, t if t is not None else getattr(plane, "t", None))
            edits: list[Edit] = []
            for when, id in keyed:
                place = self._place(when if self.timed else None, plane)
                box = self._box(id, place)
                edits += self._timed(operations.delete(self._volume(when), [id], [box]), when)
            info = {"ids": [id for _, id in keyed]}
            return edits if preview else self.apply(*edits, info=info)

    def relabel(self, t: int | None = None, start: int = 1) -> dict[int, int]:
        """Number the objects of a time point one after the other.

        Locked objects keep their ids; classes and other marks go with their objects.

        Parameters
        ----------
        t : int, optional
        start : int
            First new id.

        Returns
        -------
        dict of int to int
            New id by old id.

        Raises
        ------
        InputError
            If `start` is below 1.
        """
        with self._lock:
            when = self._time(t)
            ids = [int(one) for one in self.objects.ids(when)]
            boxes = [self.objects.box(one, when) for one in ids]
            keep = [one for one in ids if self.is_locked(one, when)]
            edits, mapping = operations.relabel(self._volume(when), ids, boxes, start, keep)
            # an id that changes hands loses its marks with its voxels, so all are made anew
            moved = [(when, old) for old, new in mapping.items() if old != new]
            marks = [
                Mark(when, mapping[id], name, value)
                for (_, id), name, value in self.objects.marks_of(moved)
            ]
            info = {"start": int(start), "objects": len(moved)}
            self.apply(*self._timed(edits, when), *marks, info=info)
            return mapping

    def new_object(
        self,
        region: Sequence[Any],
        mask: NDArray[np.bool_],
        t: int | None = None,
        *,
        over_others: bool = False,
    ) -> int:
        """Make an object of a mask.

        Parameters
        ----------
        region : tuple of slice
            Where the mask lies, over the spatial axes.
        mask : array of bool
        t : int, optional
        over_others : bool
            Take voxels of other objects, too, but not of locked ones.

        Returns
        -------
        int
            Its id.

        Raises
        ------
        InputError
            An empty mask, or one that leaves nothing to the object.
        """
        with self._lock:
            when = self._time(t)
            id = self.free_ids(1, when)[0]
            box = self._region(region)
            edits = operations.new_object(self._volume(when), box, mask, id, over_others)
            if self._outcome(edits, when) is None:
                raise InputError("Every voxel of the drawing is locked: draw beside the objects.")
            return id

    def transfer(
        self,
        source: VerbsBase,
        ids: Ids | None = None,
        t: int | None = None,
        *,
        over_others: bool = False,
    ) -> dict[int, int]:
        """Take objects over from another document of the same shape.

        They keep their ids where these are free here, and their classes. The step is in this
        document's history; the other one stays as it is.

        Parameters
        ----------
        source : LabelDocument
        ids : sequence of int, optional
            All by default.
        t : int, optional
            Time point, of both.
        over_others : bool
            Take voxels of this document's objects, too, but not of locked ones.

        Returns
        -------
        dict of int to int
            Id here by id there; objects that find no room are missing.

        Raises
        ------
        InputError
            Shapes that differ, an object that is missing there, or no room for any.
        """
        if source.labels.shape != self.labels.shape or source.axes != self.axes:
            raise InputError(
                f"Labels of shape {source.labels.shape} cannot give objects to labels of shape "
                f"{self.labels.shape}: bring both to the same grid."
            )
        with self._lock:
            when = self._time(t)
            chosen = [int(one) for one in source.objects.ids(when)]
            if ids is not None:
                chosen = [id for _, id in source._keys(ids, t, unlocked=False)]
            boxes = [source.objects.box(one, when) for one in chosen]
            taken = [int(one) for one in self.objects.ids(when)]
            there = source.labels[when] if self.timed else source.labels
            edits, mapping = operations.transfer(
                there, self._volume(when), chosen, boxes, taken, self._fresh(when), over_others
            )
            marks = [
                Mark(when, mapping[id], "class", value)
                for (_, id), name, value in source.objects.marks_of((when, k) for k in mapping)
                if name == "class"
            ]
            step = self._outcome(edits, when, marks=marks) if edits else None
            if step is None:
                raise InputError("There is no room for the objects: what they cover is taken.")
            return {a: b for a, b in mapping.items() if (when, b) in self.objects}

    def set_class(self, ids: Ids, name: str | None, t: int | None = None) -> Step | None:
        """Give objects a class; None takes it away. Locked objects may be classified, too."""
        if name is not None and (not isinstance(name, str) or not name.strip()):
            raise InputError("The name of a class must not be empty: None takes the class away.")
        return self._marked(ids, t, {"class": name.strip() if name else None}, "class")

    def lock(self, ids: Ids, t: int | None = None) -> Step | None:
        """Keep objects from being changed by anything but `undo`, `redo` and `unlock`."""
        return self._marked(ids, t, {"locked": True}, "lock")

    def unlock(self, ids: Ids, t: int | None = None) -> Step | None:
        """Let objects be changed again."""
        return self._marked(ids, t, {"locked": None}, "unlock")

    def accept(self, ids: Ids, t: int | None = None) -> Step | None:
        """Mark objects as looked at and right, and lock them."""
        return self._marked(ids, t, {"accepted": True, "locked": True}, "accept")

    def unaccept(self, ids: Ids, t: int | None = None) -> Step | None:
        """Take back that objects were accepted, and unlock them."""
        return self._marked(ids, t, {"accepted": None, "locked": None}, "unaccept")

    def _marked(self, ids: Ids, t: int | None, values: dict[str, Any], kind: str) -> Step | None:
        with self._lock:
            keys = self._keys(ids, t, unlocked=False)
            marks = [Mark(*key, name, value) for key in keys for name, value in values.items()]
            info = {"ids": [id for _, id in keys], **{k: v for k, v in values.items() if v}}
            return self.apply(*marks, kind=kind, info=info)
