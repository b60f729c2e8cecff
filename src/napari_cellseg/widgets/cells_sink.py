"""What is drawn on the cells layer becomes steps of the session's document."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from napari_cellseg.errors import InputError
from napari_cellseg.labels import Edit
from napari_cellseg.labels.indexed import Patch, to_label_axes

if TYPE_CHECKING:
    from napari_cellseg.session import Session


class CellsSink:
    """Sink of the cells layer; see `stroke_shim.Sink`.

    Parameters
    ----------
    session : Session
        Kept weakly.
    letters : str
        Axes of the layer's array.
    on_foreign : callable
        Told of data that somebody assigned, and why they cannot be edited ("" if they can).
    """

    def __init__(
        self, session: Session, letters: str, on_foreign: Callable[[Any, str], None]
    ) -> None:
        self._session = weakref.ref(session)
        self._letters = letters
        self._on_foreign = on_foreign

    def write(self, patches: Sequence[Patch], gather: bool) -> None:
        """Make an edit, of the stroke in progress or for itself."""
        session = self._session()
        if session is None or session.document is None:
            return
        axes = session.label_axes
        try:
            edits = [
                Edit(*to_label_axes(one, self._letters, axes), kind="paint") for one in patches
            ]
        except InputError as error:  # an id that no object can have
            session.refuse(error)
            return
        session.change("apply", *edits, kind="paint", gather=gather)

    def end_stroke(self) -> None:
        """Close the stroke: it is one step."""
        self._change("end_stroke")

    def abandon_stroke(self) -> None:
        """Take the stroke back, as if it had never been."""
        self._change("abandon_stroke")

    def undo(self) -> None:
        """Take the session's last step back, if there is one."""
        session = self._session()
        if session is not None and session.can("undo"):
            session.undo()

    def redo(self) -> None:
        """Make it again."""
        session = self._session()
        if session is not None and session.can("redo"):
            session.redo()

    def foreign(self, data: Any, problem: str) -> None:
        """Somebody gave the layer other data, or said that it wrote into them."""
        self._on_foreign(data, problem)

    def _change(self, verb: str) -> None:
        session = self._session()
        if session is not None and session.document is not None:
            session.change(verb)
