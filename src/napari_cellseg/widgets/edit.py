"""The Edit dock: merge, split, draw, lock, go back. It drives the session and holds no logic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_cellseg.errors import CellsegError
from napari_cellseg.widgets.edit_card import EditCard
from napari_cellseg.widgets.edit_files import EditFiles
from napari_cellseg.widgets.edit_history import EditHistory
from napari_cellseg.widgets.edit_panel import EditPanel
from napari_cellseg.widgets.edit_run import edit_for
from napari_cellseg.widgets.edit_select import EditSelect
from napari_cellseg.widgets.edit_source import EditSource
from napari_cellseg.widgets.edit_tools import TOOLS
from napari_cellseg.widgets.edit_words import origin_words, several_words, size_words, step_words
from napari_cellseg.widgets.icons import icon
from napari_cellseg.widgets.session_dock import SessionDock

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_cellseg.labels import Change

_SOON_MS = 20
"""A brush makes a step of every dab: what they change is shown once in so many milliseconds."""


class EditDock(SessionDock):
    """Correct cells by hand, in 2D and in 3D, with undo of everything.

    Parameters
    ----------
    napari_viewer : napari Viewer
        The viewer that the dock belongs to; kept weakly.
    """

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        viewer = self._viewer_now()
        self.run = edit_for(viewer, self.session, self.layers)
        self.source = EditSource()
        self.files = EditFiles(viewer, self.session, self.layers)
        self.card = EditCard()
        self.panel = EditPanel()
        self.filter = EditSelect()
        self.history = EditHistory(self.session)
        self.build((self.source, self.files, self.card, self.panel, self.filter, self.history), 7)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_SOON_MS)
        self._soon.timeout.connect(self.refresh)
        self._connect_parts()
        self.begin()

    # -- life ------------------------------------------------------------------------------------

    def join(self) -> None:
        """Follow the image, the labels and the tools."""
        session, run = self.session, self.run
        self.image.changed.connect(self._on_image)
        self.image.join(self.source)
        session.document_changed.connect(self._on_document)
        session.labels_changed.connect(self._on_labels)
        session.stepped.connect(self._on_step)
        session.selection_changed.connect(self._on_selection)
        run.changed.connect(self.refresh_soon)
        run.failed.connect(self._on_failed)
        run.said.connect(self._on_said)
        run.join()
        self.refresh_soon()

    def leave(self) -> None:
        """Follow them no more."""
        session, run = self.session, self.run
        self.image.changed.disconnect(self._on_image)
        self.image.leave(self.source)
        session.document_changed.disconnect(self._on_document)
        session.labels_changed.disconnect(self._on_labels)
        session.stepped.disconnect(self._on_step)
        session.selection_changed.disconnect(self._on_selection)
        run.changed.disconnect(self.refresh_soon)
        run.failed.disconnect(self._on_failed)
        run.said.disconnect(self._on_said)
        run.leave()

    def stop(self) -> None:
        """Leave no timer behind."""
        self._soon.stop()
        self.history.stop()

    def taken_out(self) -> None:
        """Take the preview along."""
        self.run.preview.remove()

    def _connect_parts(self) -> None:
        run, panel = self.run, self.panel
        self.files.failed.connect(self._on_failed)
        self.files.said.connect(self._on_said)
        self.files.taken_over.connect(run.verbs.transfer)
        self.card.class_chosen.connect(self._on_class)
        self.card.lock_pressed.connect(self._on_lock)
        panel.tool_pressed.connect(self._on_tool)
        panel.plane_only_toggled.connect(self._on_plane_only)
        panel.amount_typed.connect(self._on_amount)
        panel.planes_chosen.connect(self._on_planes)
        panel.at_once_toggled.connect(self._on_at_once)
        panel.by_flow_toggled.connect(self._on_by_flow)
        panel.apply_pressed.connect(self._on_apply)
        panel.drop_pressed.connect(self._on_drop)
        self.filter.asked.connect(self._on_filter)
        self.history.walking.connect(self._on_walking)
        self.history.failed.connect(self._on_failed)
        self._settings = run.verbs.settings

    # -- from the controls -----------------------------------------------------------------------

    def _on_tool(self, tool: str) -> None:
        self._said = ""
        if tool == self.run.tool:
            self.run.stop()
        else:
            self.run.start(tool)
        self.refresh_soon()

    def _on_class(self, name: str) -> None:
        self.run.verbs.set_class(self.session.selected, name)

    def _on_lock(self) -> None:
        self.run.verbs.act("lock")
        self.refresh_soon()

    def _on_plane_only(self, plane_only: bool) -> None:
        self._settings.plane_only = plane_only
        self.run.verbs.drop()

    def _on_amount(self, amount: float) -> None:
        self._settings.amount = amount
        self.run.verbs.drop()

    def _on_planes(self, planes: int) -> None:
        self._settings.planes = planes

    def _on_at_once(self, at_once: bool) -> None:
        self._settings.at_once = at_once

    def _on_by_flow(self, by_flow: bool) -> None:
        self._settings.by_flow = by_flow

    def _on_apply(self) -> None:
        self.run.press("apply")

    def _on_drop(self) -> None:
        self.run.press("drop")

    def _on_filter(self) -> None:
        document = self.session.document
        if document is None:
            return
        try:
            keys = self.filter.chosen(document, self.run.time())
        except CellsegError as error:
            self._on_failed(error)
            return
        self.session.select(keys)
        self._on_said(f"{len(keys):,} cells selected." if keys else "No cell is like that.")

    def _on_walking(self, done: int, whole: int) -> None:
        if whole:
            self.strip.progress(done / whole, f"going back in history, {done:,} of {whole:,}")
        else:
            self._on_status(self.session.status)

    def _on_cancel(self) -> None:
        self.history.stop()
        super()._on_cancel()

    # -- from the session ------------------------------------------------------------------------

    def _on_image(self) -> None:
        self.run.settle()
        self.refresh_soon()

    def _on_document(self, document: object) -> None:
        self._said = ""  # of the document before
        self._on_status(self.session.status)
        self._on_labels(document)

    def _on_labels(self, labels: object) -> None:
        self.history.stop()
        self.refresh_soon()

    def _on_step(self, change: Change) -> None:
        done = {"do": "", "undo": "undone: ", "redo": "made again: "}[change.direction]
        self._said = f"{done}{step_words(change.step)}"
        if not (self.session.busy or self.history.on_the_way):
            self.strip.idle(self._said)
        self.refresh_soon()

    def _on_selection(self, keys: object) -> None:
        self.refresh_soon()

    def _on_said(self, sentence: str) -> None:
        self._said = sentence
        if not self.session.busy:
            self.strip.idle(sentence)

    def _on_theme(self, event: Any = None) -> None:
        super()._on_theme(event)
        viewer = self._viewer()
        if viewer is not None:
            self.panel.show_icons(viewer.theme)
            self.history.show_icons(viewer.theme)
            self.refresh_soon()

    # -- showing ---------------------------------------------------------------------------------

    def refresh_soon(self) -> None:
        """Show what is so, in a moment; more changes until then cost nothing."""
        if self._connected and not self._soon.isActive():
            self._soon.start()

    def refresh(self) -> None:
        """Show what is selected, what can be done, and why not."""
        if not self._connected:
            return
        self._soon.stop()
        session, run, panel = self.session, self.run, self.panel
        document, settings = session.document, run.verbs.settings
        keys = run.keys.keys
        self.files.show_state()
        self._show_card()
        deep = "z" in session.label_axes
        panel.show_tools(run.tool, {name: run.reason(name) for name in TOOLS}, keys)
        pending = run.verbs.pending
        panel.show_state(self._state(), "" if pending is None else pending.text, keys)
        flat = "" if deep or document is None else "The cells have one plane only."
        if not flat and document is not None and run.plane() is None:
            flat = "Turn to a 2D view of the cells first."
        panel.show_scope(settings.plane_only, flat)
        drawing = deep and run.tool in ("new", "extend", "erase")
        panel.show_numbers(settings.amount, session.unit, settings.planes, drawing)
        panel.show_flow(settings.by_flow, run.verbs.no_flow)
        able = session.can("edit")
        self.filter.button.set_available(able)
        self.history.show_document(document)
        self.notices.show_sentences([*session.notices[-1:], *run.key_problems])

    def _show_card(self) -> None:
        session, document = self.session, self.session.document
        keys, viewer = session.selected, self._viewer()
        if document is None:
            self.card.show_none(session.can("edit").reason)
            return
        if not keys or viewer is None:
            self.card.show_none("Click a cell in the image: the cells layer must be selected.")
            return
        locked = [document.is_locked(id, t) for t, id in keys]
        kinds = {document.objects.mark(id, "class", t) or "" for t, id in keys}
        all_of = sorted({str(one) for one in document.objects.marked("class").values()})
        one = keys[0]
        if len(keys) == 1:
            name = f"{self._swatch(one[1])}<b>cell {one[1]}</b>"
            size = size_words(document, one, document.spacing_known)
            origin = origin_words(document, one)
        else:
            name = f"<b>{len(keys):,} cells</b>"
            size, origin = several_words(document, keys), ""
        what = "it" if len(keys) == 1 else "them"
        tip = (
            f"Locked: nothing changes {what}. Press to unlock {what}."
            if all(locked)
            else f"Not locked. Press to lock {what}, so that nothing changes {what}."
        )
        drawn = icon("lock" if all(locked) else "unlock", viewer.theme)
        kind = kinds.pop() if len(kinds) == 1 else ""
        self.card.show_cells(name, size, origin, kind, all_of, all(locked), tip, drawn)

    def _swatch(self, id: int) -> str:
        """A dot in the colour that a cell has in the image."""
        cells = self.layers.cells
        colour = None if cells is None else cells.get_color(id)
        if colour is None:
            return ""
        red, green, blue = (round(255 * float(part)) for part in colour[:3])
        return f"<span style='color: rgb({red}, {green}, {blue})'>⬤</span> "

    def _state(self) -> str:
        """What the user does now, in a sentence."""
        run = self.run
        if not run.tool:
            return ""
        sentence = f"{TOOLS[run.tool].text.capitalize()}: {TOOLS[run.tool].ask}"
        if run.tool == "split" and run.clicks.seeds:
            count = len(run.clicks.seeds)
            sentence += f" {count} point{'s' if count > 1 else ''} so far."
        leave = run.keys.keys.get("drop", "")
        if not leave:
            return sentence
        return f"{sentence} {'Esc' if leave == 'Escape' else leave} leaves the tool."
