"""Verbs that change an object's shape: fill, smooth, grow, shrink, paint, slices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels import operations
from napari_cellseg.labels.edit import Edit, Labels, Slices
from napari_cellseg.labels.verbs_base import AXIS, Ids, Outcome, Place, Plane, VerbsBase


class ShapeVerbs(VerbsBase):
    """Each is one undo step, for one object or several, in 3D or in a viewed plane.

    They return the step, None where nothing changed, or, with ``preview=True``, the edits. Where
    two objects want the same voxel, the one that is named first gets it.
    """

    def fill_holes(
        self,
        ids: Ids,
        t: int | None = None,
        plane: Plane | None = None,
        *,
        each: str | None = None,
        preview: bool = False,
    ) -> Outcome:
        """Fill what objects enclose, where there is background.

        Parameters
        ----------
        ids : ids
        t : int, optional
            Time point.
        plane : optional
            Only in this plane; see `Plane`.
        each : {"xy", "xz", "yz"}, optional
            Fill each plane of this orientation on its own, as a 3D hole may be open at one side.
        preview : bool
            Return the edits, and change nothing.
        """
        along = None if each is None else self._axis(each)
        return self._each(
            ids,
            self._place(t, plane),
            preview,
            lambda volume, id, box, place: operations.fill_holes(volume, id, box, along),
        )

    def smooth(
        self,
        ids: Ids,
        width: float | None = None,
        *,
        voxels: float | None = None,
        t: int | None = None,
        plane: Plane | None = None,
        preview: bool = False,
    ) -> Outcome:
        """Round objects off, keeping their sizes; see `operations.smooth`.

        Parameters
        ----------
        ids : ids
        width, voxels : float, optional
            How much, in µm or in voxels; 1 voxel by default.
        t, plane, preview
            As for `fill_holes`.
        """
        much, spacing = self._measure(width, voxels)
        return self._each(
            ids,
            self._place(t, plane),
            preview,
            lambda volume, id, box, place: operations.smooth(volume, id, box, much, spacing),
        )

    def grow(
        self,
        ids: Ids,
        distance: float | None = None,
        *,
        voxels: float | None = None,
        t: int | None = None,
        plane: Plane | None = None,
        preview: bool = False,
    ) -> Outcome:
        """Let objects grow into the background, never over others.

        Parameters
        ----------
        ids : ids
        distance, voxels : float, optional
            How far, in µm or in voxels; 1 voxel by default.
        t, plane, preview
            As for `fill_holes`.
        """
        much, spacing = self._measure(distance, voxels)

        def grown(volume: Labels, id: int, box: Slices, place: Place) -> list[Edit]:
            flat = () if place.axis is None else (place.axis,)
            return operations.grow(volume, id, box, much, spacing, flat)

        return self._each(ids, self._place(t, plane), preview, grown)

    def shrink(
        self,
        ids: Ids,
        distance: float | None = None,
        *,
        voxels: float | None = None,
        t: int | None = None,
        plane: Plane | None = None,
        preview: bool = False,
    ) -> Outcome:
        """Take off the outside of objects.

        Parameters
        ----------
        ids : ids
        distance, voxels : float, optional
            How far, in µm or in voxels; 1 voxel by default.
        t, plane, preview
            As for `fill_holes`.

        Raises
        ------
        InputError
            If nothing would be left of one.
        """
        much, spacing = self._measure(distance, voxels)
        return self._each(
            ids,
            self._place(t, plane),
            preview,
            lambda volume, id, box, place: operations.shrink(volume, id, box, much, spacing),
        )

    def keep_largest(
        self,
        ids: Ids,
        t: int | None = None,
        plane: Plane | None = None,
        preview: bool = False,
    ) -> Outcome:
        """Make background of all of objects but their largest connected component."""
        return self._each(
            ids,
            self._place(t, plane),
            preview,
            lambda volume, id, box, place: operations.keep_largest(volume, id, box),
        )

    def paint(
        self,
        id: int,
        region: Sequence[Any],
        mask: NDArray[np.bool_],
        t: int | None = None,
        *,
        over_others: bool = False,
    ) -> Outcome:
        """Add the voxels of a mask to an object, which may be a new one.

        `operations.ball`, `disc` and `polygon` give the mask of a drawing, through slices, too:
        ``document.paint(3, *operations.disc(centre, radius, spacing, shape))``.

        Parameters
        ----------
        id : int
        region : tuple of slice
            Where the mask lies, over the spatial axes.
        mask : array of bool
        t : int, optional
            Time point.
        over_others : bool
            Take voxels of other objects, too, but not of locked ones.
        """
        with self._lock:
            when = self._time(t)
            value, box = self._writable_id(id, when), self._region(region)
            volume = self._volume(when)
            return self._outcome(operations.paint(volume, value, box, mask, over_others), when)

    def erase(
        self,
        region: Sequence[Any],
        mask: NDArray[np.bool_],
        ids: Ids | None = None,
        t: int | None = None,
    ) -> Outcome:
        """Make background of the voxels of a mask, of some objects or of all that are not locked.

        Parameters
        ----------
        region, mask
            As for `paint`.
        ids : ids, optional
        t : int, optional
            Time point.
        """
        with self._lock:
            when = self._time(t)
            chosen = None if ids is None else self._ids(ids, when)
            edits = operations.erase(self._volume(when), chosen, self._region(region), mask)
            return self._outcome(edits, when)

    def replace_slice(
        self,
        id: int,
        plane: Plane,
        mask: NDArray[np.bool_],
        region: Sequence[slice] | None = None,
        t: int | None = None,
        *,
        over_others: bool = False,
        preview: bool = False,
    ) -> Outcome:
        """Give an object another shape in one plane.

        Parameters
        ----------
        id : int
        plane : Plane
        mask : array of bool, (rows, cols)
            The object in that plane, of the whole plane or of `region`.
        region : (slice, slice), optional
            Where the mask lies in the plane.
        t : int, optional
            Time point.
        over_others : bool
            Take voxels of other objects, too, but not of locked ones.
        preview : bool
            Return the edits, and change nothing.

        Raises
        ------
        InputError
            In 2D, or if nothing of the object would be left.
        """
        with self._lock:
            place = self._place(t, plane)
            id = self._one(id, place.t)
            volume, axis = self._volume(place.t), place.axis or 0
            if region is None:
                rest = [size for k, size in enumerate(volume.shape) if k != axis]
                region = tuple(slice(0, size) for size in rest)
            edits = operations.replace_slice(
                volume,
                id,
                self.objects.box(id, place.t),
                place.index,
                tuple(region),
                mask,
                axis,
                over_others,
            )
            return self._outcome(edits, place.t, preview)

    def interpolate(
        self,
        id: int,
        slices: Iterable[int] | None = None,
        *,
        orientation: str = "xy",
        t: int | None = None,
        over_others: bool = False,
        preview: bool = False,
    ) -> Outcome:
        """Fill an object's empty slices between drawn ones; see `operations.interpolate`.

        Parameters
        ----------
        id : int
        slices : iterable of int, optional
            Those that count as drawn: what lies between them is replaced. All that it has, by
            default, so that only empty ones are filled.
        orientation : {"xy", "xz", "yz"}
            Of the slices.
        t : int, optional
            Time point.
        over_others : bool
            Take voxels of other objects, too, but not of locked ones.
        preview : bool
            Return the edits, and change nothing.
        """
        with self._lock:
            when = self._time(t)
            id = self._one(id, when)
            edits = operations.interpolate(
                self._volume(when),
                id,
                self.objects.box(id, when),
                self.spacing,
                self._axis(orientation),
                slices,
                over_others,
            )
            return self._outcome(edits, when, preview)

    # -- inside ----------------------------------------------------------------------------------

    def _each(
        self,
        ids: Ids,
        place: Place,
        preview: bool,
        operation: Callable[[Labels, int, Slices, Place], list[Edit]],
    ) -> Outcome:
        with self._lock:
            chosen = self._ids(ids, place.t)
            volume = self._volume(place.t)
            edits: list[Edit] = []
            for id in chosen:
                edits += operation(volume, id, self._box(id, place), place)
            known = {k: v for k, v in edits[0].info.items() if k != "id"} if edits else {}
            info = {"ids": chosen, **known}
            return self._outcome(operations.first_come(edits), place.t, preview, info=info)

    def _measure(
        self, distance: float | None, voxels: float | None
    ) -> tuple[float, tuple[float, float, float]]:
        """Return a length and the spacing in whose unit it is."""
        if distance is not None and voxels is not None:
            raise InputError("Give a length either in µm or in voxels, not both.")
        if distance is not None:
            return float(distance), self.spacing
        return 1.0 if voxels is None else float(voxels), (1.0, 1.0, 1.0)

    def _axis(self, orientation: str) -> int:
        if orientation not in (AXIS if self._spatial == 3 else ("xy",)):
            raise InputError(f"The labels have no {orientation!r} planes.")
        return AXIS[orientation]
