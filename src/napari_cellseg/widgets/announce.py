"""Errors as napari's notifications: each once, however many docks hear of it."""

from __future__ import annotations

from napari.utils.notifications import ErrorNotification, notification_manager, show_error

from napari_cellseg.errors import CellsegError

_SAID = "_cellseg_said"


def announce(error: Exception) -> None:
    """Show an error, unless this very one was shown before."""
    if getattr(error, _SAID, False):
        return
    setattr(error, _SAID, True)  # on the error itself: keeping it would keep its frames alive
    if isinstance(error, CellsegError):
        show_error(str(error))
    else:  # a fault of ours: napari offers the traceback
        notification_manager.dispatch(ErrorNotification(error))
