"""The Segment dock: open, try, run, refine, save. It drives the session and holds no logic."""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QFrame, QVBoxLayout, QWidget

from napari_cellseg.networks import available_networks
from napari_cellseg.session import Session, session_for
from napari_cellseg.widgets.announce import announce
from napari_cellseg.widgets.bridge import gui_bridge
from napari_cellseg.widgets.column import Column
from napari_cellseg.widgets.image_choice import choice_for
from napari_cellseg.widgets.model_section import ModelSection
from napari_cellseg.widgets.notices import Notices
from napari_cellseg.widgets.result_section import ResultSection
from napari_cellseg.widgets.segment_run import SegmentRun
from napari_cellseg.widgets.session_layers import layers_for
from napari_cellseg.widgets.source_section import SourceSection
from napari_cellseg.widgets.status_strip import StatusStrip
from napari_cellseg.widgets.style import stylesheet
from napari_cellseg.widgets.tabs import share_place
from napari_cellseg.widgets.warm_up import NOTICE, warm_up_once

if TYPE_CHECKING:
    from napari.viewer import Viewer, ViewerModel

    from napari_cellseg.session import Status
    from napari_cellseg.worker import Job

NOTICES_SHOWN = 3
ASKED = ("Spacing ", "Axes ")  # said to callers of the API; the dock has fields to ask with


def _leave(dock: weakref.ref[SegmentDock], *_: object) -> None:
    left = dock()
    if left is not None:
        left.leave_session()


def latest(sentences: Iterable[str]) -> Iterable[str]:
    """Return the newest of sentences that differ only in their numbers, in order of speaking."""
    newest: dict[str, str] = {}
    for sentence in sentences:
        saying = re.sub(r"\d+(\.\d+)?", "#", sentence)
        newest.pop(saying, None)
        newest[saying] = sentence
    return newest.values()


