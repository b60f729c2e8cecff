"""Running out of memory: smaller batches, then the CPU, then a clear sentence."""

import threading

import pytest

from napari_cellseg.errors import Cancelled, ModelError
from napari_cellseg.worker import InferenceWorker, JobContext, MemoryHint, is_out_of_memory
from napari_cellseg.worker import operation as register
from napari_cellseg.worker.memory import steps_down, with_less_memory


class OutOfMemoryError(RuntimeError):
    """Named as torch's class, which is what recognises it."""


ERRORS = [
    MemoryError("Unable to allocate 3 GiB"),
    OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB"),
    RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
]


ALL = steps_down(halves=True, device=True)


def never() -> bool:
    return False


def test_steps_that_would_only_repeat_are_left_out() -> None:
    assert steps_down(halves=False, device=False) == [MemoryHint()]
    assert steps_down(halves=False, device=True) == [MemoryHint(), MemoryHint(force_cpu=True)]
    assert [hint.batch_scale for hint in steps_down(halves=True, device=False)] == [
        1,
        0.5,
        0.25,
        0.125,
    ]
    assert ALL[-2:] == [MemoryHint(1.0, force_cpu=True), MemoryHint(0.125, force_cpu=True)]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_lack_of_memory_is_recognised_also_as_a_cause(error: Exception) -> None:
    wrapped = ValueError("the plane could not be predicted")
    wrapped.__cause__ = error
    assert is_out_of_memory(error)
    assert is_out_of_memory(wrapped)


@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), ValueError("out of range")])
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    assert not is_out_of_memory(error)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_batches_are_halved_until_it_fits(error: Exception) -> None:
    tried: list[MemoryHint] = []
    notices: list[str] = []

    def attempt(hint: MemoryHint) -> str:
        tried.append(hint)
        if hint.batch(16) > 4:
            raise error
        return "fits"

    assert with_less_memory(attempt, ALL, cancelled=never, notice=notices.append) == "fits"
    assert tried == [MemoryHint(1.0), MemoryHint(0.5), MemoryHint(0.25)]
    assert len(notices) == 2
    assert "1/4" in notices[-1]


def test_device_memory_falls_back_to_the_cpu_with_a_notice() -> None:
    notices: list[str] = []

    def attempt(hint: MemoryHint) -> str:
        if not hint.force_cpu:
            raise OutOfMemoryError("CUDA out of memory")
        return "on the CPU"

    assert with_less_memory(attempt, ALL, cancelled=never, notice=notices.append) == "on the CPU"
    assert "on the CPU" in notices[-1]


@pytest.mark.parametrize("on_cpu", [True, False])
def test_host_memory_is_not_sought_on_the_cpu(on_cpu: bool) -> None:
    tried: list[MemoryHint] = []

    def attempt(hint: MemoryHint) -> None:
        tried.append(hint)
        raise MemoryError

    with pytest.raises(ModelError, match="not enough memory") as caught:
        with_less_memory(
            attempt,
            steps_down(halves=True, device=not on_cpu),
            cancelled=never,
            notice=lambda sentence: None,
        )
    assert [hint.batch_scale for hint in tried] == [1, 0.5, 0.25, 0.125]
    assert not any(hint.force_cpu for hint in tried)
    assert isinstance(caught.value.__cause__, MemoryError)


def test_other_errors_pass_at_once() -> None:
    tried: list[MemoryHint] = []

    def attempt(hint: MemoryHint) -> None:
        tried.append(hint)
        raise ValueError("bad plane")

    with pytest.raises(ValueError, match="bad plane"):
        with_less_memory(attempt, ALL, cancelled=never, notice=lambda sentence: None)
    assert len(tried) == 1


def test_cancel_between_attempts() -> None:
    token = threading.Event()

    def attempt(hint: MemoryHint) -> None:
        token.set()
        raise MemoryError

    with pytest.raises(Cancelled):
        with_less_memory(attempt, ALL, cancelled=token.is_set, notice=lambda sentence: None)


def test_a_job_is_retried_with_less_and_says_so() -> None:
    @register("test hungry", halves=True)
    def hungry(context: JobContext, *, device: str = "auto") -> float:
        if context.memory.batch_scale > 0.25:
            raise OutOfMemoryError("CUDA out of memory")
        return context.memory.batch_scale

    instance = InferenceWorker(threads=1)
    heard: list[str] = []
    job = instance.submit("test hungry", on_notice=heard.append)
    assert job.wait(20) == 0.25
    assert len(heard) == 2
    assert job.notices == heard
    assert instance.shutdown(20)


def test_the_engines_own_words_win() -> None:
    def attempt(hint: MemoryHint) -> None:
        raise ModelError("the memory does not suffice to segment 'embryo'") from MemoryError()

    with pytest.raises(ModelError, match="to segment 'embryo'"):
        with_less_memory(attempt, ALL, cancelled=never, notice=lambda sentence: None)


def test_a_job_without_batches_goes_straight_to_the_cpu() -> None:
    hints: list[MemoryHint] = []

    @register("test device", uses_torch=True)
    def device_bound(context: JobContext, *, device: str) -> str:
        hints.append(context.memory)
        if not context.memory.force_cpu:
            raise OutOfMemoryError("CUDA out of memory")
        return "done"

    instance = InferenceWorker(threads=1)
    assert instance.submit("test device", {"device": "cuda"}).wait(60) == "done"
    assert hints == [MemoryHint(), MemoryHint(force_cpu=True)]
    on_cpu = instance.submit("test device", {"device": "cpu"})
    with pytest.raises(ModelError, match="not enough memory"):
        on_cpu.wait(60)
    assert instance.shutdown(20)
