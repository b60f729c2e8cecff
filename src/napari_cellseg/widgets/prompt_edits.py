"""What a user does to prompts with napari's own tools, told to the session."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_cellseg.errors import CellsegError, InputError
from napari_cellseg.session.prompt_object import BoxPrompt
from napari_cellseg.widgets.prompt_layers import SCRIBBLE_WIDTH, PromptLayers

if TYPE_CHECKING:
    from napari_cellseg.prompts.plane_view import Plane
    from napari_cellseg.session import Session

_SMALLEST = 2.0
"""Pixels on a side that a box has at least; a click in the box tool draws a smaller one."""


class PromptEdits(QObject):
    """Follows the points and the boxes; every change goes to the session, which draws them anew.

    The changes wait for the next turn of the event loop, because a layer announces them in the
    middle of its own mouse event.

    Parameters
    ----------
    session : Session
    layers : PromptLayers
    plane : callable
        Returns the plane in view, or None.
    parent : QObject
    """

    failed = Signal(object)

    def __init__(
        self,
        session: Session,
        layers: PromptLayers,
        plane: Callable[[], Plane | None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._layers = layers
        self._plane = plane
        self._waiting: list[Callable[[], object]] = []
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._apply)

    def connect_layers(self) -> None:
        """Follow the layers that are there."""
        if self._layers.points is not None and self._layers.boxes is not None:
            self._layers.points.events.data.connect(self._on_points)
            self._layers.boxes.events.data.connect(self._on_boxes)

    def stop(self) -> None:
        """Forget what was not told yet."""
        self._soon.stop()
        self._waiting.clear()

    def _later(self, change: Callable[[], object]) -> None:
        self._waiting.append(change)
        self._soon.start()

    def _apply(self) -> None:
        waiting, self._waiting = self._waiting, []
        for change in waiting:
            try:
                change()
            except CellsegError as error:
                self.failed.emit(error)
        self._layers.forget_drawn()
        self._layers.draw()

    # -- points ----------------------------------------------------------------------------------

    def _on_points(self, event: Any) -> None:
        layer, numbers = self._layers.points, self._layers.point_numbers
        if self._layers.drawing or layer is None:
            return
        action, prompts, frame = _action(event), self._session.prompts, self._layers.frame()
        if action == "removed":
            for row in _rows(event, len(numbers)):
                self._later(partial(prompts.remove_prompt, numbers[row]))
        elif action == "changed":
            for row in _rows(event, len(numbers)):
                place = frame.to_labels(np.array(layer.data[row]))
                self._later(partial(prompts.move_prompt, numbers[row], place))
        elif action == "added":
            for row in range(len(numbers), len(layer.data)):
                place = frame.to_labels(np.array(layer.data[row]))
                self._later(partial(self._click, place))

    def _click(self, place: tuple[float, ...]) -> None:
        self._session.prompts.click(place, True, self._plane())

    # -- boxes and drawings ----------------------------------------------------------------------

    def _on_boxes(self, event: Any) -> None:
        layer, numbers = self._layers.boxes, self._layers.box_numbers
        if self._layers.drawing or layer is None:
            return
        action, prompts = _action(event), self._session.prompts
        if action == "removed":
            for row in _rows(event, len(numbers)):
                self._later(partial(prompts.remove_prompt, numbers[row]))
        elif action == "changed":
            for row in _rows(event, len(numbers)):
                self._later(partial(self._changed, numbers[row], np.array(layer.data[row])))
        elif action == "added":
            self._later(self._take_new)

    def _take_new(self) -> None:
        """Hand the shapes that were drawn to the session."""
        layer, plane = self._layers.boxes, self._plane()
        if layer is None:
            return
        if plane is None:
            raise InputError("Boxes and drawings need a plane: turn to a 2D view of the image.")
        for row in range(len(self._layers.box_numbers), layer.nshapes):
            pixels = self._layers.frame().layer_to_pixels(plane, layer.data[row])
            kind = layer.shape_type[row]
            if kind == "polygon":
                self._session.prompts.draw(plane, pixels, "lasso")
            elif kind in ("path", "line"):
                self._session.prompts.draw(plane, pixels, "scribble", SCRIBBLE_WIDTH)
            else:
                self._session.prompts.box(plane, _box(pixels))

    def _changed(self, number: int, vertices: np.ndarray) -> None:
        """A box or drawing was moved: take the former back and give its object the new one."""
        prompts = self._session.prompts
        for one in prompts.objects.values():
            said = one.said.get(number)
            if said is not None:
                break
        else:
            return
        pixels = self._layers.frame().layer_to_pixels(said.plane, vertices)
        several = prompts.settings.several
        prompts.hand(one.number)
        prompts.settings.several = False  # it is no new object
        try:
            if isinstance(said, BoxPrompt):
                prompts.box(said.plane, _box(pixels))  # which replaces the former
            else:
                prompts.draw(said.plane, pixels, getattr(said, "kind", "lasso"), SCRIBBLE_WIDTH)
                prompts.remove_prompt(number)
        finally:
            prompts.settings.several = several


def _box(pixels: np.ndarray) -> tuple[float, float, float, float]:
    (row0, col0), (row1, col1) = pixels.min(axis=0).tolist(), pixels.max(axis=0).tolist()
    if row1 - row0 < _SMALLEST or col1 - col0 < _SMALLEST:
        raise InputError("The box is too small to mean anything: drag from corner to corner.")
    return row0, col0, row1, col1


def _action(event: Any) -> str:
    return str(getattr(event.action, "value", event.action))


def _rows(event: Any, count: int) -> list[int]:
    return [row % count for row in event.data_indices if count and -count <= row < count]