class SegmentDock(QWidget):
    """Segment cells in 2D, 3D and 3D+t.

    Parameters
    ----------
    napari_viewer : napari Viewer
        The viewer that the dock belongs to; kept weakly.
    """

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        viewer: ViewerModel = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self._viewer = weakref.ref(viewer)
        self._connected = False
        self._placed = False
        self.session: Session = session_for(viewer, gui_bridge().post)
        self.layers = layers_for(viewer, self.session)
        self.source = SourceSection()
        self.model = ModelSection()
        self.result = ResultSection()
        self.notices = Notices()
        self.strip = StatusStrip()
        self._build()
        self.image = choice_for(viewer, self.session, self.layers)
        self.run = SegmentRun(viewer, self.session, self.layers, self.model, self.result, self)
        self.run.failed.connect(self._on_failed)
        self.run.changed.connect(self._refresh_available)
        self.strip.cancelled.connect(self._on_cancel)
        self.model.show_models(available_networks(), self.session.parameters.model)
        # A window that is closed before it was ever drawn hides nothing; it only deletes the dock.
        self.destroyed.connect(partial(_leave, weakref.ref(self)))
        self._connect()

    # -- life ------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 - Qt's name
        """Listen again, if the dock was taken out of the window before; warm the engine up."""
        super().showEvent(event)
        self._connect()
        if not self._placed:
            self._placed = True
            share_place(self)
        if warm_up_once(self._on_warm) and not self.session.busy:
            self.strip.idle(NOTICE)

    def hideEvent(self, event: QHideEvent | None) -> None:  # noqa: N802 - Qt's name
        """Stop measuring; when the whole window goes, stop everything.

        A dock behind another tab, or toggled off in the menu, still belongs to its window: what
        runs goes on, and its result arrives.
        """
        super().hideEvent(event)
        self.run.measure.stop()
        window = self.window()
        closing = window is not None and not window.isVisible()
        if closing and event is not None and not event.spontaneous():
            self.let_go()

    def event(self, event: QEvent | None) -> bool:
        """Stop everything when the dock's ✕ takes this widget out of the window."""
        taken_out = event is not None and event.type() == QEvent.Type.ParentChange
        if taken_out and self.parent() is None:
            self.let_go()
        return super().event(event)

    def _connect(self) -> None:
        viewer = self._viewer()
        if self._connected or viewer is None:
            return
        self._connected = True
        session = self.session
        session.deliver = gui_bridge().post
        session.status_changed.connect(self._on_status)
        session.availability_changed.connect(self._refresh_available)
        session.notices_changed.connect(self._on_notices)
        session.failed.connect(self._on_failed)
        viewer.events.theme.connect(self._on_theme)
        self.image.failed.connect(self._on_failed)
        self.image.changed.connect(self._refresh_available)
        self.layers.join()
        self.run.connect_session()
        self.image.join(self.source)
        self._on_theme()
        self._on_status(session.status)

    def let_go(self) -> None:
        """Cancel what runs and listen to nothing any more; `showEvent` takes up again."""
        if self._connected:
            self.run.stop()
            self.leave_session()

    def leave_session(self) -> None:
        """Do the part of `let_go` that needs no living Qt object."""
        if not self._connected:
            return
        self._connected = False
        session = self.session
        session.cancel()
        self.image.failed.disconnect(self._on_failed)
        self.image.changed.disconnect(self._refresh_available)
        session.status_changed.disconnect(self._on_status)
        session.availability_changed.disconnect(self._refresh_available)
        session.notices_changed.disconnect(self._on_notices)
        session.failed.disconnect(self._on_failed)
        self.run.disconnect_session()
        self.image.leave(self.source)
        self.layers.leave()
        viewer = self._viewer()
        if viewer is not None:
            viewer.events.theme.disconnect(self._on_theme)

    def _build(self) -> None:
        body = QWidget()
        inner = QVBoxLayout(body)
        inner.setContentsMargins(8, 8, 8, 8)
        inner.setSpacing(10)
        for index, section in enumerate((self.source, self.model, self.result)):
            if index:
                line = QFrame()
                line.setObjectName("cellseg_line")
                inner.addWidget(line)
            inner.addWidget(section)
        inner.addWidget(self.notices)
        inner.addStretch(1)
        scroll = Column()
        scroll.setWidget(body)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(scroll, 1)
        foot = QVBoxLayout()
        foot.setContentsMargins(8, 0, 8, 4)
        foot.addWidget(self.strip)
        layout.addLayout(foot)

    # -- from the session ------------------------------------------------------------------------

    def _on_status(self, status: Status) -> None:
        if status.busy:
            self.strip.progress(-1.0 if status.fraction is None else status.fraction, status.text)
        elif self.session.last_error is not None:
            self.strip.error(str(self.session.last_error))
        else:
            self.strip.idle(status.text)
        self._refresh_available()

    def _on_warm(self, job: Job) -> None:
        if self._connected:
            self._on_status(self.session.status)

    def _on_notices(self, sentences: tuple[str, ...]) -> None:
        self._show_notices()

    def _on_failed(self, error: Exception) -> None:
        self.strip.error(str(error))
        announce(error)

    def _on_cancel(self) -> None:
        self.session.cancel()

    # -- showing ---------------------------------------------------------------------------------

    def _refresh_available(self) -> None:
        problem = self.image.problem or self.run.problem
        can, model, result = self.session.can, self.model, self.result
        no_image = "open an image first." if self.image.image is None else ""
        model.try_button.set_available(can("try"), problem)
        model.segment_button.set_available(can("segment"), problem)
        model.measure.set_reason(no_image)
        result.set_sliders_enabled(no_image)
        result.apply_button.set_available(can("apply"))
        result.discard_button.set_available(can("discard"))
        result.undo_button.set_available(can("undo"))
        result.adopt_button.set_available(can("adopt"), no_image)
        result.save_button.set_available(can("save"))
        self._show_notices()

    def _show_notices(self) -> None:
        typed = self.run.problem or (self.image.problem if self.image.image is not None else "")
        said = [s for s in latest(self.session.notices) if not s.startswith(ASKED)]
        newest_first = reversed(said[-NOTICES_SHOWN:])
        self.notices.show_sentences([typed, *newest_first, self.image.asks_for])

    def _on_theme(self, event: Any = None) -> None:
        viewer = self._viewer()
        if viewer is not None:
            self.setStyleSheet(stylesheet(viewer.theme))
