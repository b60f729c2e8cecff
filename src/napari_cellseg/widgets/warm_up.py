"""The one-time import of the engine, done when the first dock opens and not at the first click."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np

from napari_cellseg.widgets.bridge import gui_bridge
from napari_cellseg.worker import JobContext, Priority, operation, worker

if TYPE_CHECKING:
    from napari_cellseg.worker import Job

NOTICE = "Loading the engine, once…"


@operation("warm up", uses_torch=True)
def warm_up(context: JobContext) -> None:
    """Import torch (the worker does that for this operation), the flow engine and napari's kernels.

    The first Labels layer of a process loads napari's compiled colour kernels, half a second for
    which the window would stand still; a layer that nobody sees loads them here. So do the kernels
    of the first edit and the first split.
    """
    import_module("napari_cellseg.flows").segment  # noqa: B018 - it is imported on first use
    layers = import_module("napari.layers")
    layers.Labels(np.zeros((1, 2, 2), np.uint32))
    labels = import_module("napari_cellseg.labels")
    document = labels.LabelDocument(np.zeros((1, 2, 2), np.uint32))
    document.apply(labels.Edit((0, 0, 0, 1, 1, 1), np.ones((1, 1, 1), np.bool_), 1))
    import_module("napari_cellseg.labels.operations").compile_kernel()


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
    # pint reads its units on first use, and two threads that make layers must not do so at once
    import_module("pint").get_application_registry().pixel  # noqa: B018 - it is read by asking
    job = worker().submit(
        "warm up",
        priority=Priority.PREFETCH,
        deliver=gui_bridge().post,
        on_end=on_end,
    )
    _started().append(job)
    return True
