"""Where block functions run: threads of this process, or processes on this or other machines."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import re
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Protocol, Self

from numpy.typing import NDArray

from napari_cellseg.errors import CellsegError, InputError, StorageError
from napari_cellseg.flows._jit import thread_count

Result = dict[str, NDArray[Any]]
Function = Callable[[Any], Result]
Check = Callable[[], None]

#: How often a wait looks whether the user has cancelled, in seconds.
_LOOK = 0.3
#: Jobs that are handed out ahead of each worker, so that none waits for us.
_AHEAD = 2
#: Variables that are set for processes which are started, besides those of dask's settings.
_CHANGED = ("PYTHONWARNINGS", "PYTHONHASHSEED", "__DASK_PARENT_PID")
#: How many threads a process may use; see `thread_count`.
THREADS = "NAPARI_CELLSEG_THREADS"
_CONNECT = 10  # seconds
_NEED = (
    "More than one process needs dask.distributed, which is not installed: "
    'pip install "napari-cellseg[distributed]".'
)

_share: ContextVar[int | None] = ContextVar("threads of a job", default=None)
_check: ContextVar[Check | None] = ContextVar("check", default=None)
_in_worker: ContextVar[bool] = ContextVar("in a process of its own", default=False)


def job_threads() -> int:
    """Threads that the block function which asks may use: its share of the processor."""
    share = _share.get()
    return thread_count(None) if share is None else share


def owns_process() -> bool:
    """Whether the block function which asks runs in a worker process, and alone there."""
    return _in_worker.get()


def worker_index() -> int:
    """Number of the worker process that a block function runs in, as far as its name tells."""
    from distributed import get_worker

    digits = re.search(r"\d+$", str(get_worker().name))
    return int(digits[0]) if digits else 0


class Executor(Protocol):
    """Runs block functions."""

    @property
    def workers(self) -> int:
        """Jobs that run at the same time."""

    def run(
        self, function: Function, jobs: Sequence[Any], check: Check | None = None
    ) -> Iterator[tuple[Any, Result]]:
        """Yield every job with its result, as they complete.

        Parameters
        ----------
        function : callable
            Top-level function ``(job) -> dict of arrays``.
        jobs : sequence
            Small objects that pickle.
        check : callable, optional
            Called while waiting; may raise to stop.

        Raises
        ------
        CellsegError
            What a job raised; jobs that were not begun are dropped.
        """


class InProcess:
    """The process that asks, with as many threads as workers.

    Parameters
    ----------
    workers : int
        Jobs that run at the same time; with 1 they run in the calling thread.
    """

    def __init__(self, workers: int = 1) -> None:
        self._workers = _checked(workers)

    @property
    def workers(self) -> int:
        """Jobs that run at the same time."""
        return self._workers

    def run(
        self, function: Function, jobs: Sequence[Any], check: Check | None = None
    ) -> Iterator[tuple[Any, Result]]:
        """See `Executor.run`."""
        share = max(1, thread_count(None) // self._workers)
        if self._workers == 1:
            for job in jobs:
                if check is not None:
                    check()
                yield job, _with_share(share, function, job, check)
            return
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="cellseg-block")
        ahead: dict[Future[Result], Any] = {}
        waiting = iter(jobs)
        try:
            while True:
                while len(ahead) < self._workers + 1 and (job := next(waiting, None)) is not None:
                    ahead[pool.submit(_with_share, share, function, job, check)] = job
                if not ahead:
                    return
                if check is not None:
                    check()
                for future in wait(ahead, _LOOK, FIRST_COMPLETED).done:
                    yield ahead.pop(future), future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def close(self) -> None:
        """Nothing is kept open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()


