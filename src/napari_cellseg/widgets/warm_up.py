"""The one-time import of the engine, done when the first dock opens and not at the first click."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from napari_cellseg.widgets.bridge import gui_bridge
from napari_cellseg.worker import JobContext, Priority, operation, worker

if TYPE_CHECKING:
    from napari_cellseg.worker import Job

NOTICE = "Loading the engine, once…"


@operation("warm up", uses_torch=True)
def warm_up(context: JobContext) -> None:
    """Import torch (which the worker does for this operation) and the flow engine."""
    import_module("napari_cellseg.flows").segment  # noqa: B018 - it is imported on first use


@cache
def _started() -> list[Job]:
    return []


def warm_up_once(on_end: Callable[[Job], None]) -> bool:
    """Start the import in the worker's thread; return False if that was done before.

    Parameters
    ----------
    on_end : callable
        Called on the GUI thread with the job when it has ended.
    """
    if _started():
        return False
    job = worker().submit(
        "warm up",
        priority=Priority.PREFETCH,
        deliver=gui_bridge().post,
        on_end=on_end,
    )
    _started().append(job)
    return True
