"""What our docks have in common: a session, a place in the window, a life that ends cleanly."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QFrame, QVBoxLayout, QWidget

from napari_cellseg.session import Session, session_for
from napari_cellseg.widgets.announce import announce
from napari_cellseg.widgets.bridge import gui_bridge
from napari_cellseg.widgets.column import Column
from napari_cellseg.widgets.image_choice import choice_for
from napari_cellseg.widgets.notices import Notices
from napari_cellseg.widgets.preferences import preferences
from napari_cellseg.widgets.recovery import recovery_for
from napari_cellseg.widgets.recovery_banner import RecoveryBanner, banner_rules
from napari_cellseg.widgets.saved_label import saved_rules
from napari_cellseg.widgets.session_layers import layers_for
from napari_cellseg.widgets.status_strip import StatusStrip
from napari_cellseg.widgets.style import stylesheet
from napari_cellseg.widgets.tabs import share_place
from napari_cellseg.widgets.warm_up import NOTICE, warm_up_once

if TYPE_CHECKING:
    from napari.viewer import Viewer, ViewerModel

    from napari_cellseg.session import Status
    from napari_cellseg.worker import Job


def _leave(dock: weakref.ref[SessionDock], *_: object) -> None:
    left = dock()
    if left is not None:
        left.leave_session()


class SessionDock(QWidget):
    """A dock on the session of its viewer, which other docks may share.

    A dock says in `join` and `leave` what else it listens to, in `stop` what it must end while its
    Qt objects live, and in `refresh` how it shows what is so now.

    Parameters
    ----------
    napari_viewer : napari Viewer
        Kept weakly.
    """

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        viewer: ViewerModel = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self._viewer = weakref.ref(viewer)
        self._connected = False
        self._placed = False
        self._said = ""
        self.session: Session = session_for(viewer, gui_bridge().post)
        self.layers = layers_for(viewer, self.session)
        self.image = choice_for(viewer, self.session, self.layers)
        self.recovery = recovery_for(self.session)
        self.banner = RecoveryBanner(self.recovery)
        self.notices = Notices()
        self.strip = StatusStrip()
        self.strip.cancelled.connect(self._on_cancel)

    def build(self, sections: Sequence[QWidget], spacing: int) -> None:
        """Lay sections out in a column, with the notices below and the status strip at the foot."""
        body = QWidget()
        inner = QVBoxLayout(body)
        inner.setContentsMargins(8, 8, 8, 8)
        inner.setSpacing(spacing)
        for index, section in enumerate(sections):
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
        layout.addWidget(self.banner)
        layout.addWidget(scroll, 1)
        foot = QVBoxLayout()
        foot.setContentsMargins(8, 0, 8, 4)
        foot.addWidget(self.strip)
        layout.addLayout(foot)

    def _viewer_now(self) -> ViewerModel:
        viewer = self._viewer()
        assert viewer is not None  # it has just made the dock
        return viewer

    # -- what a dock adds ------------------------------------------------------------------------

    def join(self) -> None:
        """Listen to what only this dock listens to."""

    def leave(self) -> None:
        """Listen to it no more; needs no living Qt object."""

    def stop(self) -> None:
        """End what must not outlive the dock."""

    def taken_out(self) -> None:
        """Clear up, because the viewer goes on without the dock."""

    def refresh(self) -> None:
        """Show what is so now."""

    # -- life ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start to listen, once everything is built."""
        # A window that is closed before it was ever drawn hides nothing; it only deletes the dock.
        self.destroyed.connect(partial(_leave, weakref.ref(self)))
        self._connect()

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
        """When the whole window goes, stop everything.

        A dock behind another tab, or toggled off in the menu, still belongs to its window: what
        runs goes on, and its result arrives.
        """
        super().hideEvent(event)
        window = self.window()
        closing = window is not None and not window.isVisible()
        if closing and event is not None and not event.spontaneous():
            self.let_go()

    def event(self, event: QEvent | None) -> bool:
        """Stop everything when the dock's ✕ takes this widget out of the window."""
        out = event is not None and event.type() == QEvent.Type.ParentChange
        if out and self.parent() is None and self._connected:
            self.let_go()
            self.taken_out()
        return super().event(event)

    def _connect(self) -> None:
        viewer = self._viewer()
        if self._connected or viewer is None:
            return
        self._connected = True
        session = self.session
        session.deliver = gui_bridge().post
        chosen = preferences().documents_folder
        if chosen is not None:
            session.documents = chosen
        session.status_changed.connect(self._on_status)
        session.availability_changed.connect(self._on_news)
        session.notices_changed.connect(self._on_news)
        session.failed.connect(self._on_failed)
        session.journal_changed.connect(self.strip.show_journal)
        self.recovery.failed.connect(self._on_failed)
        self.banner.follow()
        viewer.events.theme.connect(self._on_theme)
        self.image.failed.connect(self._on_failed)
        self.layers.join()
        self.join()
        self.recovery.join()
        self._on_theme()
        self.strip.show_journal(session.journal)
        self._on_status(session.status)

    def let_go(self) -> None:
        """Cancel what runs and listen to nothing any more; `showEvent` takes up again."""
        if self._connected:
            self.stop()
            self.leave_session()

    def leave_session(self) -> None:
        """Do the part of `let_go` that needs no living Qt object."""
        if not self._connected:
            return
        self._connected = False
        session = self.session
        session.status_changed.disconnect(self._on_status)
        session.availability_changed.disconnect(self._on_news)
        session.notices_changed.disconnect(self._on_news)
        session.failed.disconnect(self._on_failed)
        session.journal_changed.disconnect(self.strip.show_journal)
        self.recovery.failed.disconnect(self._on_failed)
        self.banner.unfollow()
        self.recovery.leave()
        self.image.failed.disconnect(self._on_failed)
        self.leave()
        if self.layers.leave():  # no other dock waits for what runs
            session.cancel()
        viewer = self._viewer()
        if viewer is not None:
            viewer.events.theme.disconnect(self._on_theme)

    # -- from the session ------------------------------------------------------------------------

    def _on_status(self, status: Status) -> None:
        if status.busy:
            self._said = ""
            self.strip.progress(-1.0 if status.fraction is None else status.fraction, status.text)
        elif self.session.last_error is not None:
            self.strip.error(str(self.session.last_error))
        else:
            self.strip.idle(self._said or status.text)
        self.refresh()

    def _on_warm(self, job: Job) -> None:
        if self._connected:
            self._on_status(self.session.status)

    def _on_news(self, *_: object) -> None:
        self.refresh()

    def _on_failed(self, error: Exception) -> None:
        self.strip.error(str(error))
        announce(error)

    def _on_cancel(self) -> None:
        self.session.cancel()

    def _on_theme(self, event: Any = None) -> None:
        viewer = self._viewer()
        if viewer is not None:
            rules = (stylesheet, saved_rules, banner_rules)
            self.setStyleSheet("".join(rule(viewer.theme) for rule in rules))
