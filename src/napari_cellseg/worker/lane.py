"""One thread and the jobs that wait for it, most urgent first."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import sys
import threading
from collections.abc import Callable

from napari_cellseg.worker.job import Job

STEPS_BACK = sys.platform.startswith("linux")
"""Whether threads can yield to others: on Linux a niceness is a thread's own."""

NICER = 10
"""Steps by which lanes that yield are nicer: a click then gets nine tenths of a processor."""


class Lane:
    """A lazily started daemon thread with a priority queue.

    Parameters
    ----------
    name : str
        Also the thread's name.
    threads : int
        This lane's share of torch's threads.
    lock : threading.RLock
        Guards the queues of all lanes together, so that one key can be replaced across them. It
        is re-entrant because the garbage collector may close a session inside `submit`.
    run : callable
        Runs one job to its end; it must not raise.
    yields : bool
        Whether its work steps back for that of other threads, clicks above all, where the
        operating system lets threads do so (Linux).
    """

    def __init__(
        self,
        name: str,
        threads: int,
        lock: threading.RLock,
        run: Callable[[Job, Lane], None],
        yields: bool = False,
    ) -> None:
        self.yields = yields
        self.name = name
        self.threads = threads
        self._run = run
        self._changed = threading.Condition(lock)
        self._queue: list[tuple[int, int, Job]] = []
        self._order = itertools.count()
        self._thread: threading.Thread | None = None
        self._closing = False
        self.running = False

    def put(self, job: Job) -> None:
        """Queue a job (equal priorities run in order of arrival) and start the thread if needed."""
        with self._changed:
            heapq.heappush(self._queue, (int(job.priority), next(self._order), job))
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._loop, name=f"napari-cellseg {self.name}", daemon=True
                )
                self._thread.start()
            self._changed.notify()

    def take_out(self, unwanted: Callable[[Job], bool]) -> list[Job]:
        """Remove and return the waiting jobs for which `unwanted` is true."""
        with self._changed:
            out = [job for _, _, job in self._queue if unwanted(job)]
            if out:
                self._queue = [entry for entry in self._queue if entry[2] not in out]
                heapq.heapify(self._queue)
            return out

    def waiting(self) -> list[Job]:
        """Jobs that have not started, most urgent first."""
        with self._changed:
            return [job for _, _, job in sorted(self._queue, key=lambda entry: entry[:2])]

    def close(self) -> None:
        """Let the thread end after the jobs that it still has."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the thread's end; False if it still runs."""
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def share_torch(self, threads: int | None = None) -> None:
        """Give this thread its share of torch's threads (with OpenMP the number is per thread).

        Parameters
        ----------
        threads : int, optional
            Another number, for the job that follows.
        """
        import torch

        # The first query in a thread copies the process-wide number over ours: ask, then set.
        torch.get_num_threads()
        torch.set_num_threads(self.threads if threads is None else threads)

    def _loop(self) -> None:
        if self.yields:
            step_back()
        while True:
            with self._changed:
                while not self._queue and not self._closing:
                    self._changed.wait()
                if not self._queue:
                    return  # closing, and what had to be finished is
                job = heapq.heappop(self._queue)[2]
            self.running = True
            self._run(job, self)
            self.running = False
            del job  # a waiting thread must not keep the last job's result alive


def step_back() -> None:
    """Let this thread, and those that it will start, wait for others where processors are few."""
    if not STEPS_BACK:
        return
    thread = threading.get_native_id()
    with contextlib.suppress(OSError):  # a container may forbid it: then all are equal
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICER)


def shares(threads: int) -> dict[str, int]:
    """Split torch threads over the lanes: most to `batch` and `encode`, a quarter to `decode`.

    On two cores `batch` keeps both: `decode` is idle most of the time, and a click's decoding is
    then shared out by the operating system.
    """
    decode = max(1, threads // 4)
    most = max(1, threads - threads // 4)
    return {"batch": most, "encode": most, "decode": decode, "files": 1}


def usable_cpus() -> int:
    """Number of CPUs that this process may run on."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1
