"""What of a journal the disk has."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from psygnal import Signal

if TYPE_CHECKING:
    from napari_cellseg.labels.journal.writer import Writer


class Saved:
    """What is durable, and when that was last so.

    `changed` is emitted from the writer's thread: who draws it hands it to the thread that draws.
    """

    changed: ClassVar[Signal] = Signal()

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    @property
    def number(self) -> int:
        """The last record that the disk has, together with every record and snapshot before it."""
        return self._writer.durable

    @property
    def all(self) -> bool:
        """Whether the disk has everything that was appended so far."""
        return self._writer.all_durable

    @property
    def when(self) -> datetime | None:
        """When something was last saved (UTC); None before the first time since opening."""
        return self._writer.when

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the disk has everything that was appended before this call.

        Parameters
        ----------
        timeout : float, optional
            Seconds; None waits as long as it takes.

        Returns
        -------
        bool
            False after the timeout, and as soon as an attempt to save has failed (see
            `Journal.trouble`).
        """
        return self._writer.wait(timeout)
