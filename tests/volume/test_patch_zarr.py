"""A region of a label store changes as a whole, whatever moment the writer is killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.volume import open_labels, read_labels, write_labels
from napari_cellseg.volume import patch_commit as module
from napari_cellseg.volume.patch_store import open_label_store
from napari_cellseg.volume.patch_zarr import (
    largest_id,
    read_region,
    region_digest,
    write_region,
)

QUICK = settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Killed(BaseException):
    """Nobody handles this: the process is gone."""


class Process:
    """Lets a number of changes of the disk happen; then nothing changes any more."""

    _CALLS = ("replace", "rename", "unlink", "mkdir", "rmdir", "fsync", "remove")

    def __init__(self, monkeypatch, steps=10**9):
        self.left, self.done = steps, 0
        self.monkeypatch = monkeypatch

    def __enter__(self):
        self.patch = self.monkeypatch.context()
        patch = self.patch.__enter__()
        for name in self._CALLS:
            patch.setattr(os, name, self._counted(getattr(os, name)))
        patch.setattr(module, "_sync_file", self._counted(module._sync_file))
        patch.setattr(Path, "write_text", self._counted(Path.write_text))
        patch.setattr(shutil, "copyfile", self._counted(shutil.copyfile))
        patch.setattr(shutil, "rmtree", self._counted(_remove_tree))
        return self

    def __exit__(self, kind, error, trace):
        self.patch.__exit__(kind, error, trace)
        return kind is Killed

    def _counted(self, call):
        def run(*args, **options):
            if self.left <= 0:
                raise Killed
            self.left, self.done = self.left - 1, self.done + 1
            return call(*args, **options)

        return run


def _remove_tree(path, ignore_errors=False):
    """The same, file by file through `os`, so that it can be interrupted anywhere."""
    for folder, folders, names in os.walk(path, topdown=False):
        for name in names:
            os.unlink(os.path.join(folder, name))
        for name in folders:
            os.rmdir(os.path.join(folder, name))
    os.rmdir(path)


def pyramid(path):
    return [np.asarray(level.array[...]) for level in open_label_store(path).levels]


def expected_pyramid(path, labels):
    return [
        labels[tuple(slice(None, None, step) for step in level.factor)][
            tuple(slice(0, n) for n in level.array.shape)
        ]
        for level in open_label_store(path).levels
    ]


def some_labels(shape, seed=0):
    random = np.random.default_rng(seed)
    labels = np.repeat(random.integers(0, 9, shape[-1] // 8 + 1), 8)[: shape[-1]]
    return np.broadcast_to(labels, shape).astype(np.uint32).copy()


@pytest.fixture
def store(tmp_path):
    """Several chunks, the last along z only partly full, and two levels."""
    path = tmp_path / "cells.ome.zarr"
    labels = some_labels((70, 20, 300))
    write_labels(path, labels, spacing=(1.0, 0.5, 0.5))
    return path, labels


BOX = (slice(62, 66), slice(3, 20), slice(120, 140))


def new_labels(labels, box=BOX):
    part = labels[box].copy()
    part[::2] += 20
    part[:, :4] = 0
    changed = labels.copy()
    changed[box] = part
    return part, changed


def test_the_region_and_what_the_coarser_levels_show_of_it(store):
    path, labels = store
    part, changed = new_labels(labels)
    write_region(path, BOX, part)
    for found, wanted in zip(pyramid(path), expected_pyramid(path, changed), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert len(pyramid(path)) == 2
    np.testing.assert_array_equal(read_region(path, BOX), part)
    np.testing.assert_array_equal(read_labels(path)[0], changed)
    assert largest_id(open_label_store(path)) == changed.max()


def test_chunks_that_become_empty_are_files_no_more(store):
    path, labels = store
    everything = tuple(slice(0, n) for n in labels.shape)
    write_region(path, everything, np.zeros_like(labels))
    assert not any(level.any() for level in pyramid(path))
    folder = open_label_store(path).levels[0].folder
    assert not [file for file in (folder / "c").rglob("*") if file.is_file()]
    write_region(path, everything, labels)
    np.testing.assert_array_equal(read_labels(path)[0], labels)


@given(st.data())
@QUICK
def test_any_region_of_any_store(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("any")
    timed = data.draw(st.booleans())
    shape = tuple(data.draw(st.lists(st.integers(1, 24), min_size=3, max_size=3)))
    shape = (2, *shape) if timed else shape
    chunks = tuple(data.draw(st.integers(1, n)) for n in shape)
    sharded = data.draw(st.booleans())
    version = 3 if sharded else data.draw(st.sampled_from([2, 3]))
    labels = some_labels(shape, 3)
    array = zarr.create_array(
        folder / "plain.zarr",
        shape=shape,
        dtype=data.draw(st.sampled_from(["<u2", ">i4", "<u8"])),
        chunks=chunks,
        shards=tuple(2 * n for n in chunks) if sharded else None,
        zarr_format=version,
    )
    array[...] = labels
    starts = [data.draw(st.integers(0, n - 1)) for n in shape]
    box = tuple(
        slice(a, data.draw(st.integers(a + 1, n))) for a, n in zip(starts, shape, strict=True)
    )
    part, changed = labels[box] * 3 + 1, labels.copy()
    changed[box] = part
    write_region(folder / "plain.zarr", box, part, expected=region_digest(labels[box]))
    np.testing.assert_array_equal(pyramid(folder / "plain.zarr")[0], changed)


def test_killed_after_any_number_of_steps(store, tmp_path, monkeypatch):
    path, labels = store
    part, changed = new_labels(labels)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # slow, and a kill needs none
    with Process(monkeypatch) as whole:
        write_region(path, BOX, part)
    steps = whole.done
    assert steps > 60
    np.testing.assert_array_equal(read_labels(path)[0], changed)
    write_region(path, BOX, labels[BOX])
    outcomes = []
    for count in range(steps):
        with Process(monkeypatch, count) as process:
            write_region(path, BOX, part)
        assert process.done == count
        if count % 8 == 7:  # killed again while it is finished, then once more
            for more in (1, 3):
                with Process(monkeypatch, more):
                    open_labels(path)
        levels = pyramid(path)
        new = bool((levels[0] != labels).any())
        for found, wanted in zip(
            levels, expected_pyramid(path, changed if new else labels), strict=True
        ):
            np.testing.assert_array_equal(found, wanted)
        assert not list(path.rglob(module.FOLDER))
        outcomes.append(new)
        if new:
            write_region(path, BOX, labels[BOX])
    assert outcomes == sorted(outcomes), "once it is decided, it stays so"
    assert 5 < sum(outcomes) < steps - 5


def test_a_real_kill_in_the_middle(store):
    path, labels = store
    part, changed = new_labels(labels)
    np.save(path.parent / "part.npy", part)
    code = f"""
