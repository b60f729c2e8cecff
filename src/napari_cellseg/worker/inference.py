"""The process-wide worker: submit named operations, listen, cancel."""

from __future__ import annotations

import atexit
import logging
import threading
import traceback
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from napari_cellseg.errors import Cancelled, ModelError
from napari_cellseg.worker.job import Deliver, Job, JobState, Priority
from napari_cellseg.worker.lane import STEPS_BACK, Lane, shares, usable_cpus
from napari_cellseg.worker.memory import MemoryHint, steps_down, with_less_memory
from napari_cellseg.worker.models import ModelCache
from napari_cellseg.worker.registry import JobContext, find

log = logging.getLogger(__name__)

MOST_TO_DECODE = 4
"""Threads beyond which a mask decoder is not faster: its matrices are small."""

LaneName = Literal["batch", "encode", "decode", "files"]


def deliver_here(call: Callable[[], None]) -> None:
    """Run callbacks at once, in the lane's own thread."""
    call()


@dataclass
class _Listeners:
    deliver: Deliver
    on_progress: Callable[[float, str], None] | None
    on_notice: Callable[[str], None] | None
    on_result: Callable[[Any], None] | None
    on_error: Callable[[Exception], None] | None
    on_end: Callable[[Job], None] | None
    latest: tuple[float, str] | None = None


