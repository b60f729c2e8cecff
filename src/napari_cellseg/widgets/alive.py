"""Results that arrive when the widget that asked for them is gone are nobody's."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QObject


def while_alive(owner: QObject, call: Callable[..., Any]) -> Callable[..., None]:
    """Return a call that is made only as long as a Qt object lives.

    Parameters
    ----------
    owner : QObject
        Kept weakly.
    call : callable
        Of the owner, or of what belongs to it.
    """
    reference = weakref.ref(owner)

    def run(*values: Any) -> None:
        living = reference()
        if living is not None and isalive(living):
            call(*values)

    return run
