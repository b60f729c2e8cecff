"""What becomes of a click on the cells: one is selected, merged, or gets a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

if TYPE_CHECKING:
    from napari_cellseg.labels import Key
    from napari_cellseg.prompts.plane_view import Plane
    from napari_cellseg.session import Session
    from napari_cellseg.widgets.edit_geometry import Picked
    from napari_cellseg.widgets.edit_ground import Ground
    from napari_cellseg.widgets.edit_verbs import EditVerbs


class EditClicks:
    """Takes clicks to the tool that is on.

    Parameters
    ----------
    session : Session
    verbs : EditVerbs

    Attributes
    ----------
    seeds : list of tuple of int
        Points in the cell that is to be split, over the spatial axes.
    seeded : (t, id) or None
        That cell.
    """

    said: ClassVar[Signal] = Signal(str)
    seeds_changed: ClassVar[Signal] = Signal()

    def __init__(self, session: Session, verbs: EditVerbs) -> None:
        self._session = session
        self._verbs = verbs
        self.seeds: list[tuple[int, ...]] = []
        self.seeded: Key | None = None

    def take(self, tool: str, found: Picked, added: bool) -> None:
        """Do with a click what a tool does.

        Parameters
        ----------
        tool : str
            That is on; "" if none is.
        found : Picked
            What was clicked.
        added : bool
            Whether it is to be added to what is selected.
        """
        if tool == "split" and not added:
            self._seed(found)
        elif tool == "merge" and found.id and not added:
            self._merge(found)
        else:
            self._select(found, added)

    def forget(self) -> bool:
        """Have no seeds any more; return whether there were any."""
        seeds, self.seeds, self.seeded = self.seeds, [], None
        if seeds:
            self.seeds_changed.emit()
        return bool(seeds)

    def seeds_in(self, ground: Ground, plane: Plane | None, t: int) -> NDArray[np.float64]:
        """Return the seeds in view, along the axes of the labels: (n, axes)."""
        seeds = np.array(self.seeds, float).reshape(-1, len(ground.spatial))
        if plane is not None and plane.axes[0] in ground.spatial:
            seeds = seeds[seeds[:, ground.spatial.index(plane.axes[0])] == plane.index]
        if "t" in ground.axes:
            there = self.seeded is not None and self.seeded[0] == t
            seeds = np.insert(seeds if there else seeds[:0], 0, t, axis=1)
        return seeds

    def _select(self, found: Picked, added: bool) -> None:
        key, chosen = (found.t, found.id), list(self._session.selected)
        if not added:
            chosen = [key] if found.id else []
        elif key in chosen:
            chosen.remove(key)
        elif found.id:
            chosen.append(key)
        self._session.select(chosen)

    def _merge(self, found: Picked) -> None:
        key, chosen = (found.t, found.id), self._session.selected
        if len(chosen) == 1 and chosen[0] != key:
            self._verbs.merge([*chosen, key])
        else:
            self._session.select([key])

    def _seed(self, found: Picked) -> None:
        key = (found.t, found.id)
        if not found.id:
            self.said.emit("There is no cell: click in the one to split.")
            return
        if self.seeded not in (None, key) and len(self.seeds) > 1:
            self.said.emit(f"Cell {found.id} is another one: click in the same, or press Esc.")
            return
        if self.seeded != key:
            self.forget()
            self.seeded = key
            self._session.select([key])
        timed = self._session.label_axes.startswith("t")
        voxel = found.voxel[1:] if timed else found.voxel
        if voxel in self.seeds:
            return
        self.seeds.append(voxel)
        self.seeds_changed.emit()
        if len(self.seeds) > 1:
            self._verbs.split(key, self.seeds)
            if self._verbs.settings.at_once:
                self.forget()
