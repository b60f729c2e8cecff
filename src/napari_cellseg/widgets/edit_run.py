"""Editing on the canvas: which tool is on, what the mouse and the keys do with it."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from psygnal import Signal

from napari_cellseg.errors import CellsegError, InputError
from napari_cellseg.widgets.canvas_modes import modes_for
from napari_cellseg.widgets.edit_clicks import EditClicks
from napari_cellseg.widgets.edit_draw import EditDraw
from napari_cellseg.widgets.edit_geometry import picked, viewed_plane
from napari_cellseg.widgets.edit_ground import Ground
from napari_cellseg.widgets.edit_keys import EDIT_ACTIONS, EDIT_KEYS
from napari_cellseg.widgets.edit_mouse import DragTool, Drawn
from napari_cellseg.widgets.edit_outline import outlines
from napari_cellseg.widgets.edit_tools import TOOLS
from napari_cellseg.widgets.edit_trace import Trace
from napari_cellseg.widgets.edit_verbs import EditVerbs
from napari_cellseg.widgets.placement import layer_letters
from napari_cellseg.widgets.preferences import preferences
from napari_cellseg.widgets.preview_layer import PreviewLayer
from napari_cellseg.widgets.prompt_keys import PromptKeys, usable_keys
from napari_cellseg.widgets.prompt_mouse import Click, ClickTool

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.viewer import ViewerModel

    from napari_cellseg.labels import Change, Key
    from napari_cellseg.prompts.plane_view import Plane
    from napari_cellseg.session import Session
    from napari_cellseg.widgets.session_layers import SessionLayers

_DIMS = ("current_step", "ndisplay", "order")


class EditRun:
    """The tools on the cells layer of one viewer; all docks that edit share it: see `edit_for`.

    A click on a cell selects it whenever the cells layer is in its pan/zoom mode. A tool is on
    from `start` to `stop`; meanwhile the keys act, too. Selecting another layer, or a mode of
    napari's own (its brush), ends it.

    Attributes
    ----------
    changed : Signal
        What a dock shows may be other.
    failed : Signal
        Something asked for cannot be done; a typed error.
    said : Signal
        A sentence that helps.
    tool : str
        The tool that is on, of `TOOLS`; "" if none is.
    verbs : EditVerbs
        What the tools do, and how: ``verbs.settings``.
    clicks : EditClicks
        With the seeds of a split.
    """

    changed: ClassVar[Signal] = Signal()
    failed: ClassVar[Signal] = Signal(Exception)
    said: ClassVar[Signal] = Signal(str)

    def __init__(self, viewer: ViewerModel, session: Session, layers: SessionLayers) -> None:
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._layers = layers
        self._modes = modes_for(viewer)
        self._users = 0
        self._layer: weakref.ref[Labels] | None = None
        self.preview = PreviewLayer(viewer, session, layers)
        self.trace = Trace(viewer)
        self.verbs = EditVerbs(session, self.preview, self.plane, self.time)
        self.draw = EditDraw(session, self.verbs)
        self.verbs.changed.connect(self.changed.emit)
        self.verbs.failed.connect(self.failed.emit)
        self.verbs.said.connect(self.said.emit)
        self.draw.said.connect(self.said.emit)
        self.clicks = EditClicks(session, self.verbs)
        self.clicks.said.connect(self.said.emit)
        self.clicks.seeds_changed.connect(self._show_seeds)
        self.tool = ""
        self._then: Any = None
        self._mouse = ClickTool(self._on_click)
        self._drags = DragTool(self._shape, self._on_moving, self._on_drawn)
        self.keys, self.key_problems = self._chosen_keys()

    def _chosen_keys(self) -> tuple[PromptKeys, tuple[str, ...]]:
        keys, problems = usable_keys(preferences().edit_keys, EDIT_ACTIONS, EDIT_KEYS)
        return PromptKeys(keys, self.press), problems

    # -- life ------------------------------------------------------------------------------------

    def join(self) -> None:
        """Follow the session and the viewer for one more dock."""
        self._users += 1
        viewer, session = self._viewer(), self._session
        if self._users > 1 or viewer is None:
            return
        session.document_changed.connect(self._on_document)
        session.labels_changed.connect(self._on_labels)
        session.selection_changed.connect(self._on_selection)
        session.stepped.connect(self._on_step)
        for name in _DIMS:
            getattr(viewer.dims.events, name).connect(self._on_view)
        viewer.layers.selection.events.active.connect(self._on_active)
        self.settle()

    def leave(self) -> None:
        """Follow them for one dock less; the last one that leaves ends the tool."""
        self._users -= 1
        if self._users > 0:
            return
        viewer, session = self._viewer(), self._session
        self.stop()
        session.document_changed.disconnect(self._on_document)
        session.labels_changed.disconnect(self._on_labels)
        session.selection_changed.disconnect(self._on_selection)
        session.stepped.disconnect(self._on_step)
        if viewer is not None:
            for name in _DIMS:
                getattr(viewer.dims.events, name).disconnect(self._on_view)
            viewer.layers.selection.events.active.disconnect(self._on_active)
        self._follow(None)
        self.trace.clear()

    def settle(self) -> None:
        """Follow the cells layer that is there now."""
        layer = self._layers.cells
        if layer is not self.layer:
            self.stop()
            self._follow(layer)
        self.show_selection()

    @property
    def layer(self) -> Labels | None:
        """The cells layer that is followed."""
        return None if self._layer is None else self._layer()

    def _follow(self, layer: Labels | None) -> None:
        former = self.layer
        if former is not None:
            self._mouse.disconnect(former)
            self._drags.disconnect(former)
            former.events.mode.disconnect(self._on_mode)
        self._layer = None if layer is None else weakref.ref(layer)
        if layer is not None:
            self._mouse.connect(layer)
            self._drags.connect(layer)
            layer.events.mode.connect(self._on_mode)

    # -- tools -----------------------------------------------------------------------------------

    def start(self, tool: str, key: Key | None = None, then: Any = None) -> bool:
        """Take a tool in hand, or do what it does at once.

        Parameters
        ----------
        tool : str
            Of `TOOLS`.
        key : (t, id), optional
            Object to select first.
        then : bound method, optional
            Given by a mode that lends the canvas for one change: the tool ends after it (or with
            Esc), and this is called without arguments, so that the mode can bind its keys again.

        Returns
        -------
        bool
            Whether that can be done now; why not is told by `failed`.
        """
        self.settle()
        if key is not None:
            self._session.select([key])
        reason = self.reason(tool)
        if reason:
            self.failed.emit(InputError(reason))
            return False
        at_once = not TOOLS[tool].gesture or (tool == "merge" and len(self._session.selected) > 1)
        if at_once:
            if TOOLS[tool].shown and not self.tool and not self.verbs.settings.at_once:
                self.start("select")  # so that the keys that apply and drop act
            self.verbs.act(tool)
            return True
        viewer, layer = self._viewer(), self.layer
        if viewer is None or layer is None:
            return False
        self._forget()
        if not self.tool:
            self.keys, self.key_problems = self._chosen_keys()
        layer.mode = "pan_zoom"
        if viewer.layers.selection.active is not layer:
            viewer.layers.selection.active = layer
        if then is not None:
            self._then = weakref.WeakMethod(then)
        if self._then is None:
            self._modes.take(self, self.stop)
        else:
            self._modes.borrow(self, self.stop)
        self.keys.bind(layer)
        self.tool = tool
        self.changed.emit()
        return True

    def stop(self) -> None:
        """Leave the tool; what was shown, but not applied, is dropped."""
        self._forget()
        if not self.tool:
            return
        self.tool = ""
        layer = self.layer
        if layer is not None:
            self.keys.unbind(layer)
        mine = self._modes.owner is self
        self._modes.give_back(self)
        then, self._then = None if self._then is None else self._then(), None
        if then is not None and mine:
            then()
        self.changed.emit()

    def press(self, action: str) -> None:
        """Do what a key or a button asks for."""
        if action == "apply":
            if not self.verbs.apply():
                self.said.emit("There is no preview to apply.")
        elif action == "drop":
            if not self._forget():
                if self.tool == "select" or self._then is not None:
                    self.stop()
                else:
                    self.start("select")
        else:
            self.start(action)

    def reason(self, tool: str) -> str:
        """Why a tool cannot be used now, as one sentence; empty if it can."""
        session, what = self._session, TOOLS[tool]
        if not session.can("edit"):
            return session.can("edit").reason
        if self._layers.cells is None:
            return "The cells are not shown in any layer: segment or adopt some."
        if what.deep and "z" not in session.label_axes:
            return "The cells have one plane only."
        if what.flat and self.plane() is None:
            return "Turn to a 2D view of the cells: this is drawn in a plane."
        count = len(session.selected)
        if what.needs and not count:
            return "Select a cell first: click it."
        if what.needs == "one" and count > 1:
            return f"Select one cell only: there are {count} selected."
        return ""

    def _forget(self) -> bool:
        """Drop the preview and the seeds; return whether there were any."""
        dropped = self.verbs.drop()
        return self.clicks.forget() or dropped

    # -- where -----------------------------------------------------------------------------------

    def ground(self) -> Ground | None:
        """Where the cells lie in the viewer; None where there are none."""
        layer, session = self._layers.cells, self._session
        if layer is None or session.labels is None or not self._layers.axes:
            return None
        letters = layer_letters(self._layers.axes, session.label_axes)
        return Ground(layer, letters, session.labels, session.label_axes)

    def plane(self) -> Plane | None:
        """The plane in view; None in a 3D view."""
        viewer, ground = self._viewer(), self.ground()
        return None if viewer is None or ground is None else viewed_plane(viewer, ground)

    def time(self) -> int:
        """The time point in view; 0 where there is no time."""
        viewer, ground = self._viewer(), self.ground()
        if viewer is None or ground is None or "t" not in ground.axes:
            return 0
        at = ground.positions([viewer.dims.point])[0][ground.axes.index("t")]
        return int(np.clip(np.rint(at), 0, ground.size["t"] - 1))

    # -- the mouse -------------------------------------------------------------------------------

    def _shape(self, shift: bool) -> str:
        gesture = TOOLS[self.tool].gesture if self.tool else ""
        if gesture in ("line", "lasso"):
            return gesture
        return "lasso" if shift and gesture else ""

    def _on_click(self, click: Click) -> None:
        ground = self.ground()
        found = None if ground is None else picked(click, ground)
        if ground is None or found is None:
            return
        try:
            self.clicks.take(self.tool, found, click.negative)
        except CellsegError as error:
            self.failed.emit(error)

    def _on_moving(self, drawn: Drawn | None) -> None:
        ground = self.ground()
        if ground is not None:
            self.trace.line([] if drawn is None else _closed(drawn, ground), ground)

    def _on_drawn(self, drawn: Drawn) -> None:
        ground = self.ground()
        if ground is None:
            return
        tool = "lasso" if drawn.shape == "lasso" and self.tool in ("select", "split") else self.tool
        try:
            self.draw.take(tool, drawn, ground, self.plane(), self.time())
        except CellsegError as error:
            self.failed.emit(error)

    # -- showing ---------------------------------------------------------------------------------

    def show_selection(self) -> None:
        """Outline what is selected, as far as it is in view."""
        ground, document = self.ground(), self._session.document
        if ground is None or document is None or not self._users:
            return
        viewer, plane = self._viewer(), self.plane()
        if viewer is None or (plane is None and viewer.dims.ndisplay == 2):
            self.trace.outline([], ground)
            return
        self.trace.outline(outlines(document, self._session.selected, plane, self.time()), ground)

    def _show_seeds(self) -> None:
        ground = self.ground()
        if ground is not None:
            self.trace.seeds(self.clicks.seeds_in(ground, self.plane(), self.time()), ground)
        self.changed.emit()

    # -- from the session and the viewer ---------------------------------------------------------

    def _on_document(self, document: object) -> None:
        self.settle()
        self._forget()
        self.changed.emit()

    def _on_labels(self, labels: object) -> None:
        self.settle()
        self.changed.emit()

    def _on_selection(self, keys: tuple[Key, ...]) -> None:
        if self.verbs.pending is not None and self.clicks.seeded is None:
            self.verbs.drop()
        self.show_selection()
        self.changed.emit()

    def _on_step(self, change: Change) -> None:
        self._forget()  # what was shown is of labels that are past
        self.show_selection()
        if self._then is not None and change.direction == "do":
            self.stop()

    def _on_view(self, event: Any) -> None:
        self.show_selection()
        if self.clicks.seeds:
            self._show_seeds()
        if event.type == "ndisplay":
            self.changed.emit()

    def _on_active(self, event: Any) -> None:
        # while a layer is being added, napari makes first none and then that one the active one
        if self.tool and not self.preview.adding and event.value is not self.layer:
            self.stop()

    def _on_mode(self, event: Any) -> None:
        if self.tool and str(event.mode) != "pan_zoom":
            self.stop()


def _closed(drawn: Drawn, ground: Ground) -> np.ndarray:
    """What is drawn so far, along the axes of the labels; a lasso is closed."""
    places = ground.positions(drawn.world)
    if drawn.shape == "lasso":
        return np.concatenate([places, places[:1]])
    return places if drawn.direction is None or len(drawn.displayed) < 3 else places[[0, -1]]


_shared: weakref.WeakValueDictionary[int, EditRun] = weakref.WeakValueDictionary()


def edit_for(viewer: ViewerModel, session: Session, layers: SessionLayers) -> EditRun:
    """Return the editing that all docks of a session share; they keep it, this does not."""
    run = _shared.get(id(session))
    if run is None or run._session is not session:
        run = _shared[id(session)] = EditRun(viewer, session, layers)
    return run
