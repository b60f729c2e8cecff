"""The layers of one session in the viewer: its image, its cells, its proposal."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_info, show_warning

from napari_cellseg.errors import CellsegError, InputError
from napari_cellseg.widgets.canvas_shim import keep_drawn
from napari_cellseg.widgets.cells_sink import CellsSink
from napari_cellseg.widgets.labels_look import look_for
from napari_cellseg.widgets.labels_shim import redraw, replace_data
from napari_cellseg.widgets.marks_look import LockedLook
from napari_cellseg.widgets.placement import aligned, layer_letters, layer_region, placement
from napari_cellseg.widgets.stroke_shim import capture, unwritable

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Image, Labels
    from napari.viewer import ViewerModel

    from napari_cellseg.session import Proposal, Session

METADATA = "napari-cellseg"
PROMPTS = "prompts"
"""Role of the layers that take prompts."""
PICTURE = "picture"
"""Role of the layer with what a model sees."""
PREVIEW = "preview"
"""Role of the layers that show what is open."""
STORE = "store"
"""Role of the layers that show what is on disk only."""


class SessionLayers:
    """Shows a session's labels and proposal beside its image and reports hand edits back.

    The cells layer holds the session's own array, so what the brush writes is in the session at
    once; the proposal layer cannot be edited, so nothing painted can be lost in it. All docks of a
    viewer share one: see `layers_for`.

    Parameters
    ----------
    viewer : ViewerModel
        Kept weakly.
    session : Session
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        self._viewer = weakref.ref(viewer)
        self._session = session
        self.image: Image | None = None
        self.axes = ""
        self.cells: Labels | None = None
        self.proposal: Labels | None = None
        self._cells_of: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        self._hid_cells = False
        self._shown: np.ndarray | None = None
        self._writing = False
        self._release: Callable[[], None] | None = None
        self._users = 0
        self.look = LockedLook(session)

    def join(self) -> None:
        """Follow the session for one more dock."""
        self._users += 1
        if self._users > 1:
            return
        session = self._session
        session.labels_changed.connect(self.show_labels)
        session.proposal_changed.connect(self.show_proposal)
        session.labels_written.connect(self._on_written)
        session.selection_changed.connect(self._on_selected)
        self.look.join()
        if self.image is not None:
            self.find_layers()

    def leave(self) -> bool:
        """Follow it for one dock less; return whether that was the last. The layers stay."""
        self._users -= 1
        if self._users > 0:
            return False
        session = self._session
        session.labels_changed.disconnect(self.show_labels)
        session.proposal_changed.disconnect(self.show_proposal)
        session.labels_written.disconnect(self._on_written)
        session.selection_changed.disconnect(self._on_selected)
        self.look.leave()
        self._let_go_of_cells()
        return True

    def use_image(self, image: Image | None, axes: str) -> Labels | None:
        """Turn to another image; return the cells layer that it had before, if it is still open."""
        self._let_go()
        self.image, self.axes = image, axes
        known = self._cells_of.get(image) if image is not None else None
        layer = known() if known is not None else None
        viewer = self._viewer()
        if viewer is not None and image is not None:
            keep_drawn(viewer, image)  # a user may remove it and go on with its cells
        still_open = viewer is not None and layer is not None and layer in viewer.layers
        return layer if still_open else None

    def show_labels(self, labels: np.ndarray | None) -> None:
        """Show the session's labels in the cells layer; make the layer if there is none."""
        if labels is None or self.image is None:
            self._let_go_of_cells()
            return
        data = aligned(labels, self._session.label_axes, self.axes, self.image.data.shape)
        if self.cells is None:
            self._watch(self._add(data, f"{self.image.name} cells"))
        elif self._shown is not labels and self.cells.data is not labels:
            self._writing = True
            try:
                replace_data(self.cells, data)
            finally:
                self._writing = False
        assert self.cells is not None
        self._shown = labels
        self._capture()
        self.cells.metadata[METADATA] = self._session.layer_metadata()
        self._select(self.cells)

    def show_proposal(self, proposal: Proposal | None) -> None:
        """Show a proposal in its own layer above the cells, or take that layer away."""
        if proposal is None or self.image is None:
            self._remove_proposal()
            return
        data = aligned(proposal.labels, self._session.label_axes, self.axes, self.image.data.shape)
        place = placement(self.image, self.axes, self._session.label_axes, proposal.offset)
        if self.proposal is None:
            self.proposal = self._add(data, f"{self.image.name} proposal", proposal.offset)
            self.proposal.editable = False
            self._hide_cells()
        else:
            replace_data(self.proposal, data)
            self.proposal.translate = place["translate"]
        described = self._session.layer_metadata(proposal)
        self.proposal.metadata[METADATA] = {**described, "role": "proposal"}
        self._select(self.proposal)

    def adopt(self, layer: Labels | None) -> None:
        """Let an existing Labels layer be the cells layer from now on."""
        self._let_go_of_cells()
        if layer is not None:
            self._watch(layer)

    def as_session_labels(self, layer: Labels) -> np.ndarray:
        """Return a layer's labels with the session's axes; they share memory where they can.

        Raises
        ------
        InputError
            It has several resolutions.
        """
        if layer.multiscale:
            raise InputError(unwritable(layer))
        data = np.asarray(layer.data)
        axes = self._session.label_axes
        letters = layer_letters(self.axes, axes)
        if data.ndim == len(letters) != len(axes):
            return data[tuple(slice(None) if letter in axes else 0 for letter in letters)]
        return data

    def find_layers(self) -> None:
        """Find the layers of a session that a dock worked on before this one."""
        session = self._session
        if session.labels is not None and self.cells is None:
            layer = self._holding(session.labels)
            if layer is not None:
                self._watch(layer)
                self._shown = session.labels
            else:
                self.show_labels(session.labels)
        if session.proposal is not None and self.proposal is None:
            self.proposal = self._holding(session.proposal.labels)
            if self.proposal is None:
                self.show_proposal(session.proposal)
            else:
                self._hid_cells = self.cells is not None and not self.cells.visible

    def _holding(self, labels: np.ndarray) -> Labels | None:
        viewer = self._viewer()
        for layer in [] if viewer is None else viewer.layers:
            shown = getattr(layer, "data", None)
            if isinstance(shown, np.ndarray) and np.may_share_memory(shown, labels):
                return layer
        return None

    def rescale(self) -> None:
        """Give the image's scale and units to the cells and the proposal."""
        if self.image is None:
            return
        axes, proposal = self._session.label_axes, self._session.proposal
        for layer, offset in (
            (self.cells, (0,) * len(axes)),
            (self.proposal, proposal.offset if proposal is not None else (0,) * len(axes)),
        ):
            if layer is not None:
                place = placement(self.image, self.axes, axes, offset)
                layer.scale, layer.units = place["scale"], place["units"]
                layer.translate = place["translate"]

    def removed(self, layer: Any) -> str:
        """Let go of a layer that the user removed; return its role ("image", "cells", ...)."""
        if layer is self.image:
            self._remove_proposal()
            self.image = None  # the cells are still there, and what is drawn on them still counts
            return "image"
        if layer is self.proposal:
            self.proposal = None
            self._show_cells()
            return "proposal"
        if layer is self.cells:
            self._let_go_of_cells()
            return "cells"
        return ""

    def orphan(self) -> Labels | None:
        """Return the layer with the cells of an image that was closed and is open again."""
        from napari.layers import Labels

        session, viewer = self._session, self._viewer()
        volume = session.volume
        if viewer is None or volume is None:
            return None
        for layer in viewer.layers:
            if not isinstance(layer, Labels) or not isinstance(layer.data, np.ndarray):
                continue
            document = session.document_of(layer.data)
            if (
                document is not None
                and document.meta.get("image") == volume.name
                and (document.labels.shape, document.axes)
                == (session.label_shape, session.label_axes)
            ):
                return layer
        return None

    def _add(self, data: np.ndarray, name: str, offset: tuple[int, ...] | None = None) -> Labels:
        from napari.layers import Labels

        assert self.image is not None
        axes = self._session.label_axes
        layer = Labels(
            data,
            name=name,
            opacity=0.6,
            **placement(self.image, self.axes, axes, offset or (0,) * len(axes)),
        )
        if layer.dtype == np.uint32:
            look_for(layer, layer.axis_labels.index("t") if "t" in axes else None)
        viewer = self._viewer()
        if viewer is not None:
            roles = [other.metadata.get(METADATA, {}).get("role") for other in viewer.layers]
            above = [index for index, role in enumerate(roles) if role in (PROMPTS, PREVIEW)]
            active = viewer.layers.selection.active
            viewer.add_layer(layer)
            if above:  # what is prompted lies over what is finished
                viewer.layers.move(len(viewer.layers) - 1, above[0])
            if active is not None and active.metadata.get(METADATA, {}).get("role") == PROMPTS:
                viewer.layers.selection.active = active  # clicks go on meaning what they meant
        return layer

    def _watch(self, layer: Labels) -> None:
        self.cells = layer
        if self.image is not None:
            self._cells_of[self.image] = weakref.ref(layer)
        viewer = self._viewer()
        if viewer is not None:  # tools draw on it, and a user may remove it
            keep_drawn(viewer, layer)
        self.look.show_on(layer, self._letters(layer))
        self._capture()

    def _letters(self, layer: Labels) -> str:
        """Axes of the cells layer."""
        axes = self._session.label_axes
        letters = layer_letters(self.axes, axes) if self.axes and axes else axes
        return letters if layer.data.ndim == len(letters) else axes

    def _capture(self) -> None:
        """Let what is drawn on the cells go through the session, once they hold its labels."""
        layer, labels = self.cells, self._session.labels
        if layer is None or labels is None or self._release is not None or unwritable(layer):
            return
        if np.may_share_memory(layer.data, labels):
            sink = CellsSink(self._session, self._letters(layer), self._on_data)
            self._release = capture(layer, sink)

    def _let_go_of_cells(self) -> None:
        self.cells = self._shown = None
        self.look.show_on(None)
        release, self._release = self._release, None
        if release is not None:
            release()

    def _let_go(self) -> None:
        self._remove_proposal()
        self._let_go_of_cells()

    def _remove_proposal(self) -> None:
        layer, self.proposal = self.proposal, None
        viewer = self._viewer()
        if layer is not None and viewer is not None and layer in viewer.layers:
            viewer.layers.remove(layer)
        self._show_cells()

    def _select(self, layer: Labels) -> None:
        """Select a layer of ours, so that the brush does not paint into labels of others."""
        from napari.layers import Labels

        viewer = self._viewer()
        if viewer is None or layer not in viewer.layers:
            return
        active = viewer.layers.selection.active
        if active is None or (isinstance(active, Labels) and active is not layer):
            viewer.layers.selection.active = layer

    def _hide_cells(self) -> None:
        if self.cells is not None and self.cells.visible:
            self.cells.visible = False
            self._hid_cells = True

    def _show_cells(self) -> None:
        if self._hid_cells and self.cells is not None:
            self.cells.visible = True
        self._hid_cells = False

    def _on_selected(self, keys: tuple[tuple[int, int], ...]) -> None:
        """Let napari's brush paint the cell that was selected."""
        if self.cells is not None and len(keys) == 1:
            self.cells.selected_label = keys[0][1]

    def _on_written(self, region: tuple[slice, ...]) -> None:
        """Redraw a box of the cells that the session has written."""
        if self.cells is None or self._session.labels is None:
            return
        letters = layer_letters(self.axes, self._session.label_axes)
        redraw(self.cells, layer_region(region, self._session.label_axes, letters))

    def _on_data(self, data: Any, problem: str) -> None:
        if self.cells is None or self._writing:
            return
        try:
            if problem:
                raise InputError(problem)
            other = self._shown is not None and not np.may_share_memory(data, self._shown)
            labels = self.as_session_labels(self.cells)
            self._session.note_edit(labels)
        except CellsegError as error:  # somebody gave the layer data that do not fit the image
            show_warning(f"{error} The cells layer is left alone from now on.")
            self._let_go_of_cells()
            return
        if other:
            show_info("Another tool replaced the cells: that is a step which you can undo.")
        shown = self._session.labels
        if shown is not None and not np.may_share_memory(data, shown):
            self.show_labels(shown)  # they had to be converted
        self._shown = shown


_shared: weakref.WeakValueDictionary[int, SessionLayers] = weakref.WeakValueDictionary()


def layers_for(viewer: ViewerModel, session: Session) -> SessionLayers:
    """Return the layers that all docks of a session share; they keep it, this does not."""
    layers = _shared.get(id(session))
    if layers is None or layers._session is not session:
        layers = _shared[id(session)] = SessionLayers(viewer, session)
    return layers
