"""Calls from worker threads, delivered on the GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from qtpy.QtCore import QCoreApplication, QObject, Qt, QThread, Signal, Slot


class GuiBridge(QObject):
    """Post a call from any thread; it runs on the thread that owns the bridge.

    The queued signal is Qt's own way across threads. A call that raises goes to ``sys.excepthook``,
    where napari shows it.
    """

    _posted = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._posted.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def post(self, call: Callable[[], None]) -> None:
        """Call ``call()`` on the GUI thread, soon."""
        self._posted.emit(call)

    @Slot(object)
    def _deliver(self, call: Callable[[], None]) -> None:
        call()


@cache
def gui_bridge() -> GuiBridge:
    """Return the bridge of this process.

    It holds no state and lives as long as the process, so that no worker thread can ever meet one
    that Qt has deleted; what must not be delivered any more is the sessions' business.
    """
    bridge = GuiBridge()
    application = QCoreApplication.instance()
    if application is not None and QThread.currentThread() is not application.thread():
        bridge.moveToThread(application.thread())
    return bridge
