"""Shows in the cells layer which objects are locked, whatever locked or unlocked them."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from napari_cellseg.errors import InputError
from napari_cellseg.widgets.labels_look import Look, look_for
from napari_cellseg.widgets.labels_shim import redraw
from napari_cellseg.widgets.placement import layer_region

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_cellseg.labels import Change, Key, LabelDocument
    from napari_cellseg.session import Session

_BOXES = 200
"""Boxes up to which each is drawn by itself, if that is less than all in one."""


class LockedLook:
    """Keeps the look of a session's cells layer as the document's locks are.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._layer: weakref.ref[Labels] | None = None
        self._letters = ""
        self.look: Look | None = None

    def join(self) -> None:
        """Follow the session."""
        self._session.stepped.connect(self._on_step)
        self._session.document_changed.connect(self._on_document)
        self._show_all()

    def leave(self) -> None:
        """Follow it no more."""
        self._session.stepped.disconnect(self._on_step)
        self._session.document_changed.disconnect(self._on_document)

    def show_on(self, layer: Labels | None, letters: str = "") -> None:
        """Turn to a layer, or (None) to none.

        Parameters
        ----------
        layer : napari Labels layer or None
        letters : str
            Its axes.
        """
        self._layer = None if layer is None else weakref.ref(layer)
        self._letters = letters
        self.look = None
        if layer is None:
            return
        try:
            self.look = look_for(layer, letters.index("t") if "t" in letters else None)
        except InputError:  # ids of few bits, whose colours napari's graphics code looks up itself
            return
        self._show_all()

    def _on_document(self, document: LabelDocument | None) -> None:
        self._show_all()

    def _on_step(self, change: Change) -> None:
        self._show(change.keys)

    def _show_all(self) -> None:
        """Compare with every lock there is."""
        document, look = self._session.document, self.look
        if look is None:
            return
        locked = () if document is None else document.objects.marked("locked")
        shown = [(t, label) for t in look.times() for label in look.with_style("locked", t)]
        self._show([*locked, *shown])

    def _show(self, keys: Iterable[Key]) -> None:
        document, look = self._session.document, self.look
        if look is None:
            return
        changed: dict[tuple[int, bool], list[int]] = {}
        shown: dict[int, frozenset[int]] = {}
        for t, label in keys:
            if t not in shown:
                shown[t] = look.with_style("locked", t)
            locked = document is not None and document.is_locked(label, t)
            if locked != (label in shown[t]):
                changed.setdefault((t, locked), []).append(label)
        for (t, locked), labels in changed.items():
            (look.lock if locked else look.unlock)(labels, t)
        self._redraw([(t, label) for (t, _), labels in changed.items() for label in labels])

    def _redraw(self, keys: list[Key]) -> None:
        document, layer = self._session.document, self._layer() if self._layer else None
        if document is None or layer is None or not (self.look and self.look.active):
            return
        boxes: list[tuple[slice, ...]] = []
        for t, label in keys:
            if (t, label) in document.objects:
                time = (slice(t, t + 1),) if document.timed else ()
                boxes.append((*time, *document.objects.box(label, t)))
        for box in _fewer(boxes):
            redraw(layer, layer_region(box, document.axes, self._letters))


def _fewer(boxes: list[tuple[slice, ...]]) -> list[tuple[slice, ...]]:
    """Put one box around all, where that is less to draw."""
    if len(boxes) < 2:
        return boxes
    around = tuple(
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*boxes, strict=True)
    )
    each = sum(_size(box) for box in boxes)
    return boxes if len(boxes) <= _BOXES and each < _size(around) else [around]


def _size(box: tuple[Any, ...]) -> int:
    return math.prod(part.stop - part.start for part in box)
