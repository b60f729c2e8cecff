"""Operations by name, and what one of them gets to work with.

A job is a name and plain arguments, never a closure over a layer or a widget, so that the same
job could run in another process or on another machine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from napari_cellseg.errors import Cancelled
from napari_cellseg.worker.memory import MemoryHint

if TYPE_CHECKING:
    from napari_cellseg.worker.models import ModelCache

Run = TypeVar("Run", bound=Callable[..., Any])


@dataclass(frozen=True)
class JobContext:
    """What an operation may use besides its arguments.

    Attributes
    ----------
    cancel : threading.Event
        Set when the result is no longer wanted; `check` raises then.
    progress : callable
        ``progress(fraction, message)``; cheap, call it as often as you like.
    notice : callable
        One sentence for the user.
    memory : MemoryHint
        How modest to be; changes between attempts of one job.
    models : ModelCache
        The models that all sessions share.
    """

    cancel: threading.Event
    progress: Callable[[float, str], None]
    notice: Callable[[str], None]
    memory: MemoryHint
    models: ModelCache

    def check(self) -> None:
        """Raise `Cancelled` if the job was cancelled."""
        if self.cancel.is_set():
            raise Cancelled("the work was cancelled")


@dataclass(frozen=True)
class Operation:
    """A registered operation: ``run(context, **arguments)``."""

    name: str
    run: Callable[..., Any]
    uses_torch: bool
    halves: bool


_OPERATIONS: dict[str, Operation] = {}


def operation(name: str, *, uses_torch: bool = False, halves: bool = False) -> Callable[[Run], Run]:
    """Register a function ``(context, **arguments)`` under a name.

    Parameters
    ----------
    name : str
        What `InferenceWorker.submit` is given.
    uses_torch : bool
        torch is imported and its threads are shared out before the operation runs; if the
        device's memory runs out it is tried again on the CPU.
    halves : bool
        It scales its batches by ``context.memory.batch_scale``: trying again with less helps.

    Raises
    ------
    ValueError
        The name is taken by another function.
    """

    def register(run: Run) -> Run:
        taken = _OPERATIONS.get(name)
        if taken is not None and taken.run.__qualname__ != run.__qualname__:
            raise ValueError(f"an operation named {name!r} exists already")
        _OPERATIONS[name] = Operation(name, run, uses_torch, halves)
        return run

    return register


def operations() -> tuple[str, ...]:
    """Names of all registered operations."""
    return tuple(sorted(_OPERATIONS))


def find(name: str) -> Operation:
    """Look an operation up.

    Raises
    ------
    KeyError
        There is none of that name.
    """
    try:
        return _OPERATIONS[name]
    except KeyError:
        raise KeyError(f"no operation is named {name!r}; there are {operations()}") from None
