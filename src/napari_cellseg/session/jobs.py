"""How a session uses the worker: submit a verb, listen under the lock, cancel, close."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from napari_cellseg.errors import InputError
from napari_cellseg.session.documents import SessionDocuments
from napari_cellseg.worker import Deliver, InferenceWorker, Job, JobState, Priority, worker
from napari_cellseg.worker.inference import LaneName, deliver_here

Value = TypeVar("Value")

_numbers = itertools.count(1)


class SessionJobs(SessionDocuments):
    """State with jobs: one at most of each verb is under way."""

    def __init__(self, deliver: Deliver | None, worker: InferenceWorker | None) -> None:
        super().__init__()
        self.deliver: Deliver = deliver if deliver is not None else deliver_here
        self._own_worker = worker
        self._used_worker: InferenceWorker | None = None
        self._id = ("session", next(_numbers))

    def cancel(self) -> None:
        """Cancel everything of this session that waits or runs."""
        with self._lock:
            for job in list(self._jobs.values()):
                job.cancel()

    def close(self) -> None:
        """Cancel everything and fall silent; idempotent."""
        with self._lock:
            if self.is_closed:
                return
            self.is_closed = True
            self._jobs.clear()
            self.closed.emit()
            self.volume = None
            self._forget()
            self._close_documents()
        if self._used_worker is not None:
            self._used_worker.cancel_owner(self._id)

    def _forget(self) -> None:
        """Let go of everything that belongs to the present image."""
        self._use_document(None)
        self._baseline = self.proposal = None
        self._previous = []
        self._applied = self._source = None
        self._told_edited = False
        self._edits += 1

    def background(
        self,
        operation: str,
        arguments: dict[str, Any],
        *,
        key: Hashable,
        lane: LaneName,
        priority: Priority,
        land: Callable[[Any], None],
        fail: Callable[[Exception], None],
        end: Callable[[Job], None],
    ) -> Job:
        """Submit work that is no verb of the session: it does not make the session busy.

        Parameters
        ----------
        operation, arguments, lane, priority
            As of `InferenceWorker.submit`.
        key : hashable
            A newer job with the same key replaces this one while it waits.
        land, fail, end : callable
            Given the result, the error, and at last the job, under the session's lock, where its
            results are delivered; none of them once the session is closed or has another image.
        """
        with self._lock:
            return self._present_worker().submit(
                operation,
                arguments,
                lane=lane,
                priority=priority,
                key=(self._id, key),
                owner=self._id,
                deliver=lambda call: self.deliver(call),
                on_notice=self._locked(self._notice),
                on_result=self._locked(land),
                on_error=self._locked(fail),
                on_end=self._locked(end),
            )

    def _present_worker(self) -> InferenceWorker:
        self._used_worker = self._own_worker if self._own_worker is not None else worker()
        return self._used_worker

    def deliver_call(self, call: Callable[[], None]) -> None:
        """Take a call to the thread that may use results."""
        if not self.is_closed:
            self.deliver(call)

    def _locked(self, change: Callable[..., None]) -> Callable[..., None]:
        def run(*values: Any) -> None:
            with self._lock:
                if not self.is_closed:
                    change(*values)
                    self._refresh()

        return run

    @staticmethod
    def _given(value: Value | None) -> Value:
        """Return what `_need` has found present."""
        if value is None:
            raise InputError("This is no longer there: it was applied or discarded meanwhile.")
        return value

    def _need(self, verb: str) -> None:
        available = self.can(verb)
        if self.is_closed or not available:
            raise InputError(available.reason or "This session was closed.")

    def _submit(
        self,
        verb: str,
        operation: str,
        arguments: dict[str, Any],
        land: Callable[[Any], None],
        *,
        lane: LaneName = "batch",
        priority: Priority = Priority.BATCH,
        replace_running: bool = False,
        finish: bool = False,
        ended: Callable[[Job], None] | None = None,
    ) -> Job:
        def progress(fraction: float, message: str) -> None:
            self._progress[verb] = (fraction, message)

        def end(job: Job) -> None:
            if self._jobs.get(verb) is job:
                del self._jobs[verb]
                self._progress.pop(verb, None)
                if job.state is JobState.CANCELLED:
                    self._idle_text = "cancelled"
            if ended is not None:
                ended(job)

        with self._lock:
            self.last_error = None
            self._progress.pop(verb, None)
            job = self._present_worker().submit(
                operation,
                arguments,
                lane=lane,
                priority=priority,
                key=(self._id, verb),
                owner=self._id,
                replace_running=replace_running,
                finish=finish,
                deliver=lambda call: self.deliver(call),
                on_progress=self._locked(progress),
                on_notice=self._locked(self._notice),
                on_result=self._locked(land),
                on_error=self._locked(self._fail),
                on_end=self._locked(end),
            )
            self._jobs.pop(verb, None)
            self._jobs[verb] = job  # the newest verb is the one that the status shows
            self._refresh()
        return job
