"""What a document without a journal says of being saved."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from psygnal import Signal


class Unsaved:
    """Nothing is saved, and nothing will be until the document has a journal."""

    changed: ClassVar[Signal] = Signal()
    number = 0
    when: datetime | None = None

    def __init__(self, empty: bool = True) -> None:
        self.all = False

    def wait(self, timeout: float | None = None) -> bool:
        """Return False at once: there is nothing to wait for."""
        return False