import numpy as np
from napari_cellseg.volume.patch_zarr import write_region
old, new = np.load({str(path.parent / "old.npy")!r}), np.load({str(path.parent / "part.npy")!r})
box = tuple(slice(a, b) for a, b in {[(one.start, one.stop) for one in BOX]})
print("ready", flush=True)
while True:
    write_region({str(path)!r}, box, new)
    write_region({str(path)!r}, box, old)
"""
    np.save(path.parent / "old.npy", labels[BOX])
    for wait in (0.05, 0.11):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline()
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        levels = pyramid(path)
        new = bool((levels[0] != labels).any())
        for found, wanted in zip(
            levels, expected_pyramid(path, changed if new else labels), strict=True
        ):
            np.testing.assert_array_equal(found, wanted)


def test_a_full_disk_changes_nothing(store, monkeypatch):
    path, labels = store
    part, _ = new_labels(labels)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_sync_file", full)
        with pytest.raises(StorageError, match="No space left"):
            write_region(path, BOX, part)
    np.testing.assert_array_equal(read_labels(path)[0], labels)
    assert not list(path.rglob(module.FOLDER))


def test_a_rename_that_fails_is_said_and_finished_later(store, monkeypatch):
    path, labels = store
    part, changed = new_labels(labels)
    replace, calls = os.replace, []

    def broken(source, target):
        if module.FOLDER not in str(target):
            calls.append(target)
            if len(calls) > 2:
                raise OSError(5, "Input/output error")
        return replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", broken)
        with pytest.raises(StorageError, match="only in part"):
            write_region(path, BOX, part)
    written = write_region(path, BOX, part, expected=region_digest(labels[BOX]))
    np.testing.assert_array_equal(written, part)
    np.testing.assert_array_equal(read_labels(path)[0], changed)


def test_what_was_changed_meanwhile_is_not_overwritten(store):
    path, labels = store
    part, _ = new_labels(labels)
    digest = region_digest(read_region(path, BOX))
    write_region(path, (slice(63, 64), slice(5, 6), slice(121, 122)), np.full((1, 1, 1), 99))
    before = read_labels(path)[0]
    with pytest.raises(StorageError, match="changed by somebody else"):
        write_region(path, BOX, part, expected=digest)
    np.testing.assert_array_equal(read_labels(path)[0], before)


def test_bad_input(store, tmp_path):
    path, labels = store
    with pytest.raises(InputError, match="axes"):
        write_region(path, BOX[:2], labels[BOX])
    with pytest.raises(InputError, match="cannot be written"):
        write_region(path, BOX, labels)
    with pytest.raises(InputError, match="does not fit"):
        write_region(path, BOX, np.full(labels[BOX].shape, 2**40))
    with pytest.raises(InputError, match="empty"):
        read_region(path, (slice(5, 5), slice(0, 1), slice(0, 1)))
    with pytest.raises(StorageError, match="no zarr store"):
        open_label_store(tmp_path)
    np.testing.assert_array_equal(read_labels(path)[0], labels)


def test_a_record_that_leads_outside_is_refused(store, tmp_path):
    path, _ = store
    root = open_label_store(path).root
    victim = tmp_path / "victim"
    victim.write_text("x")
    (root / module.FOLDER).mkdir()
    (root / module.FOLDER / "commit.json").write_text(
        '{"replace": [], "remove": ["../../../victim"]}'
    )
    with pytest.raises(StorageError, match="outside"):
        open_labels(path)
    assert victim.exists()
