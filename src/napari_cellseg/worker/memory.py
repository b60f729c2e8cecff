"""What to do when memory runs out: halve the batch, then leave the GPU, then say so."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from napari_cellseg.errors import Cancelled, CellsegError, ModelError

Result = TypeVar("Result")

HALVINGS = 3
"""Batches are halved this often before the device is given up: 1, 1/2, 1/4, 1/8."""


@dataclass(frozen=True)
class MemoryHint:
    """How modest an operation should be.

    Attributes
    ----------
    batch_scale : float
        Factor on the batch (or tile) size, 1 at first, halved after each failure.
    force_cpu : bool
        The device ran out of memory with the smallest batch: use the CPU.
    """

    batch_scale: float = 1.0
    force_cpu: bool = False

    def batch(self, size: int) -> int:
        """Scaled batch size, at least 1."""
        return max(1, int(size * self.batch_scale))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error (or what caused it) says that host or device memory ran out.

    torch's own class is recognised by name so that torch need not be imported.
    """
    return any(
        isinstance(link, MemoryError)
        or any(kind.__name__ == "OutOfMemoryError" for kind in type(link).__mro__)
        or (
            isinstance(link, RuntimeError)
            and any(
                words in str(link).lower()
                for words in ("out of memory", "can't allocate memory", "cuda_error_out_of_memory")
            )
        )
        for link in _chain(error)
    )


def is_host_memory(error: BaseException) -> bool:
    """Whether it was the computer's own memory, which leaving the GPU would not help."""
    return any(isinstance(link, MemoryError) for link in _chain(error))


def free_cached_memory() -> None:
    """Return what the interpreter and torch hold but do not use."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def steps_down(*, halves: bool, device: bool) -> list[MemoryHint]:
    """List the attempts that are worth making.

    Parameters
    ----------
    halves : bool
        The operation heeds `MemoryHint.batch_scale`.
    device : bool
        It may run on something else than the CPU.
    """
    scales = [0.5**halving for halving in range(HALVINGS + 1)] if halves else [1.0]
    hints = [MemoryHint(scale) for scale in scales]
    if device:
        hints += [MemoryHint(scale, force_cpu=True) for scale in sorted({1.0, scales[-1]})[::-1]]
    return hints


def with_less_memory(
    attempt: Callable[[MemoryHint], Result],
    hints: list[MemoryHint],
    *,
    cancelled: Callable[[], bool],
    notice: Callable[[str], None],
    free: Callable[[], None] = free_cached_memory,
) -> Result:
    """Run `attempt`, and again with less each time memory runs out.

    Parameters
    ----------
    attempt : callable
        Gets a `MemoryHint`; other errors than lack of memory pass through.
    hints : list of MemoryHint
        From `steps_down`.
    cancelled : callable
        Polled between attempts.
    notice : callable
        Told, in one sentence, of every step down.
    free : callable
        Run before each new attempt.

    Raises
    ------
    ModelError
        It does not fit even so.
    Cancelled
        Between two attempts.
    """
    last: Exception | None = None
    for hint in hints:
        if last is not None:
            if hint.force_cpu and is_host_memory(last):
                break  # the computer's own memory ran out: the CPU has no more of it
            if cancelled():
                raise Cancelled("the work was cancelled while memory was short")
            free()
            notice(_step(hint))
        try:
            return attempt(hint)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            # Frames of the failed attempt keep its arrays alive: drop them before the next one.
            last = error.with_traceback(None)
    if isinstance(last, CellsegError):
        raise last  # the engine has said it in its own words
    raise ModelError(
        "There is not enough memory for this even in the smallest batches; close other programs, "
        "choose a region or crop the image."
    ) from last


def _step(hint: MemoryHint) -> str:
    if hint.force_cpu and hint.batch_scale == 1.0:
        return "The GPU has too little memory for this; the work goes on, slower, on the CPU."
    return f"Memory ran out; trying again with batches of 1/{round(1 / hint.batch_scale)}."