class InferenceWorker:
    """Owns the lanes and the models; use `worker` to get the one of this process.

    Lanes: `batch` runs networks over volumes; `encode` prepares planes for prompts, which need not
    wait for a whole volume to be segmented; `decode` answers clicks and sliders and never waits
    for a plane to be encoded; `files` reads and writes, so that neither a save waits for a
    segmentation nor a click for a save.

    Parameters
    ----------
    threads : int, optional
        CPU threads to share out among the lanes; all usable ones by default.
    models : ModelCache, optional
    """

    def __init__(self, *, threads: int | None = None, models: ModelCache | None = None) -> None:
        self.models = models if models is not None else ModelCache()
        self._lock = threading.RLock()
        self._threads = threads or usable_cpus()
        self._lanes = {
            name: Lane(name, share, self._lock, self._run, yields=name in ("batch", "encode"))
            for name, share in shares(self._threads).items()
        }
        self._listeners: dict[Job, _Listeners] = {}
        self._generations: dict[Hashable, int] = {}
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether `shutdown` was called."""
        return self._closed

    @property
    def threads(self) -> int:
        """CPU threads shared out among the lanes."""
        return self._threads

    @threads.setter
    def threads(self, number: int) -> None:
        self._threads = max(1, int(number))
        for name, share in shares(self._threads).items():
            self._lanes[name].threads = share  # in force from the lane's next job on

    def submit(
        self,
        operation: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        lane: LaneName = "batch",
        priority: Priority = Priority.BATCH,
        key: Hashable | None = None,
        owner: Hashable | None = None,
        replace_running: bool = False,
        finish: bool = False,
        deliver: Deliver = deliver_here,
        on_progress: Callable[[float, str], None] | None = None,
        on_notice: Callable[[str], None] | None = None,
        on_result: Callable[[Any], None] | None = None,
        on_error: Callable[[Exception], None] | None = None,
        on_end: Callable[[Job], None] | None = None,
    ) -> Job:
        """Queue a named operation and return at once.

        Parameters
        ----------
        operation : str
            A registered name.
        arguments : mapping
            Keyword arguments of the operation.
        lane : {"batch", "encode", "decode", "files"}
        priority : Priority
        key : hashable, optional
            A waiting job with the same key ends as superseded: latest wins.
        owner : hashable, optional
            For `cancel_owner` and `advance`.
        replace_running : bool
            A *running* job with the same key is told to stop, and its result is dropped.
        finish : bool
            Only its own `Job.cancel` stops it: a save goes on when its viewer closes, and the
            process waits for it at exit.
        deliver : callable
            Makes a call happen where the callbacks belong; runs it here and now by default.
        on_progress, on_notice, on_result, on_error, on_end : callable, optional
            ``(fraction, message)``, ``(sentence)``, ``(result)``, ``(error)``, ``(job)``. Of the
            results only the current ones are delivered; `on_end` comes last, always, also for
            jobs that were cancelled or superseded. Progress may skip steps, never the order.

        Raises
        ------
        KeyError
            No operation of that name.
        RuntimeError
            The worker was shut down.
        """
        find(operation)
        with self._lock:
            if self._closed:
                raise RuntimeError("the inference worker was shut down")
            job = Job(
                operation,
                dict(arguments or {}),
                priority=priority,
                key=key,
                owner=owner,
                generation=self._generations.get(owner, 0),
                finish=finish,
            )
            job._withdraw = self._withdraw
            replaced = self._take_out(lambda other: key is not None and other.key == key)
            if replace_running and key is not None:
                for other in self._listeners:  # running, or on its way to its listeners
                    if other.key == key:
                        other.superseded = True
                        other.cancelled.set()
            self._listeners[job] = _Listeners(
                deliver, on_progress, on_notice, on_result, on_error, on_end
            )
            self._lanes[lane].put(job)
        for other in replaced:
            other.superseded = True
        self._finish_all(replaced)
        return job

    def advance(self, owner: Hashable) -> int:
        """Start a new generation of an owner: nothing submitted before is delivered any more.

        Waiting jobs end as superseded, running ones are told to stop.
        """
        with self._lock:
            generation = self._generations.get(owner, 0) + 1
            self._generations[owner] = generation
            old = self._take_out(lambda job: job.owner == owner and not job.finish)
            for job in self._listeners:
                if job.owner == owner and not job.finish:
                    job.superseded = True
                    job.cancelled.set()
        self._finish_all(old)
        return generation

    def cancel_owner(self, owner: Hashable) -> None:
        """Cancel every job of one owner, waiting, running or not yet delivered."""
        with self._lock:
            for job in list(self._listeners):
                if job.owner == owner and not job.finish:
                    job.cancelled.set()
            withdrawn = self._take_out(lambda job: job.owner == owner and not job.finish)
            self._generations.pop(owner, None)
        self._finish_all(withdrawn)

    def waiting(self, lane: LaneName) -> list[Job]:
        """Jobs of a lane that have not started, most urgent first."""
        return self._lanes[lane].waiting()

    def shutdown(self, timeout: float | None = 10.0) -> bool:
        """Cancel everything, end the threads and drop the models; idempotent.

        No callback runs afterwards. A thread inside a forward pass ends when the pass does; jobs
        that were submitted with `finish` are waited for however long they take.

        Returns
        -------
        bool
            False if a thread still runs after `timeout` seconds (per lane).
        """
        with self._lock:
            self._closed = True
            withdrawn = self._take_out(lambda job: not job.finish)
            unfinished = [job for job in self._listeners if job.finish]
            for job in self._listeners:
                if not job.finish:
                    job.cancelled.set()
            self._listeners.clear()
            for lane in self._lanes.values():
                lane.close()
        self._finish_all(withdrawn)
        for job in unfinished:
            job.until_ended()
        ended = [lane.join(timeout) for lane in self._lanes.values()]
        self.models.clear()
        atexit.unregister(self.shutdown)
        return all(ended)

    def _take_out(self, unwanted: Callable[[Job], bool]) -> list[Job]:
        return [job for lane in self._lanes.values() for job in lane.take_out(unwanted)]

    def _withdraw(self, job: Job) -> None:
        with self._lock:
            withdrawn = self._take_out(lambda other: other is job)
        self._finish_all(withdrawn)

    def _run(self, job: Job, lane: Lane) -> None:
        """Run one job in its lane's thread; every way out of it ends the job."""
        if job.cancelled.is_set():
            self._finish(job, JobState.CANCELLED)
            return
        job.state = JobState.RUNNING
        operation = find(job.operation)
        arguments = dict(job.arguments)

        def attempt(hint: MemoryHint) -> Any:
            context = JobContext(
                cancel=job.cancelled,
                progress=lambda fraction, message: self._progress(job, fraction, message),
                notice=lambda sentence: self._notice(job, sentence),
                memory=hint,
                models=self.models,
            )
            context.check()
            return operation.run(context, **arguments)

        try:
            if operation.uses_torch:
                lane.share_torch(self._for_click(lane))
            result = with_less_memory(
                attempt,
                steps_down(
                    halves=operation.halves,
                    device=operation.uses_torch and arguments.get("device") != "cpu",
                ),
                cancelled=job.cancelled.is_set,
                notice=lambda sentence: self._notice(job, sentence),
            )
        except BaseException as raised:
            # Also SystemExit and the like: nothing that a job raises may end the lane.
            error = raised if isinstance(raised, Exception) else _as_exception(raised)
            traceback.clear_frames(error.__traceback__)  # the text stays, the arrays go
            if job.cancelled.is_set():
                self._finish(job, JobState.CANCELLED)
            else:
                self._finish(job, JobState.FAILED, error=error)
        else:
            self._finish(job, JobState.DONE, result)

    def _for_click(self, lane: Lane) -> int | None:
        """Threads for a click: a few, where other lanes rest, or step back for it."""
        resting = not any(other.running for other in self._lanes.values() if other.yields)
        if lane.yields or not (resting or STEPS_BACK):
            return None
        return max(lane.threads, min(self._threads, MOST_TO_DECODE))

    def _progress(self, job: Job, fraction: float, message: str) -> None:
        # Engines that do not poll their token stop here.
        if job.cancelled.is_set():
            raise Cancelled("the work was cancelled")
        listeners = self._listeners.get(job)
        if listeners is None or listeners.on_progress is None:
            return
        tell = listeners.on_progress

        def flush() -> None:
            with self._lock:
                latest, listeners.latest = listeners.latest, None
            if latest is not None and not job.cancelled.is_set():
                tell(*latest)

        with self._lock:
            posted = listeners.latest is not None
            listeners.latest = (float(fraction), message)
        if not posted:  # else a delivery is under way and will carry this newer one
            self._deliver(job, listeners, flush)

    def _notice(self, job: Job, sentence: str) -> None:
        job.notices.append(sentence)
        listeners = self._listeners.get(job)
        if listeners is not None and listeners.on_notice is not None:
            tell = listeners.on_notice
            self._deliver(job, listeners, lambda: tell(sentence))

    def _deliver(self, job: Job, listeners: _Listeners, call: Callable[[], None]) -> None:
        """Hand a call over; a listener that fails is logged and does not cost the lane."""
        try:
            listeners.deliver(call)
        except Exception as error:
            log.exception("a listener of %r failed", job)
            if job.state is JobState.DONE:  # its result was not taken: whoever waits must know
                job.state, job.error = JobState.FAILED, error

    def _finish_all(self, withdrawn: list[Job]) -> None:
        for job in withdrawn:
            self._finish(job, JobState.CANCELLED)

    def _finish(
        self, job: Job, state: JobState, result: Any = None, error: Exception | None = None
    ) -> None:
        if state is JobState.CANCELLED and job.superseded:
            state = JobState.SUPERSEDED
        with self._lock:
            listeners = self._listeners.get(job)
        job._end(state, result, error)
        if listeners is not None:
            self._deliver(job, listeners, lambda: self._tell(job, listeners))
        job._release()

    def _tell(self, job: Job, listeners: _Listeners) -> None:
        """Call back, on the delivering thread, unless the job went stale on its way here."""
        with self._lock:
            if self._listeners.pop(job, None) is None:
                return  # shut down meanwhile
            stale = job.generation < self._generations.get(job.owner, job.generation)
        current = not (stale or job.superseded or job.cancelled.is_set())
        # A job that had to be finished has its outcome, even if nobody waits for it any more.
        settled = job.finish and job.state in (JobState.DONE, JobState.FAILED)
        if not (current or settled):
            replaced = stale or job.superseded
            job.state = JobState.SUPERSEDED if replaced else JobState.CANCELLED
        try:
            if job.state is JobState.DONE and current and listeners.on_result is not None:
                listeners.on_result(job._result)
            elif job.state is JobState.FAILED and job.error and listeners.on_error is not None:
                listeners.on_error(job.error)
        finally:
            if listeners.on_end is not None:
                listeners.on_end(job)


def _as_exception(raised: BaseException) -> Exception:
    error = ModelError(f"The operation ended itself with {type(raised).__name__}.")
    error.__cause__ = raised
    return error


_worker: InferenceWorker | None = None
_worker_lock = threading.Lock()


def worker() -> InferenceWorker:
    """Return the worker of this process; made on first use, and anew after a shutdown."""
    global _worker
    with _worker_lock:
        if _worker is None or _worker.closed:
            # they register the operations
            from napari_cellseg.worker import engine, prompt_planes, prompting  # noqa: F401

            _worker = InferenceWorker()
            atexit.register(_worker.shutdown)
        return _worker


def shutdown_worker(timeout: float | None = 10.0) -> bool:
    """Shut the process's worker down if there is one; see `InferenceWorker.shutdown`."""
    with _worker_lock:
        current = _worker
    return current is None or current.shutdown(timeout)
