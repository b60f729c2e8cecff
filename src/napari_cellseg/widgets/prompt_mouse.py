"""Clicks on the canvas while prompting is on: points, and cells to reopen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Points

STILL = 5.0
"""Pixels of the screen that the mouse may move between press and release of a click."""
_LEFT, _RIGHT = 1, 2


@dataclass(frozen=True)
class Click:
    """A click on the canvas.

    Attributes
    ----------
    position : tuple of float
        In the world.
    direction : array or None
        Of sight, in a 3D view.
    displayed : tuple of int
        Axes of the world that are displayed.
    negative : bool
        Whether it was the right button, or Shift was held.
    reopens : bool
        Whether Alt was held.
    """

    position: tuple[float, ...]
    direction: np.ndarray | None
    displayed: tuple[int, ...]
    negative: bool
    reopens: bool


class ClickTool:
    """Tells clicks from drags on a layer; drags go on panning, zooming and turning the view.

    Parameters
    ----------
    clicked : callable
        Given a `Click`; a bound method.
    """

    def __init__(self, clicked: Callable[[Click], None]) -> None:
        self._clicked = clicked

    def connect(self, layer: Points) -> None:
        """Listen to a layer, while it is the active one and in its pan/zoom mode."""
        if self._on_press not in layer.mouse_drag_callbacks:
            layer.mouse_drag_callbacks.append(self._on_press)

    def disconnect(self, layer: Points) -> None:
        """Listen to it no more."""
        if self._on_press in layer.mouse_drag_callbacks:
            layer.mouse_drag_callbacks.remove(self._on_press)

    def _on_press(self, layer: Points, event: Any) -> Iterator[None]:
        if str(layer.mode) != "pan_zoom" or event.button not in (_LEFT, _RIGHT):
            return
        start, button = np.asarray(event.pos, float), event.button
        click = Click(
            tuple(event.position),
            None if event.view_direction is None else np.asarray(event.view_direction),
            tuple(event.dims_displayed),
            button == _RIGHT or "Shift" in event.modifiers,
            "Alt" in event.modifiers,
        )
        farthest = 0.0
        yield
        while event.type == "mouse_move":
            farthest = max(farthest, float(np.linalg.norm(np.asarray(event.pos) - start)))
            if farthest < STILL:
                event.handled = True  # the camera would pan or zoom under the click
            yield
        farthest = max(farthest, float(np.linalg.norm(np.asarray(event.pos) - start)))
        if farthest < STILL:
            self._clicked(click)
