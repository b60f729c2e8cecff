"""Block functions for tests: top-level in a module that worker processes can import."""

import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.flows.blockwise.executor import job_threads, owns_process


@dataclass(frozen=True)
class Square:
    key: str
    number: int
    once: str = ""  # a file: whoever finds it missing makes it and dies


def square(job):
    if job.once and not Path(job.once).exists():
        Path(job.once).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {
        "square": np.array(job.number**2),
        "process": np.array(os.getpid()),
        "thread": np.array(threading.get_ident()),
        "threads": np.array(job_threads()),
        "alone": np.array(owns_process()),
    }


def slow(job):
    time.sleep(0.2)
    return square(job)


def fail(job):
    if job.number == 3:
        raise InputError("block 3 is impossible: choose another.")
    return square(job)


def break_down(job):
    raise RuntimeError("a bug")


def always_die(job):
    os.kill(os.getpid(), signal.SIGKILL)
