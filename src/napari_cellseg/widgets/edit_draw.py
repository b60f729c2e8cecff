"""What becomes of a line or a lasso that was drawn on the cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.outline import lasso
from napari_cellseg.widgets.edit_geometry import ids_in, lasso_region, polyline
from napari_cellseg.widgets.edit_sight import ids_in_sight, plane_of_line
from napari_cellseg.widgets.edit_verbs import NO_PLANE
from napari_cellseg.widgets.edit_words import listed

if TYPE_CHECKING:
    from napari_cellseg.labels import Key
    from napari_cellseg.prompts.plane_view import Plane
    from napari_cellseg.session import Session
    from napari_cellseg.widgets.edit_ground import Ground
    from napari_cellseg.widgets.edit_mouse import Drawn
    from napari_cellseg.widgets.edit_verbs import EditVerbs

_TREMBLE = 0.75
"""Pixels of the labels that a hand is off the line that it means."""


class EditDraw:
    """Takes drawings to the tool that they were made with.

    Parameters
    ----------
    session : Session
    verbs : EditVerbs
    """

    said: ClassVar[Signal] = Signal(str)

    def __init__(self, session: Session, verbs: EditVerbs) -> None:
        self._session = session
        self._verbs = verbs

    def take(self, tool: str, drawn: Drawn, ground: Ground, plane: Plane | None, t: int) -> None:
        """Do with a drawing what a tool does.

        Parameters
        ----------
        tool : str
        drawn : Drawn
        ground : Ground
        plane : Plane or None
            In view; None in a 3D view.
        t : int
            Time point in view.

        Raises
        ------
        InputError
            If nothing can be done with it.
        """
        if tool in ("lasso", "merge"):
            keys = [(t, id) for id in self._enclosed(drawn, ground, plane, t)]
            if not keys:
                self.said.emit("There is no cell in the lasso.")
            elif tool == "merge":
                chosen = self._session.selected
                first = [key for key in chosen if key[0] == t] if drawn.added else []
                self._verbs.merge(list(dict.fromkeys([*first, *keys])))
            else:
                self._session.select([*(self._session.selected if drawn.added else ()), *keys])
        elif tool == "cut":
            self._cut(drawn, ground, plane, t)
        elif plane is None:
            raise InputError(NO_PLANE)
        elif tool == "replace":
            _, row, col = plane.axes
            pixels = polyline(drawn.world, plane, ground)
            part, flat = lasso(pixels, (ground.size[row], ground.size[col]))
            self._verbs.replace(self._one(t), plane, part, flat)
        else:
            region, mask = lasso_region(polyline(drawn.world, plane, ground), plane, ground)
            if tool == "new":
                self._verbs.new(region, mask)
            elif tool == "extend":
                self._verbs.add(self._one(t), region, mask)
            elif tool == "erase":
                self._verbs.erase(self._session.selected, region, mask)

    def _enclosed(self, drawn: Drawn, ground: Ground, plane: Plane | None, t: int) -> list[int]:
        if plane is not None:
            pixels = polyline(drawn.world, plane, ground)
            return ids_in(ground, *lasso_region(pixels, plane, ground))
        document = self._session.document
        if document is None or drawn.direction is None:
            return []
        ids = [int(one) for one in document.objects.ids(t)]
        middles = [document.objects.centroid(one, t) for one in ids]
        return ids_in_sight(drawn.world, drawn.direction, drawn.displayed, middles, ids, t, ground)

    def _cut(self, drawn: Drawn, ground: Ground, plane: Plane | None, t: int) -> None:
        document = self._session.document
        if document is None:
            return
        if plane is not None:
            from skimage.measure import approximate_polygon

            line = approximate_polygon(polyline(drawn.world, plane, ground), _TREMBLE)
            key = self._crossed(line, ground, plane, t)
            self._session.select([key])
            self._verbs.cut(key, line, plane)
            return
        if drawn.direction is None:
            raise InputError(NO_PLANE)
        spacing = document.spacing
        point, normal = plane_of_line(
            drawn.world, drawn.direction, drawn.displayed, spacing, ground
        )
        self._verbs.cut_through(self._one(t), point, normal)

    def _crossed(self, line: NDArray[np.float64], ground: Ground, plane: Plane, t: int) -> Key:
        """The cell that a line is meant for: the selected one that it meets, or the most of."""
        lengths = np.hypot(*np.diff(line, axis=0).T)
        along = np.concatenate([[0.0], np.cumsum(lengths)])
        steps = np.linspace(0, along[-1], max(2, int(4 * along[-1])))
        places = np.stack([np.interp(steps, along, line[:, k]) for k in (0, 1)], axis=1)
        pixels = np.rint(places).astype(int)
        flat = plane.cut(ground.labels, ground.axes)
        inside = ((pixels >= 0) & (pixels < flat.shape)).all(axis=1)
        ids, counts = np.unique(flat[tuple(pixels[inside].T)], return_counts=True)
        met = {int(id): int(n) for id, n in zip(ids, counts, strict=True) if id}
        if not met:
            raise InputError("The line crosses no cell: draw it across the one to cut.")
        chosen = [id for when, id in self._session.selected if when == t and id in met]
        return t, chosen[0] if len(chosen) == 1 else max(met, key=lambda id: met[id])

    def _one(self, t: int) -> Key:
        keys = [key for key in self._session.selected if key[0] == t]
        if len(keys) != 1:
            more = f": {listed([id for _, id in keys])} are selected" if keys else ": click it"
            raise InputError(f"Select one cell for this first{more}.")
        return keys[0]