class Distributed:
    """Processes under a scheduler of dask.distributed. A worker that dies is made up for.

    Parameters
    ----------
    where : int or str
        A number of processes to start on this machine, or the address of a scheduler.

    Raises
    ------
    InputError
        If dask.distributed is not installed, or no scheduler answers at the address.

    Notes
    -----
    Processes are started anew ("spawn"), so a script that makes one must guard its main part by
    ``if __name__ == "__main__":``. Use it as a context manager, or `close` it.
    """

    def __init__(self, where: int | str) -> None:
        try:
            import dask
            import distributed as dask_distributed
        except ImportError as error:
            raise InputError(_NEED) from error
        distributed: Any = dask_distributed  # it is typed in part only
        self._cluster: Any = None
        # set here for processes that are started, and put back by `close`
        spawned = dask.config.get("distributed.nanny.pre-spawn-environ", {})
        self._environment = {name: os.environ.get(name) for name in (*_CHANGED, *spawned)}
        if isinstance(where, str):
            self._client = _connect(distributed, where)
        else:
            self._cluster = _local_cluster(distributed, _checked(where))
            self._client = distributed.Client(self._cluster, set_as_default=False)
            self._client.register_plugin(_deaf(distributed))
        self._distributed = distributed

    @property
    def workers(self) -> int:
        """Jobs that run at the same time now; workers may come and go."""
        return max(1, sum(map(int, self._client.nthreads().values())))

    def run(
        self, function: Function, jobs: Sequence[Any], check: Check | None = None
    ) -> Iterator[tuple[Any, Result]]:
        """See `Executor.run`."""
        from napari_cellseg import __version__

        finished: queue.SimpleQueue[Any] = queue.SimpleQueue()
        ahead: dict[Any, Any] = {}
        waiting = iter(jobs)
        left = len(jobs)
        try:
            while left:
                room = _AHEAD * self.workers - len(ahead)
                while room > 0 and (job := next(waiting, None)) is not None:
                    # `pure=False`: a result of an earlier run is never taken for this one's;
                    # `retries`: for what passes, such as a network drive that stumbles
                    future = self._client.submit(
                        _guarded, function, job, __version__, pure=False, retries=2
                    )
                    ahead[future.key] = (future, job)
                    future.add_done_callback(finished.put)
                    room -= 1
                if check is not None:
                    check()
                try:
                    key = finished.get(timeout=_LOOK).key
                except queue.Empty:
                    continue
                if key in ahead:
                    future, job = ahead.pop(key)
                    left -= 1
                    yield job, self._result(future)
        finally:
            if ahead:
                self._client.cancel([future for future, _ in ahead.values()], force=True)

    def _result(self, future: Any) -> Result:
        try:
            found = future.result()
        except self._distributed.KilledWorker as error:
            raise InputError(
                "The process that worked on one block ended several times, so it probably ran out "
                "of memory: choose smaller blocks or fewer workers."
            ) from error
        except self._distributed.client.FutureCancelledError as error:
            raise StorageError(
                "The scheduler went away: run the same again, which goes on where it stopped."
            ) from error
        if isinstance(found, CellsegError):
            raise found
        return dict(found)

    def close(self) -> None:
        """Leave the scheduler; end the processes that were started here."""
        with contextlib.suppress(OSError, TimeoutError):
            self._client.close(timeout=5)
        if self._cluster is not None:
            with contextlib.suppress(OSError, TimeoutError):
                self._cluster.close(timeout=10)
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()


def _checked(workers: int) -> int:
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise InputError(f"workers={workers!r} must be a whole number of 1 or more.")
    return workers


def check_running() -> None:
    """Raise `Cancelled` if the user has cancelled what the job that calls this is a part of.

    For jobs that take long, between their steps. In processes of a cluster nothing is known of it.
    """
    check = _check.get()
    if check is not None:
        check()


def _with_share(share: int, function: Function, job: Any, check: Check | None = None) -> Result:
    token, told = _share.set(share), _check.set(check)
    try:
        return function(job)
    finally:
        _share.reset(token)
        _check.reset(told)


def _guarded(function: Function, job: Any, version: str) -> Result | CellsegError:
    """Run on a worker. An error of ours comes back as a value: trying again would not help."""
    from napari_cellseg import __version__

    if __version__ != version:
        return InputError(
            f"The workers have napari-cellseg {__version__} but this is {version}: "
            "install the same version on both."
        )
    _in_worker.set(True)  # in the context of this task alone
    # several workers may share a machine, so one that was not told its share takes one thread
    share = thread_count(None) if THREADS in os.environ else 1
    try:
        return _with_share(share, function, job)
    except CellsegError as error:
        return error


def _connect(distributed: Any, address: str) -> Any:
    try:
        host, port = distributed.comm.get_address_host_port(address, strict=True)
        # asked first, because a client that finds nobody takes half a minute to give up
        socket.create_connection((host, port), timeout=_CONNECT).close()
        return distributed.Client(address, timeout=_CONNECT, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(
            f"No dask scheduler answers at {address!r}: check the address, which looks like "
            "tcp://10.0.0.1:8786."
        ) from error


def _deaf(distributed: Any) -> Any:
    """A plugin by which workers of this machine leave Ctrl-C, which they hear too, to us."""
    plugin: Any = type("Deaf", (distributed.WorkerPlugin,), {"setup": _ignore_interrupt})
    return plugin()


def _ignore_interrupt(plugin: Any, worker: Any) -> None:
    with contextlib.suppress(ValueError):  # not the main thread of its process
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _local_cluster(distributed: Any, workers: int) -> Any:
    share = max(1, thread_count(None) // workers)
    # a worker that is ended in the middle of a block leaves a semaphore, which Python removes at
    # the exit but complains of
    warned = [os.environ.get("PYTHONWARNINGS", ""), "ignore:resource_tracker:UserWarning"]
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, warned))
    before = set(distributed.SpecCluster._instances)
    try:
        return distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            # any free port, or a second run on this machine warns that the usual one is taken
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            worker_dashboard_address=None,
            host="127.0.0.1",
            silence_logs=logging.CRITICAL,
            env={THREADS: str(share)},
        )
    except BaseException:  # Ctrl-C while the processes start
        _forget_unfinished(distributed, before)
        raise


def _forget_unfinished(distributed: Any, before: set[Any]) -> None:
    """End a cluster that is not up yet; dask would do so at the exit, and fail with a traceback."""
    known = distributed.SpecCluster._instances
    for cluster in set(known) - before:
        with contextlib.suppress(Exception):  # workers that have not started cannot be closed
            cluster.close(timeout=5)
        known.discard(cluster)
