"""The Review dock: what is most likely wrong, one key for each answer, and when to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_cellseg.errors import CellsegError
from napari_cellseg.widgets.edit_source import EditSource
from napari_cellseg.widgets.review_list import ReviewList
from napari_cellseg.widgets.review_panel import (
    BUTTONS,
    ReviewButtons,
    ReviewCheck,
    ReviewFilters,
    ReviewHead,
)
from napari_cellseg.widgets.review_run import ReviewRun
from napari_cellseg.widgets.session_dock import SessionDock

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_cellseg.labels.review import Filters, ReviewItem

_SOON_MS = 20
"""What a key changes is shown once, however much of it there is."""
_OFF = "Turn reviewing on first."


class ReviewDock(SessionDock):
    """Look at what is doubtful, in 2D and in 3D, and know when it is enough.

    Parameters
    ----------
    napari_viewer : napari Viewer
        The viewer that the dock belongs to; kept weakly.
    """

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        viewer = self._viewer_now()
        self.run = ReviewRun(viewer, self.session, self.layers, self)
        self.review = self.run.review
        self.source = EditSource()
        self.source.image.setToolTip("The image layer whose cells are reviewed.")
        self.head = ReviewHead()
        self.filters = ReviewFilters()
        self.list = ReviewList()
        self.buttons = ReviewButtons()
        self.check = ReviewCheck()
        self.build((self.source, self.head, self.filters, self.list, self.buttons, self.check), 7)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_SOON_MS)
        self._soon.timeout.connect(self.refresh)
        self._connect_parts()
        self.begin()

    # -- life ------------------------------------------------------------------------------------

    def join(self) -> None:
        """Follow the image, the labels and their review."""
        self.image.changed.connect(self._on_image)
        self.image.join(self.source)
        self.session.document_changed.connect(self.refresh_soon)
        self.run.join()
        self.refresh_soon()

    def leave(self) -> None:
        """Follow them no more."""
        self.image.changed.disconnect(self._on_image)
        self.image.leave(self.source)
        self.session.document_changed.disconnect(self.refresh_soon)
        self.run.leave()

    def stop(self) -> None:
        """Leave no timer behind."""
        self._soon.stop()
        self.run.halt()

    def _connect_parts(self) -> None:
        run = self.run
        run.failed.connect(self._on_refused)
        run.said.connect(self._on_said)
        run.changed.connect(self.refresh_soon)
        self.head.toggled.connect(self._on_toggled)
        self.filters.chosen.connect(self._on_filters)
        self.list.chosen.connect(self._on_chosen)
        self.buttons.pressed.connect(self._on_pressed)
        self.buttons.go_on.toggled.connect(self._on_go_on)
        self.check.toggled.connect(self._on_check)
        self.check.stratum_chosen.connect(self._on_stratum)
        self.check.answered.connect(self._on_answer)
        self.check.forget.connect(self.review.forget_audit)

    # -- from the controls -----------------------------------------------------------------------

    def _on_toggled(self, on: bool) -> None:
        self._said = ""
        if on:
            self.run.start()
        else:
            self.run.stop()
        self.refresh_soon()

    def _on_filters(self, filters: Filters) -> None:
        self.review.filters = filters

    def _on_chosen(self, item: ReviewItem) -> None:
        self.run.go(item)

    def _on_pressed(self, action: str) -> None:
        self._said = ""
        self.run.press(action)

    def _on_go_on(self, on: bool) -> None:
        self.review.go_on = on

    def _on_check(self, on: bool) -> None:
        self._said = ""
        if on:
            self._on_stratum()
        else:
            self.review.stop_audit()
        self.refresh_soon()

    def _on_stratum(self) -> None:
        of: Any = self.check.stratum
        try:
            self.review.start_audit(of)
        except CellsegError as error:
            self._on_refused(error)
        self.refresh_soon()

    def _on_answer(self, wrong: bool) -> None:
        self.run.press("wrong" if wrong else "right")

    # -- from the session ------------------------------------------------------------------------

    def _on_image(self) -> None:
        self.run.settle()
        self.refresh_soon()

    def _on_refused(self, error: Exception) -> None:
        """Something just asked for cannot be done: said here, without a notification."""
        self.strip.error(str(error))

    def _on_said(self, sentence: str) -> None:
        self._said = sentence
        if not self.session.busy:
            self.strip.idle(sentence)

    def _on_theme(self, event: Any = None) -> None:
        super()._on_theme(event)
        viewer = self._viewer()
        if viewer is not None:
            self.head.plot.show_theme(viewer.theme)

    # -- showing ---------------------------------------------------------------------------------

    def refresh_soon(self, *_: object) -> None:
        """Show what is so, in a moment; more changes until then cost nothing."""
        if self._connected and not self._soon.isActive():
            self._soon.start()

    def refresh(self) -> None:
        """Show what is left, what is in hand, and what can be done with it."""
        if not self._connected:
            return
        self._soon.stop()
        review, run = self.review, self.run
        ranked = review.queue is not None
        items, item = review.items, review.item
        self.head.on.set_reason("" if run.on else run.reason)
        self.head.show_on(run.on, self._state())
        self.head.show_progress(review.progress if ranked else None)
        for part in (self.filters, self.list, self.buttons, self.check):
            part.setVisible(ranked)
        if ranked:
            every = [one.score for one in review.all_items]
            at = None if item is None else item.score
            self.head.plot.show_scores(every, [one.score for one in items], at)
            self.filters.show_filters(review.filters)
            document = self.session.document
            timed = document is not None and document.timed and document.labels.shape[0] > 1
            self.list.show_items(items, item, timed)
            self._show_item(item)
        self.notices.show_sentences([*self.session.notices[-1:], *run.key_problems])

    def _show_item(self, item: ReviewItem | None) -> None:
        review, run = self.review, self.run
        off = "" if run.on else _OFF
        reasons = dict.fromkeys(BUTTONS, off)
        neighbour = ""
        if not off and item is None:
            reasons = dict.fromkeys(BUTTONS, "There is nothing left in the list.")
        elif not off and item is not None and item.kind == "missing":
            for name in ("split", "merge", "delete", "reopen"):
                reasons[name] = "No cell is in hand, but a place where one may be missing."
        elif not off:
            found = review.neighbour()
            neighbour = "" if found is None else str(found[1])
            if found is None:
                reasons["merge"] = "It touches no other cell."
        if not off and review.auditing:
            said = "Say right or wrong first: what is drawn at random must be answered."
            reasons.update(dict.fromkeys(("next", "skip"), said))
            reasons["previous"] = "" if review.answered else "Nothing was answered yet."
        blocked = self.buttons.go_on.blockSignals(True)
        self.buttons.go_on.setChecked(review.go_on)
        self.buttons.go_on.blockSignals(blocked)
        self.buttons.show_item(_title(item), reasons, run.keys.keys, neighbour)
        self.check.show_audit(
            review.auditing, review.verdict, off, run.keys.keys, review.audit is not None
        )

    def _state(self) -> str:
        review, run = self.review, self.run
        viewer = self._viewer()
        if not run.on:
            return ""
        if review.ranking:
            return "Ranking: the list comes when everything is measured."
        if run.lent == "edit":
            return "Click a point in each part of the cell; Esc goes back to the list."
        if run.lent == "prompt":
            return "Prompting: accept or discard the object, and the list goes on."
        if viewer is not None and viewer.layers.selection.active is not self.layers.cells:
            return "The keys act again once the cells layer is selected."
        return ""


def _title(item: ReviewItem | None) -> str:
    if item is None:
        return "Nothing is left to look at."
    if item.id is not None:
        return f"Cell {item.id}: {'; '.join(item.why)}" if item.why else f"Cell {item.id}"
    return "Is a cell missing here? Add it, or accept that there is none."
