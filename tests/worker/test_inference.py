"""The worker's promises: order, latest wins, staleness, cancellation, survival, shutdown.

Events decide the order of things everywhere; nothing depends on how fast the machine is.
"""

import gc
import os
import queue
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator

import pytest

from napari_cellseg.errors import Cancelled, InputError
from napari_cellseg.worker import (
    InferenceWorker,
    JobContext,
    JobState,
    Priority,
    operation,
    operations,
    worker,
)

WAIT = 20.0


class Gate:
    """Lets a test hold a lane: the operation says that it runs and waits to be let through."""

    def __init__(self) -> None:
        self.running = threading.Event()
        self.open = threading.Event()


@operation("test hold")
def hold(context: JobContext, *, gate: Gate, value: object = None) -> object:
    gate.running.set()
    assert gate.open.wait(WAIT)
    return value


@operation("test hold until cancelled")
def hold_until_cancelled(context: JobContext, *, gate: Gate) -> None:
    gate.running.set()
    assert context.cancel.wait(WAIT)
    context.check()


@operation("test note")
def note(context: JobContext, *, into: list[object], value: object) -> object:
    into.append(value)
    return value


@operation("test fail")
def fail(context: JobContext, *, error: BaseException) -> None:
    raise error


@operation("test progress")
def progress(context: JobContext, *, steps: int) -> None:
    for step in range(steps):
        context.progress(step / steps, f"step {step}")
    context.notice("done with care")


@pytest.fixture
def inference() -> Iterator[InferenceWorker]:
    instance = InferenceWorker(threads=2)
    yield instance
    assert instance.shutdown(WAIT)


def test_operations_of_the_main_job_are_registered() -> None:
    worker()
    assert {"segment", "try", "relabel", "read", "write", "estimate_diameter"} <= set(operations())


def test_result_and_callbacks_come_in_order(inference: InferenceWorker) -> None:
    heard: list[object] = []
    job = inference.submit(
        "test progress",
        {"steps": 3},
        on_progress=lambda fraction, message: heard.append((fraction, message)),
        on_notice=heard.append,
        on_result=lambda result: heard.append(("result", result)),
        on_end=lambda ended: heard.append(ended.state),
    )
    assert job.wait(WAIT) is None
    assert heard == [
        (0.0, "step 0"),
        (1 / 3, "step 1"),
        (2 / 3, "step 2"),
        "done with care",
        ("result", None),
        JobState.DONE,
    ]
    assert job.notices == ["done with care"]


def test_more_urgent_jobs_run_first_and_equal_ones_in_order(inference: InferenceWorker) -> None:
    gate, ran = Gate(), []
    inference.submit("test hold", {"gate": gate})
    assert gate.running.wait(WAIT)
    jobs = [
        inference.submit("test note", {"into": ran, "value": value}, priority=priority)
        for value, priority in [
            ("batch", Priority.BATCH),
            ("prefetch", Priority.PREFETCH),
            ("view", Priority.VIEW),
            ("click 1", Priority.CLICK),
            ("click 2", Priority.CLICK),
        ]
    ]
    gate.open.set()
    for job in jobs:
        job.wait(WAIT)
    assert ran == ["click 1", "click 2", "view", "prefetch", "batch"]


def test_newer_job_with_the_same_key_replaces_the_waiting_one(inference: InferenceWorker) -> None:
    gate, ran, ended = Gate(), [], []
    inference.submit("test hold", {"gate": gate}, key="slider")
    assert gate.running.wait(WAIT)
    jobs = [
        inference.submit(
            "test note",
            {"into": ran, "value": value},
            key="slider",
            on_end=lambda job: ended.append(job.state),
        )
        for value in range(5)
    ]
    other = inference.submit("test note", {"into": ran, "value": "other"}, key="another")
    gate.open.set()
    assert jobs[-1].wait(WAIT) == 4
    other.wait(WAIT)
    assert ran == [4, "other"]
    assert [job.state for job in jobs[:-1]] == [JobState.SUPERSEDED] * 4
    assert ended == [JobState.SUPERSEDED] * 4 + [JobState.DONE]
    with pytest.raises(Cancelled, match="superseded"):
        jobs[0].wait(WAIT)


