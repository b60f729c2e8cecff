"""One typed door to numba, so that kernels keep their signatures under mypy.

Kernels are compiled without ``parallel=True``: two threads inside numba's default threading layer
abort the process, and napari uses it too. They release the GIL, and callers spread work over
threads of their own (:func:`run_chunks`).
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T")
R = TypeVar("R")


def kernel(function: F) -> F:
    """Compile `function` with numba: no GIL, cached on disk, IEEE arithmetic (no fastmath)."""
    return cast(F, njit(nogil=True, cache=True)(function))


def thread_count(threads: int | None) -> int:
    """Number of threads to use: `threads`, or one per core that this process may use.

    The environment variable ``NAPARI_CELLSEG_THREADS``, a whole number, lowers the default.
    """
    if threads is not None:
        return max(1, threads)
    wanted = os.environ.get("NAPARI_CELLSEG_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return min(int(wanted), _cores())
    return _cores()


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def run_chunks(work: Callable[[T], R], chunks: Sequence[T], threads: int | None) -> list[R]:
    """Results of ``work(chunk)`` in the order of `chunks`, computed by up to `threads` threads."""
    count = min(thread_count(threads), len(chunks))
    if count <= 1:
        return [work(chunk) for chunk in chunks]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, chunks))
