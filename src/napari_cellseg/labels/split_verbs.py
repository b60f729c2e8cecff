"""Verbs that make several objects of one: split by seeds, into pieces, along a line or plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels import operations
from napari_cellseg.labels.edit import Edit, Mark, Slices
from napari_cellseg.labels.verbs_base import Place, Plane, VerbsBase

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class SplitVerbs(VerbsBase):
    """Each is one undo step; the old id stays on the largest part, and parts keep the class.

    They return all ids, the old one first, or, with ``preview=True``, the edits.
    """

    def split(
        self,
        id: int,
        seeds: Sequence[ArrayLike],
        *,
        image: Any = None,
        flow: Any = None,
        bright: bool = True,
        t: int | None = None,
        plane: Plane | None = None,
        preview: bool = False,
    ) -> list[int] | list[Edit]:
        """Split an object into a part for each seed.

        By its shape, or by an image, or by a flow field; see `operations.split_seeds`.

        Parameters
        ----------
        id : int
        seeds : sequence of array-like, each ([z,] y, x) or (n, ndim)
            Two or more, in voxels: a point, or the points of a scribble.
        image : array ([t,] [z,] y, x), optional
            Intensities; only the object's box is read.
        flow : FlowField or array ([t,] D, [z,] y, x), optional
            Directions towards the cells' centres; only the object's box is read.
        bright : bool
            Whether cells are brighter than what lies between them; False for membranes.
        t : int, optional
            Time point.
        plane : optional
            Split only what lies in this plane; see `Plane`.
        preview : bool
            Return the edits, and change nothing.

        Raises
        ------
        InputError
            Fewer than two seeds, one outside the object or two in a voxel, an object that is
            missing or locked, or an image or flow of another shape.
        """
        with self._lock:
            place = self._place(t, plane)
            id = self._one(id, place.t)
            box = self._box(id, place)
            edits = operations.split_seeds(
                self._volume(place.t),
                id,
                box,
                seeds,
                self._fresh(place.t),
                self.spacing,
                image=None if image is None else self._cut_of(image, (), box, place, "image"),
                flow=None if flow is None else self._flow_of(flow, box, place),
                bright=bright,
            )
            return self._parts(id, edits, place, preview)

    def split_components(
        self,
        id: int,
        t: int | None = None,
        plane: Plane | None = None,
        preview: bool = False,
    ) -> list[int] | list[Edit]:
        """Split an object into its connected components.

        Raises
        ------
        InputError
            An object that is in one piece, missing or locked.
        """
        with self._lock:
            place = self._place(t, plane)
            id = self._one(id, place.t)
            box, fresh = self._box(id, place), self._fresh(place.t)
            edits = operations.split_components(self._volume(place.t), id, box, fresh)
            return self._parts(id, edits, place, preview)

    def cut(
        self,
        id: int,
        line: ArrayLike | None = None,
        *,
        point: Sequence[float] | None = None,
        normal: Sequence[float] | None = None,
        plane: Plane | None = None,
        through: bool = True,
        t: int | None = None,
        preview: bool = False,
    ) -> list[int] | list[Edit]:
        """Cut an object in two along a drawn line, or by a plane through a point.

        Parameters
        ----------
        id : int
        line : array-like (n, 2), optional
            (row, col) in voxels, drawn in `plane`; it goes straight on beyond its ends.
        point, normal : sequence of float, optional
            Of a cutting plane, in place of `line`: in voxels, and a direction in µm.
        plane : optional
            The viewed plane, "xy" by default; see `Plane`.
        through : bool
            Cut the object's whole depth; False: only what lies in `plane`.
        t : int, optional
            Time point.
        preview : bool
            Return the edits, and change nothing.

        Raises
        ------
        InputError
            A line or plane that misses the object, both or neither of them given, or an object
            that is missing or locked.
        """
        if (line is None) == (point is None or normal is None):
            raise InputError("A cut needs either a line or the point and normal of a plane.")
        if not through and plane is None and self._spatial == 3:
            raise InputError("Say in which plane to cut, or cut the whole depth.")
        with self._lock:
            place = self._place(t, plane)
            id = self._one(id, place.t)
            whole = replace(place, axis=None) if through else place
            box, fresh = self._box(id, whole), self._fresh(place.t)
            volume = self._volume(place.t)
            if line is not None:
                axis = place.axis or 0
                edits = operations.cut_line(volume, id, box, line, fresh, self.spacing, axis)
            else:
                assert point is not None
                assert normal is not None
                edits = operations.cut_plane(volume, id, box, point, normal, fresh, self.spacing)
            return self._parts(id, edits, place, preview)

    def _parts(
        self, id: int, edits: list[Edit], place: Place, preview: bool
    ) -> list[int] | list[Edit]:
        if preview:
            return self._timed(edits, place.t)
        new = [int(edit.values) for edit in edits]
        kind = self.objects.mark(id, "class", place.t)
        marks = [Mark(place.t, one, "class", kind) for one in new if kind is not None]
        self._outcome(edits, place.t, marks=marks)
        return [id, *new]

    def _flow_of(self, flow: Any, box: Slices, place: Place) -> NDArray[Any]:
        """Return the flow in a box, of a field or an array."""
        return self._cut_of(getattr(flow, "flow", flow), (self._spatial,), box, place, "flow")

    def _cut_of(
        self, array: Any, first: tuple[int, ...], box: Slices, place: Place, what: str
    ) -> NDArray[Any]:
        """Return a box of an array as large as the labels, or as one time point of them."""
        spatial = self.labels.shape[-self._spatial :]
        shape = tuple(getattr(array, "shape", ()))
        before: tuple[int | slice, ...] = (slice(None),) * len(first)
        if self.timed and shape == (self.labels.shape[0], *first, *spatial):
            before = (place.t, *before)
        elif shape != (*first, *spatial):
            raise InputError(
                f"The {what} of shape {shape} does not fit the labels: give one of shape "
                f"{(*first, *spatial)}."
            )
        return np.asarray(array[(*before, *box)])
