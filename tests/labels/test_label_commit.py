"""The benchmark of commits commits what it says; what a commit costs is what the object costs."""

import tracemalloc

import numpy as np
from benchmarks.label_commit import LARGE, SMALL, describe, run_label_commit

from napari_cellseg.labels import LabelDocument
from napari_cellseg.labels.paint import painted


def test_the_benchmark_commits_56_000_voxels() -> None:
    found = run_label_commit(runs=2, sizes=(SMALL, (16, 256, 256)))
    assert 54_000 < found["voxels"] < 58_000
    assert [row["shape"] for row in found["sizes"]] == [[8, 256, 256], [16, 256, 256]]
    assert 0 < found["sizes"][0]["commit_ms"] < 1000
    assert "large over small" in describe(found)


def test_a_commit_needs_memory_for_the_object_only() -> None:
    labels = np.zeros(LARGE, np.uint32)  # 256 MiB, of which untouched pages take none
    document = LabelDocument(labels, copy=False)
    box = (slice(30, 38), slice(100, 180), slice(400, 480))
    mask = np.ones((8, 80, 80), bool)
    document.apply(*painted(labels, box, mask, 4, protected="all"))  # kernels are compiled
    document.undo()
    tracemalloc.start()
    try:
        step = document.apply(*painted(labels, box, mask, 4, protected="all"))
        document.undo()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 24 * 8 * 80 * 80 + 200_000
    assert not labels[box].any()
    assert step is not None
    assert 8 * step.nbytes <= 3 * step.count, "bits for each voxel"
