"""Drags on the cells layer while an edit tool wants a line or a lasso."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.widgets.prompt_mouse import STILL

if TYPE_CHECKING:
    from napari.layers import Labels

_LEFT = 1


@dataclass(frozen=True, eq=False)
class Drawn:
    """What was drawn on the canvas.

    Attributes
    ----------
    world : array of float, (n, ndim of the viewer)
    direction : array or None
        Of sight, in a 3D view.
    displayed : tuple of int
        Axes of the world that are displayed.
    shape : {"line", "lasso"}
    added : bool
        Whether Shift was held, which adds to what is selected.
    """

    world: NDArray[np.float64]
    direction: NDArray[np.float64] | None
    displayed: tuple[int, ...]
    shape: str
    added: bool


class DragTool:
    """Takes drags with the left button from the camera, while they are to be drawings.

    Parameters
    ----------
    shape_of : callable
        Given whether Shift is held, says what a drag is now: "line", "lasso", or "" where it goes
        on moving the view.
    moving, drawn : callable
        Given what is drawn so far (None: nothing is being drawn any more), and what was drawn.
        All of them are bound methods.
    """

    def __init__(
        self,
        shape_of: Callable[[bool], str],
        moving: Callable[[Drawn | None], None],
        drawn: Callable[[Drawn], None],
    ) -> None:
        self._shape_of = shape_of
        self._moving = moving
        self._drawn = drawn

    def connect(self, layer: Labels) -> None:
        """Listen to a layer, while it is the active one and in its pan/zoom mode."""
        if self._on_press not in layer.mouse_drag_callbacks:
            layer.mouse_drag_callbacks.append(self._on_press)

    def disconnect(self, layer: Labels) -> None:
        """Listen to it no more."""
        if self._on_press in layer.mouse_drag_callbacks:
            layer.mouse_drag_callbacks.remove(self._on_press)

    def _on_press(self, layer: Labels, event: Any) -> Iterator[None]:
        if str(layer.mode) != "pan_zoom" or event.button != _LEFT:
            return
        shift = "Shift" in event.modifiers
        shape = self._shape_of(shift)
        if not shape:
            return
        event.handled = True  # else the camera takes the drag
        start, farthest = np.asarray(event.pos, float), 0.0
        places = [tuple(event.position)]
        sight = None if event.view_direction is None else np.asarray(event.view_direction, float)
        shown = tuple(event.dims_displayed)
        yield
        while event.type == "mouse_move":
            event.handled = True
            places.append(tuple(event.position))
            farthest = max(farthest, float(np.linalg.norm(np.asarray(event.pos) - start)))
            if farthest >= STILL:
                self._moving(Drawn(np.array(places), sight, shown, shape, shift))
            yield
        self._moving(None)
        if farthest >= STILL:
            places.append(tuple(event.position))
            self._drawn(Drawn(np.array(places), sight, shown, shape, shift))
