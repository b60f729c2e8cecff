"""The end of the program: journals that nobody closed save what they have."""

from __future__ import annotations

import atexit
import logging
import os
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_cellseg.labels.journal.writer import Writer

_log = logging.getLogger(__name__)

#: Seconds that the end of the program waits for a journal.
PATIENCE = 10.0

#: Those whose thread runs; a thread keeps its own writer alive.
running: weakref.WeakSet[Writer] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for writer in list(running):
        # a forked process has the object, but neither its thread nor its lock
        if writer.process == os.getpid() and not writer.close(PATIENCE):
            _log.error("edits in %s could not be saved", writer.folder)
