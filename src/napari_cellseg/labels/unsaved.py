"""What a document says of being saved while it has no open journal."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from psygnal import Signal


class Unsaved:
    """Nothing is saved before there is a journal; once it is closed, what was saved stays so.

    Attributes
    ----------
    all : bool
        Whether every step is durable.
    """

    changed: ClassVar[Signal] = Signal()
    number = 0
    when: datetime | None = None

    def __init__(self) -> None:
        self.all = False

    def wait(self, timeout: float | None = None) -> bool:
        """Return at once whether every step is durable: there is nothing to wait for."""
        return self.all
