"""A run that was stopped goes on to the same labels, wherever it was; so does a killed worker."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr
from tests.flows.blockwise.label_worlds import assert_as_in_memory, stored, wrong_cells

from napari_cellseg.errors import StorageError
from napari_cellseg.flows.blockwise.executor import Distributed, InProcess
from napari_cellseg.flows.blockwise.label_store import label_store
from napari_cellseg.flows.field_store import FieldStore

OPTIONS = {"min_size": 15, "flow_error": 0.3}
BLOCKS = {"block": (12, 24, 24), "chunks": (6, 12, 24), "halo": 0}


class Stop(BaseException):
    """Ends a run wherever it is."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tissue")
    flow, logits = wrong_cells(np.random.default_rng(1), (20, 44, 44))
    return stored(folder / "field", flow, logits, (1, 1, 1))


def test_stopped_at_any_write(store, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    replace, left = os.replace, [0]

    def stopping(source, target):
        left[0] -= 1
        if left[0] == 0:
            raise Stop
        replace(source, target)

    monkeypatch.setattr(os, "replace", stopping)
    rng = np.random.default_rng(1)
    stops = 0
    while True:
        left[0] = int(rng.integers(1, 40))
        try:
            found = label_store(
                store, tmp_path / "labels", executor=InProcess(1 + stops % 2), **OPTIONS, **BLOCKS
            )
            break
        except Stop:
            stops += 1
    assert stops > 5
    assert_as_in_memory(store, tmp_path / "labels", found, **OPTIONS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["labels"]


SCRIPT = """
import os, signal, sys
from pathlib import Path
from napari_cellseg.flows.blockwise.label_store import label_store
from napari_cellseg.flows.field_store import FieldStore

field, output, after = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
told = []

def progress(fraction, message):
    told.append(fraction)
    if len(told) == after:
        os.kill(os.getpid(), signal.SIGKILL)

label_store(FieldStore.open(field), output, progress=progress, **eval(sys.argv[4]))
"""


@pytest.mark.parametrize("after", [9, 33])
def test_a_killed_process_goes_on(store, tmp_path, after):
    output = tmp_path / "labels"
    options = {**OPTIONS, **BLOCKS}
    command = [sys.executable, "-c", SCRIPT, str(store.path), str(output), str(after), str(options)]
    done = subprocess.run(command, check=False, timeout=120, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    begun = list((tmp_path / ".labels.work").rglob("*.npz"))
    assert begun
    times = {file: file.stat().st_mtime_ns for file in begun}
    work = tmp_path / ".labels.work"
    kept = tmp_path / "kept"
    work.rename(kept)
    found = label_store(FieldStore.open(store.path), output, work=kept, **options)
    assert_as_in_memory(store, output, found, **OPTIONS)
    parts = [np.load(file)["whole"].size for file in (kept / "errors").glob("*.npz")]
    assert sum(parts) > 3  # some were taken apart
    for file, time in times.items():  # what was done was not done again
        assert (kept / file.relative_to(work)).stat().st_mtime_ns == time


@pytest.fixture
def cluster(monkeypatch):
    import warnings

    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dask's own, of sockets that close late
        with Distributed(2) as executor:
            yield executor


def test_killed_workers_are_made_up_for(store, tmp_path, cluster):
    killed = []

    def progress(fraction, message):
        work = tmp_path / ".labels.work"
        for stage in ("trace", "write"):
            if stage not in killed and list((work / stage).glob("*.npz")):
                killed.append(stage)
                pids = cluster._client.run(os.getpid)
                os.kill(next(iter(pids.values())), signal.SIGKILL)

    found = label_store(
        store, tmp_path / "labels", executor=cluster, progress=progress, **OPTIONS, **BLOCKS
    )
    assert killed == ["trace", "write"]
    assert_as_in_memory(store, tmp_path / "labels", found, **OPTIONS)


def test_another_run_in_the_same_folder_is_refused(store, tmp_path):
    work = tmp_path / "work"
    label_store(store, tmp_path / "labels", work=work, **OPTIONS, **BLOCKS)
    with pytest.raises(StorageError, match="other settings"):
        label_store(store, tmp_path / "labels", work=work, min_size=3, **BLOCKS)


def test_a_finished_run_is_not_done_again_unless_its_labels_are_gone(store, tmp_path):
    work, output = tmp_path / "work", tmp_path / "labels"
    first = label_store(store, output, work=work, **OPTIONS, **BLOCKS)
    before = {file: file.stat().st_mtime_ns for file in output.rglob("*") if file.is_file()}
    again = label_store(store, output, work=work, **OPTIONS, **BLOCKS)
    assert before == {file: file.stat().st_mtime_ns for file in before}
    np.testing.assert_array_equal(first.voxels, again.voxels)
    output.rename(tmp_path / "moved")
    label_store(store, output, work=work, **OPTIONS, **BLOCKS)
    assert_as_in_memory(store, output, again, **OPTIONS)


def test_a_damaged_file_is_told(store, tmp_path):
    work = tmp_path / "work"
    label_store(store, tmp_path / "labels", work=work, **OPTIONS, **BLOCKS)
    file = next((work / "pieces").glob("*.voxels"))
    file.write_bytes(file.read_bytes()[:100])
    for marker in (work / "match").glob("*.npz"):
        marker.unlink()
    with pytest.raises(StorageError, match="missing or damaged"):
        label_store(store, tmp_path / "labels", work=work, **OPTIONS, **BLOCKS)
    assert zarr.open_array(Path(tmp_path / "labels")).shape == store.shape
