"""A stage does what is not done, and no result is ever half-written."""

import numpy as np
import pytest
from tests.flows.blockwise.block_jobs import Square, fail

from napari_cellseg.errors import Cancelled, InputError, StorageError
from napari_cellseg.flows.blockwise.executor import InProcess
from napari_cellseg.flows.blockwise.stages import load_result, results, run_stage
from napari_cellseg.flows.progress import Progress

JOBS = [Square(str(n), n) for n in range(6)]


def counted(calls):
    def work(job):
        calls.append(job.number)
        return {"square": np.array([job.number**2])}

    return work


def test_jobs_that_are_done_are_skipped(tmp_path):
    calls = []
    run_stage(InProcess(), tmp_path, "one", counted(calls), JOBS[:3])
    run_stage(InProcess(), tmp_path, "one", counted(calls), JOBS)
    run_stage(InProcess(), tmp_path, "one", counted(calls), JOBS)
    assert sorted(calls) == list(range(6))
    assert [int(r["square"][0]) for _, r in results(tmp_path, "one", JOBS)] == [
        n * n for n in range(6)
    ]
    run_stage(InProcess(), tmp_path, "two", counted(calls), JOBS[:1])
    assert calls.count(0) == 2


def test_what_was_done_before_a_failure_stays_done(tmp_path):
    with pytest.raises(InputError, match="block 3"):
        run_stage(InProcess(), tmp_path, "one", fail, JOBS)
    calls = []
    run_stage(InProcess(), tmp_path, "one", counted(calls), JOBS)
    assert calls == [3, 4, 5]


def test_progress_goes_up_and_cancelling_stops(tmp_path):
    told = []
    run_stage(InProcess(), tmp_path, "one", counted([]), JOBS,
              Progress(lambda f, m: told.append((f, m))), "counting")  # fmt: skip
    assert [f for f, _ in told] == [n / 6 for n in range(7)]
    assert told[-1][1] == "counting, block 6 of 6"

    import threading

    cancel = threading.Event()
    calls = []

    def stop(fraction, message):
        if fraction >= 0.5:
            cancel.set()

    with pytest.raises(Cancelled):
        run_stage(InProcess(), tmp_path, "two", counted(calls), JOBS, Progress(stop, cancel))
    assert calls == [0, 1, 2]


def test_a_missing_or_damaged_result_is_told(tmp_path):
    run_stage(InProcess(), tmp_path, "one", counted([]), JOBS)
    with pytest.raises(StorageError, match="missing or damaged"):
        load_result(tmp_path, "one", "99")
    file = tmp_path / "one" / "2.npz"
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(StorageError, match="missing or damaged"):
        load_result(tmp_path, "one", "2")


def test_a_full_disk_leaves_no_marker(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(StorageError, match="No space left"):
            run_stage(InProcess(), tmp_path, "one", counted([]), JOBS)
    assert not list((tmp_path / "one").iterdir())


def test_a_place_where_nothing_can_be_made_is_told(tmp_path):
    (tmp_path / "one").write_text("a file")
    with pytest.raises(StorageError, match="cannot be written"):
        run_stage(InProcess(), tmp_path, "one", counted([]), JOBS)
