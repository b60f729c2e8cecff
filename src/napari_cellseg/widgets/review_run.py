"""Reviewing on the canvas: the keys, the camera, and whom the canvas is lent to meanwhile."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_cellseg.errors import CellsegError, InputError
from napari_cellseg.session.reviewing import review_for
from napari_cellseg.widgets.canvas_modes import modes_for
from napari_cellseg.widgets.edit_run import edit_for
from napari_cellseg.widgets.preferences import preferences
from napari_cellseg.widgets.prompt_keys import PromptKeys, usable_keys
from napari_cellseg.widgets.review_camera import fly_to_item
from napari_cellseg.widgets.review_keys import REVIEW_ACTIONS, REVIEW_KEYS
from napari_cellseg.widgets.review_trace import NeighbourTrace

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Labels
    from napari.viewer import ViewerModel

    from napari_cellseg.labels import Change
    from napari_cellseg.labels.review import ReviewItem
    from napari_cellseg.session import Session
    from napari_cellseg.session.reviewing import Reviewing
    from napari_cellseg.widgets.session_layers import SessionLayers

PLUGIN, PROMPT = "napari-cellseg", "Prompt"
_DIMS = ("current_step", "ndisplay", "order")
_MADE = ("split", "split components", "cut")


class ReviewRun(QObject):
    """What the user does in the viewer while reviewing.

    Emits ``failed`` with a typed error when something asked for cannot be done, ``said`` with a
    sentence that helps, and ``changed`` when what the dock shows may be other.

    Attributes
    ----------
    review : Reviewing
    on : bool
        Whether the keys act, or will as soon as a tool gives the canvas back.
    """

    failed = Signal(object)
    said = Signal(str)
    changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        layers: SessionLayers,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._layers = layers
        self._modes = modes_for(viewer)
        self.review: Reviewing = review_for(session)
        self.edit = edit_for(viewer, session, layers)
        self.near = NeighbourTrace(viewer)
        self.on = False
        self.lent = ""
        self._split_made = False
        self._layer: weakref.ref[Labels] | None = None
        self.keys, self.key_problems = self._chosen_keys()
        self._back = self._timer(self._take_back)
        self._draw = self._timer(self._show_neighbour)
        self._fly = self._timer(self._arrive)

    def _timer(self, call: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(0)
        timer.timeout.connect(call)
        return timer

    def _chosen_keys(self) -> tuple[PromptKeys, tuple[str, ...]]:
        wanted = getattr(preferences(), "review_keys", REVIEW_KEYS)
        keys, problems = usable_keys(wanted, REVIEW_ACTIONS, REVIEW_KEYS)
        return PromptKeys(keys, self.press), problems

    # -- life ------------------------------------------------------------------------------------

    def join(self) -> None:
        """Follow the session and its review."""
        self.edit.join()
        viewer = self._viewer()
        if viewer is not None:
            for name in _DIMS:
                getattr(viewer.dims.events, name).connect(self._on_view)
        self.review.arrived.connect(self._on_arrived)
        self.review.changed.connect(self._on_changed)
        self.edit.changed.connect(self._on_lent)
        self._session.stepped.connect(self._on_step)
        self._session.labels_changed.connect(self._on_labels)
        self._session.prompts.prompts_changed.connect(self._on_lent)
        self._session.prompts.changed.connect(self._on_lent)

    def leave(self) -> None:
        """Follow them no more; reviewing ends, what was decided stays."""
        self._end()
        viewer = self._viewer()
        if viewer is not None:
            for name in _DIMS:
                getattr(viewer.dims.events, name).disconnect(self._on_view)
        self.review.arrived.disconnect(self._on_arrived)
        self.review.changed.disconnect(self._on_changed)
        self.edit.changed.disconnect(self._on_lent)
        self._session.stepped.disconnect(self._on_step)
        self._session.labels_changed.disconnect(self._on_labels)
        self._session.prompts.prompts_changed.disconnect(self._on_lent)
        self._session.prompts.changed.disconnect(self._on_lent)
        self.edit.leave()

    def halt(self) -> None:
        """Leave no timer behind."""
        for timer in (self._back, self._fly, self._draw):
            timer.stop()

    # -- on and off ------------------------------------------------------------------------------

    @property
    def reason(self) -> str:
        """Why reviewing cannot begin, as one sentence; empty if it can."""
        if self._layers.image is None:
            return "Open an image first."
        if self.review.reason:
            return self.review.reason
        return "" if self._layers.cells is not None else "The cells are not shown in any layer."

    def start(self) -> None:
        """Turn reviewing on."""
        try:
            if self.reason:
                raise InputError(self.reason)
            self.review.start()
        except CellsegError as error:
            self.failed.emit(error)
            self.changed.emit()
            return
        self.keys, self.key_problems = self._chosen_keys()
        self.on = True
        self._take_canvas()
        self._fly.start()
        self.changed.emit()

    def stop(self) -> None:
        """Turn reviewing off."""
        self._end()
        self.changed.emit()

    def _end(self) -> None:
        if self.lent == "edit" and self.edit.tool:
            self.lent = ""
            self.edit.stop()
        self.on, self.lent = False, ""
        self.near.clear()
        self._unbind()
        self._modes.give_back(self)
        self.review.stop()

    def _take_canvas(self) -> None:
        layer, viewer = self._layers.cells, self._viewer()
        self._modes.take(self, self._leave_canvas)
        self._unbind()
        if layer is not None and viewer is not None and layer in viewer.layers:
            self.keys.bind(layer)
            self._layer = weakref.ref(layer)
            viewer.layers.selection.active = layer

    def _unbind(self) -> None:
        layer = None if self._layer is None else self._layer()
        self._layer = None
        if layer is not None:
            self.keys.unbind(layer)

    def _leave_canvas(self) -> None:
        """Somebody else takes the canvas: a tool for the item in hand, or something else."""
        if self.lent:
            self._unbind()
        else:
            self.stop()

    # -- keys and buttons ------------------------------------------------------------------------

    def press(self, action: str) -> None:
        """Do what a key or a button asks for."""
        review = self.review
        verbs: dict[str, Callable[[], Any]] = {
            "next": review.next,
            "previous": self._previous,
            "accept": review.accept,
            "delete": review.delete,
            "merge": review.merge_with_neighbour,
            "skip": review.skip,
            "right": self._right,
            "wrong": self._wrong,
            "split": self._split,
            "reopen": self._reopen,
            "new": self._add,
            "leave": self.stop,
        }
        former = review.item
        try:
            verbs[action]()
        except CellsegError as error:
            self.failed.emit(error)
            return
        if action == "next" and review.item is former and review.auditing:
            self.said.emit("Say right or wrong first: what is drawn at random must be answered.")

    def go(self, item: ReviewItem) -> None:
        """Take an item in hand."""
        try:
            self.review.go(item.key)
        except CellsegError as error:
            self.failed.emit(error)
        self._fly.start()

    def _previous(self) -> None:
        if self.review.auditing:
            self.review.take_back_answer()
        else:
            self.review.previous()

    def _right(self) -> None:
        self.review.answer(False)

    def _wrong(self) -> None:
        self.review.answer(True)

    def _split(self) -> None:
        key = self.review.cell("split")
        self.lent, self._split_made = "edit", False
        if not self.edit.start("split", key, then=self._on_returned):
            self.lent = ""
            self._take_canvas()
        self.changed.emit()

    def _reopen(self) -> None:
        self._prompt(self.review.reopen)

    def _add(self) -> None:
        self._prompt(self.review.add)

    def _prompt(self, verb: Callable[[], None]) -> None:
        """Lend the canvas to the Prompt dock, which is opened where it is not."""
        viewer = self._viewer()
        window = getattr(viewer, "window", None)
        verb()
        if window is None:
            return
        self.lent = "prompt"
        holder, dock = window.add_plugin_dock_widget(PLUGIN, PROMPT)
        holder.show()
        holder.raise_()
        dock.run.start()
        if not self._session.prompts.active:
            self.lent = ""
        self.changed.emit()

    # -- lending the canvas ----------------------------------------------------------------------

    def _on_returned(self) -> None:
        self._back.start()

    def _on_lent(self, *_: object) -> None:
        if self.lent:
            self._back.start()

    def _on_step(self, change: Change) -> None:
        if self.lent == "edit" and change.direction == "do" and change.step.kind in _MADE:
            self._split_made = True
            self._back.start()

    def _take_back(self) -> None:
        """Have the canvas again, once whoever had it is done; or end, if a third one has it."""
        if not self.lent or not self.on:
            return
        prompts, owner = self._session.prompts, self._modes.owner
        if self.lent == "edit":
            done = self._split_made or not self.edit.tool
        else:
            done = not prompts.active or not prompts.objects
        if not done:
            return
        lent, self.lent = self.lent, ""
        if lent == "edit" and self.edit.tool:
            self.edit.stop()
            owner = self._modes.owner
        if owner is None or owner is self or (lent == "prompt" and prompts.active):
            self._take_canvas()
            self._fly.start()
            self.changed.emit()
        else:
            self.stop()

    # -- from the session and its review ---------------------------------------------------------

    def _on_arrived(self, item: ReviewItem | None) -> None:
        if self.on:
            self._fly.start()

    def _arrive(self) -> None:
        """Fly to the item in hand: once, however many were passed meanwhile."""
        viewer, item = self._viewer(), self.review.item
        ground, document = self.edit.ground(), self._session.document
        if viewer is None or item is None or ground is None or document is None or not self.on:
            return
        if item.kind == "object" and item.id is not None:
            self._session.select([(item.t, item.id)])
        fly_to_item(viewer, ground, document, item)
        self._draw.start()

    def _on_changed(self) -> None:
        if self.on and not self.review.active:
            self.on = False
            self.near.clear()
            self._unbind()
            self._modes.give_back(self)
        elif self.on:
            self._draw.start()
        self.changed.emit()

    def _on_view(self, event: Any) -> None:
        if self.on:
            self._draw.start()

    def _show_neighbour(self) -> None:
        if self.on:
            self.near.show(None if self.lent else self.review.neighbour(), self._session, self.edit)

    def _on_labels(self, labels: object) -> None:
        self.settle()

    def settle(self) -> None:
        """Have the cells layer that is there now; without it or its image, nothing is reviewed."""
        cells, viewer = self._layers.cells, self._viewer()
        if not self.on:
            return
        gone = cells is None or viewer is None or cells not in viewer.layers
        if gone or self._layers.image is None:
            self.stop()
            return
        layer = None if self._layer is None else self._layer()
        if layer is not cells and not self.lent:
            self._take_canvas()
        self.changed.emit()
