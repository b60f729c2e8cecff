"""Jobs run once each wherever they run; a worker that dies is made up for."""

import os
import threading
import time

import pytest
from tests.flows.blockwise.block_jobs import (
    Square,
    always_die,
    break_down,
    fail,
    slow,
    square,
)

from napari_cellseg.errors import Cancelled, InputError
from napari_cellseg.flows._jit import thread_count
from napari_cellseg.flows.blockwise.executor import Distributed, InProcess, check_running


def numbers(executor, function=square, jobs=None, check=None):
    jobs = [Square(str(n), n) for n in range(9)] if jobs is None else jobs
    return {job.number: result for job, result in executor.run(function, jobs, check)}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    import warnings

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([os.getcwd(), *([before] if before else [])])
    environment = dict(os.environ)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dask's own, of sockets that close late
        executor = Distributed(2)
        yield executor
        executor.close()
    names = {*environment, *os.environ}
    changed = {name for name in names if environment.get(name) != os.environ.get(name)}
    assert changed <= {"PYTEST_CURRENT_TEST", "QT_API"}  # which are of pytest
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_do_every_job_once(workers):
    with InProcess(workers) as executor:
        assert executor.workers == workers
        found = numbers(executor, slow)
    assert {n: int(r["square"]) for n, r in found.items()} == {n: n * n for n in range(9)}
    threads = {int(r["thread"]) for r in found.values()}
    assert (threads == {threading.get_ident()}) == (workers == 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_share_of_the_processor_is_told(workers, monkeypatch):
    monkeypatch.setattr("napari_cellseg.flows.blockwise.executor.thread_count", lambda _: 4)
    found = numbers(InProcess(workers))
    assert {int(r["threads"]) for r in found.values()} == {4 // workers}
    assert not any(r["alone"] for r in found.values())


@pytest.mark.parametrize("workers", [0, -1, 1.5, True])
def test_impossible_numbers_of_workers_are_refused(workers):
    with pytest.raises(InputError, match="workers"):
        InProcess(workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_job_is_raised(workers):
    with pytest.raises(InputError, match="block 3 is impossible"):
        numbers(InProcess(workers), fail)


@pytest.mark.parametrize("workers", [1, 2])
def test_cancelling_stops(workers):
    seen = []

    def check():
        if seen:
            raise Cancelled("enough")
        seen.append(1)

    with pytest.raises(Cancelled):
        numbers(InProcess(workers), slow, check=check)


@pytest.mark.parametrize("workers", [1, 2])
def test_cancelling_stops_within_a_job(workers):
    begun = threading.Event()

    def check():
        if begun.is_set():
            raise Cancelled("enough")

    def long(job):
        begun.set()
        for _ in range(1000):
            check_running()
            time.sleep(0.01)
        return {}

    with pytest.raises(Cancelled):
        list(InProcess(workers).run(long, ["a"], check))
    check_running()  # outside of a job nothing is cancelled


def test_processes_do_every_job_once(cluster):
    assert cluster.workers == 2
    found = numbers(cluster, slow)
    assert {n: int(r["square"]) for n, r in found.items()} == {n: n * n for n in range(9)}
    processes = {int(r["process"]) for r in found.values()}
    assert os.getpid() not in processes
    assert all(r["alone"] for r in found.values())
    assert {int(r["threads"]) for r in found.values()} == {max(1, thread_count(None) // 2)}
    assert len(processes) == 2


def test_a_killed_worker_is_survived(cluster, tmp_path):
    jobs = [Square(str(n), n, str(tmp_path / "died") if n == 4 else "") for n in range(9)]
    found = numbers(cluster, slow, jobs)
    assert (tmp_path / "died").exists()
    assert {n: int(r["square"]) for n, r in found.items()} == {n: n * n for n in range(9)}


def test_an_error_comes_back_from_a_process(cluster):
    with pytest.raises(InputError, match="block 3 is impossible"):
        numbers(cluster, fail)
    with pytest.raises(RuntimeError, match="a bug"):
        numbers(cluster, break_down)


def test_a_block_that_ends_every_process_is_told(cluster):
    with pytest.raises(InputError, match="ran out of memory"):
        numbers(cluster, always_die, [Square("0", 0)])


def test_cancelling_leaves_the_cluster_usable(cluster):
    def check():
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        numbers(cluster, slow, check=check)
    assert len(numbers(cluster)) == 9


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", "tcp://", ""])
def test_an_address_where_nobody_answers_is_told(address):
    with pytest.raises(InputError, match="No dask scheduler answers"):
        Distributed(address)


def test_an_address_of_a_running_scheduler(cluster):
    with Distributed(cluster._cluster.scheduler_address) as other:
        assert {int(r["square"]) for r in numbers(other).values()} == {n * n for n in range(9)}


def test_without_dask_distributed_one_sentence_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"napari-cellseg\[distributed\]"):
        Distributed(2)


def test_two_clusters_on_a_machine_do_not_warn(cluster):
    with Distributed(1) as other:
        ports = {one._cluster.scheduler.http_server.port for one in (cluster, other)}
    assert len(ports) == 2


def test_ctrl_c_while_processes_start_leaves_nothing_to_the_exit(monkeypatch):
    from distributed import SpecCluster

    before, sync, calls = set(SpecCluster._instances), SpecCluster.sync, []

    def interrupted(self, *args, **named):
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return sync(self, *args, **named)

    monkeypatch.setenv("PYTHONWARNINGS", "")  # put back afterwards
    monkeypatch.setattr(SpecCluster, "sync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Distributed(1)
    assert len(calls) > 1  # it was closed
    assert set(SpecCluster._instances) == before