def test_running_job_is_replaced_only_on_request(inference: InferenceWorker) -> None:
    gate, results = Gate(), []
    first = inference.submit(
        "test hold", {"gate": gate, "value": 1}, key="try", on_result=results.append
    )
    assert gate.running.wait(WAIT)
    second = inference.submit(
        "test note", {"into": [], "value": 2}, key="try", on_result=results.append
    )
    gate.open.set()
    assert (first.wait(WAIT), second.wait(WAIT)) == (1, 2)
    assert results == [1, 2]

    gate = Gate()
    third = inference.submit(
        "test hold until cancelled", {"gate": gate}, key="try", on_result=results.append
    )
    assert gate.running.wait(WAIT)
    fourth = inference.submit(
        "test note",
        {"into": [], "value": 4},
        key="try",
        replace_running=True,
        on_result=results.append,
    )
    assert fourth.wait(WAIT) == 4
    assert third.state is JobState.SUPERSEDED
    assert results == [1, 2, 4]


def test_result_of_an_older_generation_is_dropped(inference: InferenceWorker) -> None:
    gate, results = Gate(), []
    old = inference.submit(
        "test hold", {"gate": gate, "value": "old"}, owner="viewer", on_result=results.append
    )
    waiting = inference.submit("test note", {"into": results, "value": "waits"}, owner="viewer")
    assert gate.running.wait(WAIT)
    assert inference.advance("viewer") == 1
    new = inference.submit(
        "test note", {"into": [], "value": "new"}, owner="viewer", on_result=results.append
    )
    gate.open.set()
    assert new.wait(WAIT) == "new"
    assert results == ["new"]
    assert old.state is waiting.state is JobState.SUPERSEDED


def test_result_that_goes_stale_on_its_way_is_dropped(inference: InferenceWorker) -> None:
    """The generation counts when the result arrives, not when it leaves the lane."""
    mail: queue.Queue = queue.Queue()
    results: list[object] = []
    ended: list[JobState] = []
    job = inference.submit(
        "test note",
        {"into": [], "value": "late"},
        owner="viewer",
        deliver=mail.put,
        on_result=results.append,
        on_end=lambda job: ended.append(job.state),
    )
    job.wait(WAIT)
    inference.advance("viewer")
    mail.get(timeout=WAIT)()
    assert results == []
    assert ended == [JobState.SUPERSEDED]


def test_cancel_before_it_runs_ends_it_at_once(inference: InferenceWorker) -> None:
    gate, ran = Gate(), []
    inference.submit("test hold", {"gate": gate})
    assert gate.running.wait(WAIT)
    job = inference.submit("test note", {"into": ran, "value": 1})
    job.cancel()
    assert job.finished  # although the lane is still held
    assert job.state is JobState.CANCELLED
    gate.open.set()
    inference.submit("test note", {"into": ran, "value": 2}).wait(WAIT)
    assert ran == [2]


def test_cancel_while_it_runs(inference: InferenceWorker) -> None:
    gate, heard = Gate(), []
    job = inference.submit(
        "test hold until cancelled",
        {"gate": gate},
        on_result=heard.append,
        on_error=heard.append,
        on_end=lambda job: heard.append(job.state),
    )
    assert gate.running.wait(WAIT)
    job.cancel()
    with pytest.raises(Cancelled):
        job.wait(WAIT)
    assert heard == [JobState.CANCELLED]


def test_progress_is_a_place_to_stop(inference: InferenceWorker) -> None:
    reached = []

    def stop(fraction: float, message: str) -> None:
        reached.append(fraction)
        job_box.get(timeout=WAIT).cancel()

    job_box: queue.Queue = queue.Queue()
    job = inference.submit("test progress", {"steps": 1000}, on_progress=stop)
    job_box.put(job)
    with pytest.raises(Cancelled):
        job.wait(WAIT)
    assert reached == [0.0]


