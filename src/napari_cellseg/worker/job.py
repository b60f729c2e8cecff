"""One piece of work: what it is, how urgent, and how it ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from enum import Enum, IntEnum
from typing import Any

from napari_cellseg.errors import Cancelled

Deliver = Callable[[Callable[[], None]], None]
"""Takes a call and makes it happen where results may be used (a GUI queues it to its thread)."""


class Priority(IntEnum):
    """How urgent a job is; the smaller number runs first."""

    CLICK = 0
    VIEW = 1
    PREFETCH = 2
    BATCH = 3


class JobState(Enum):
    """Where a job is in its life; the last four are final."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self not in (JobState.WAITING, JobState.RUNNING)


class Job:
    """A submitted operation; made by `InferenceWorker.submit` only.

    Attributes
    ----------
    operation : str
        Name in the registry.
    arguments : mapping
        Plain arguments of the operation.
    priority : Priority
    key : hashable or None
        A newer job with the same key replaces this one while it waits.
    owner : hashable or None
        Whose job it is; `InferenceWorker.cancel_owner` ends all of one owner's.
    generation : int
        The owner's generation at submission; the result is dropped once the owner moved on.
    finish : bool
        Only `cancel` stops it, neither its owner's end nor that of the process.
    cancelled : threading.Event
        The token that the operation polls.
    superseded : bool
        A newer job or a newer generation took its place.
    notices : list of str
        What the operation wants the user to know, in order.
    """

    def __init__(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        priority: Priority,
        key: Hashable | None,
        owner: Hashable | None,
        generation: int,
        finish: bool = False,
    ) -> None:
        self.operation = operation
        self.arguments = arguments
        self.priority = priority
        self.key = key
        self.owner = owner
        self.generation = generation
        self.finish = finish
        self.cancelled = threading.Event()
        self.notices: list[str] = []
        self.state = JobState.WAITING
        self.superseded = False
        self.error: Exception | None = None
        self._result: Any = None
        self._finished = threading.Event()
        self._withdraw: Callable[[Job], None] | None = None

    def __repr__(self) -> str:
        return f"<Job {self.operation} {self.state.value} {self.priority.name.lower()}>"

    @property
    def finished(self) -> bool:
        """Whether the job has ended, whichever way."""
        return self._finished.is_set()

    def cancel(self) -> None:
        """Ask the job to end: it never starts or stops at its next poll, and delivers nothing."""
        self.cancelled.set()
        if self._withdraw is not None:
            self._withdraw(self)  # one that waits ends now, not when its turn comes

    def until_ended(self) -> None:
        """Block until the job has ended, whichever way; raises nothing."""
        self._finished.wait()

    def wait(self, timeout: float | None = None) -> Any:
        """Block until the job has ended and return its result; never call this on a GUI thread.

        With the default delivery the callbacks have run by then; with a queued one they may not.

        Parameters
        ----------
        timeout : float, optional
            Seconds; None waits as long as it takes.

        Raises
        ------
        TimeoutError
            It has not ended in time; it goes on.
        Cancelled
            It was cancelled or superseded.
        Exception
            Whatever the operation raised.
        """
        if not self._finished.wait(timeout):
            raise TimeoutError(f"{self.operation!r} has not ended within {timeout} s")
        if self.state in (JobState.CANCELLED, JobState.SUPERSEDED):
            raise Cancelled(f"{self.operation!r} was {self.state.value}")
        if self.error is not None:
            raise self.error
        return self._result

    def _end(self, state: JobState, result: Any = None, error: Exception | None = None) -> None:
        """Record the outcome without waking those who wait; `_release` does that."""
        self.state = state
        self._result = result
        self.error = error
        self.arguments = {}  # arrays and models must not live as long as a reference to the job

    def _release(self) -> None:
        self._finished.set()
