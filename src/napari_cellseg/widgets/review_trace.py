"""Outlines the neighbour that the cell in hand would be merged with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_cellseg.widgets.edit_outline import outlines
from napari_cellseg.widgets.edit_trace import Trace

if TYPE_CHECKING:
    from napari_cellseg.labels import Key
    from napari_cellseg.session import Session
    from napari_cellseg.widgets.edit_ground import Ground
    from napari_cellseg.widgets.edit_run import EditRun

COLOUR = (0.94, 0.89, 0.26, 0.75)
"""Yellow, beside the white of what is selected."""


class NeighbourTrace(Trace):
    """Draws like the outline of what is selected, in another colour."""

    def show(self, key: Key | None, session: Session, edit: EditRun) -> None:
        """Outline a cell as far as it is in view; None: none."""
        ground, document = edit.ground(), session.document
        if ground is None or document is None:
            return
        keys = [] if key is None else [key]
        plane = edit.plane()
        viewer = self._viewer()
        if viewer is None or (plane is None and viewer.dims.ndisplay == 2):
            keys = []
        self.outline(outlines(document, keys, plane, edit.time()), ground)

    def _visual(self, name: str, ground: Ground) -> Any:
        visual = super()._visual(name, ground)
        if visual is not None:
            visual.set_data(color=COLOUR)
        return visual