def test_queued_progress_is_merged_to_the_newest(inference: InferenceWorker) -> None:
    mail: queue.Queue = queue.Queue()
    heard: list[tuple[float, str]] = []
    job = inference.submit(
        "test progress",
        {"steps": 500},
        deliver=mail.put,
        on_progress=lambda fraction, message: heard.append((fraction, message)),
    )
    job.wait(WAIT)
    assert mail.qsize() == 2  # one for 500 steps, one for the end
    while not mail.empty():
        mail.get()()
    assert heard == [(499 / 500, "step 499")]


@pytest.mark.parametrize(
    "error", [InputError("The file is empty."), ZeroDivisionError("x"), SystemExit(3)]
)
def test_error_is_reported_and_the_lane_lives(
    inference: InferenceWorker, error: BaseException
) -> None:
    errors: list[Exception] = []
    job = inference.submit("test fail", {"error": error}, on_error=errors.append)
    with pytest.raises(Exception, match=r".") as caught:
        job.wait(WAIT)
    assert job.state is JobState.FAILED
    assert errors == [caught.value]
    assert inference.submit("test note", {"into": [], "value": 1}).wait(WAIT) == 1


def test_listener_that_fails_does_not_cost_the_lane(
    inference: InferenceWorker, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(result: object) -> None:
        raise ValueError("the listener is broken")

    job = inference.submit("test note", {"into": [], "value": 1}, on_result=break_down)
    with pytest.raises(ValueError, match="the listener is broken"):
        job.wait(WAIT)
    assert "a listener of" in caplog.text
    assert inference.submit("test note", {"into": [], "value": 2}).wait(WAIT) == 2


def test_decode_is_not_held_up_by_a_long_batch_job(inference: InferenceWorker) -> None:
    gate = Gate()
    long = inference.submit("test hold", {"gate": gate, "value": "volume"}, lane="batch")
    assert gate.running.wait(WAIT)
    click = inference.submit("test note", {"into": [], "value": "click"}, lane="decode")
    saved = inference.submit("test note", {"into": [], "value": "file"}, lane="files")
    assert click.wait(WAIT) == "click"
    assert saved.wait(WAIT) == "file"
    assert long.state is JobState.RUNNING
    gate.open.set()
    assert long.wait(WAIT) == "volume"


def test_cancel_owner_ends_only_its_jobs(inference: InferenceWorker) -> None:
    gate, ran = Gate(), []
    running = inference.submit("test hold until cancelled", {"gate": gate}, owner="a")
    assert gate.running.wait(WAIT)
    waiting = inference.submit("test note", {"into": ran, "value": "a"}, owner="a")
    other = inference.submit("test note", {"into": ran, "value": "b"}, owner="b")
    inference.cancel_owner("a")
    other.wait(WAIT)
    assert ran == ["b"]
    assert running.state is waiting.state is JobState.CANCELLED


def test_cancelled_result_is_not_delivered_late(inference: InferenceWorker) -> None:
    """A closed viewer hears nothing, even of a result that was already on its way."""
    mail: queue.Queue = queue.Queue()
    results: list[object] = []
    job = inference.submit(
        "test note",
        {"into": [], "value": 1},
        owner="viewer",
        deliver=mail.put,
        on_result=results.append,
    )
    job.wait(WAIT)
    inference.cancel_owner("viewer")
    mail.get(timeout=WAIT)()
    assert results == []


def test_a_job_to_be_finished_outlives_its_owner_and_the_shutdown() -> None:
    instance = InferenceWorker(threads=2)
    gate, ran = Gate(), []
    heard: list[object] = []
    instance.submit("test hold", {"gate": gate}, lane="files", owner="viewer", finish=True)
    assert gate.running.wait(WAIT)
    saves = [
        instance.submit(
            "test note",
            {"into": ran, "value": value},
            lane="files",
            owner="viewer",
            finish=True,
            on_result=heard.append,
        )
        for value in (1, 2)
    ]
    instance.advance("viewer")
    instance.cancel_owner("viewer")
    saves[1].cancel()
    closing = threading.Thread(target=instance.shutdown, args=(WAIT,))
    closing.start()
    gate.open.set()
    closing.join(WAIT)
    assert not closing.is_alive()
    assert ran == [1]
    assert [job.state for job in saves] == [JobState.DONE, JobState.CANCELLED]
    assert heard == []


def test_shutdown_joins_and_is_idempotent() -> None:
    instance = InferenceWorker(threads=2)
    gate, heard = Gate(), []
    running = instance.submit("test hold until cancelled", {"gate": gate}, on_end=heard.append)
    assert gate.running.wait(WAIT)
    waiting = instance.submit("test note", {"into": heard, "value": 1}, on_end=heard.append)
    before = {thread.name for thread in threading.enumerate()}
    assert "napari-cellseg batch" in before
    assert instance.shutdown(WAIT)
    assert instance.shutdown(WAIT)
    assert running.finished
    assert waiting.state is JobState.CANCELLED
    assert heard == []
    with pytest.raises(RuntimeError, match="shut down"):
        instance.submit("test note", {"into": [], "value": 1})


def test_finished_job_holds_no_arguments(inference: InferenceWorker) -> None:
    class Big:
        pass

    big = Big()
    gone = weakref.ref(big)
    job = inference.submit("test note", {"into": [], "value": 1, **{}}, on_result=None)
    job.wait(WAIT)
    job = inference.submit("test fail", {"error": ValueError("x")})
    with pytest.raises(ValueError, match="x"):
        job.wait(WAIT)
    gate = Gate()
    gate.open.set()
    job = inference.submit("test hold", {"gate": gate, "value": big})
    job.wait(WAIT)
    job = inference.submit("test note", {"into": [], "value": 2})
    job.wait(WAIT)
    del big
    gc.collect()
    assert gone() is None


def test_unknown_operation_and_taken_name() -> None:
    instance = InferenceWorker(threads=1)
    with pytest.raises(KeyError, match="no operation is named"):
        instance.submit("test unknown")
    with pytest.raises(ValueError, match="exists already"):
        operation("test note")(lambda context: None)
    assert instance.shutdown(WAIT)


def test_worker_is_one_per_process_and_new_after_shutdown() -> None:
    first = worker()
    assert worker() is first
    assert first.shutdown(WAIT)
    second = worker()
    assert second is not first
    assert second.shutdown(WAIT)


def test_each_lane_has_its_share_of_torch_threads(inference: InferenceWorker) -> None:
    torch = pytest.importorskip("torch")

    @operation("test threads", uses_torch=True)
    def threads(context: JobContext) -> int:
        return int(torch.get_num_threads())

    inference.threads = 8
    assert inference.submit("test threads", lane="batch").wait(WAIT) == 6
    gate = Gate()
    held = inference.submit("test hold", {"gate": gate}, lane="batch")
    assert gate.running.wait(WAIT)
    assert inference.submit("test threads", lane="encode").wait(WAIT) == 6
    clicks = inference.submit("test threads", lane="decode").wait(WAIT)
    assert clicks == (4 if sys.platform.startswith("linux") else 2)  # where others step back
    gate.open.set()
    held.wait(WAIT)


def test_a_click_has_more_threads_while_the_other_lanes_rest(inference: InferenceWorker) -> None:
    torch = pytest.importorskip("torch")

    @operation("test threads of a click", uses_torch=True)
    def threads(context: JobContext) -> int:
        return int(torch.get_num_threads())

    inference.threads = 8
    assert inference.submit("test threads of a click", lane="decode").wait(WAIT) == 4
    inference.threads = 1
    assert inference.submit("test threads of a click", lane="decode").wait(WAIT) == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="niceness is a thread's own there")
def test_long_work_steps_back_for_clicks(inference: InferenceWorker) -> None:
    @operation("test niceness")
    def niceness(context: JobContext) -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    of = {
        lane: inference.submit("test niceness", lane=lane).wait(WAIT)
        for lane in ("decode", "batch", "encode")
    }
    assert of["batch"] == of["encode"] > of["decode"]


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, napari_cellseg.worker as w; w.worker().shutdown();"
        "heavy = {'torch', 'qtpy', 'napari', 'numba', 'skimage'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
