"""What stays of instances that fail the flow check is the same block by block as in memory."""

import os

import numpy as np
import pytest
from tests.flows.blockwise.label_worlds import check, stored, wrong_cells

from napari_cellseg.flows import REASONS
from napari_cellseg.flows.blockwise import label_check, label_parts
from napari_cellseg.flows.blockwise.executor import InProcess


@pytest.fixture(autouse=True)
def told(monkeypatch):
    """Parts of every job, and the number of blocks they lie in; without waiting for the disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    kept, counts = label_parts.kept_parts, []

    def counted(job, found):
        result = kept(job, found)
        counts.append((result["whole"].size, result["blocks"].size))
        return result

    monkeypatch.setattr(label_parts, "kept_parts", counted)
    return counts


@pytest.mark.parametrize(
    ("seed", "shape", "spacing", "block", "limit"),
    [
        (1, (20, 44, 44), (1.0, 1.0, 1.0), (8, 12, 14), 0.2),
        (1, (20, 44, 44), (1.0, 1.0, 1.0), (8, 12, 14), 0.6),
        (2, (30, 34, 34), (3.0, 1.0, 1.0), (4, 12, 34), 0.8),
        (3, (60, 70), (1.0, 1.0, 1.0), (16, 24), 0.3),
    ],
)
def test_parts_equal_those_in_memory(tmp_path, told, seed, shape, spacing, block, limit):
    flow, logits = wrong_cells(np.random.default_rng(seed), shape, spacing)
    store = stored(tmp_path / "field", flow, logits, spacing)
    found = check(
        store,
        tmp_path,
        flow_error=limit,
        block=block,
        chunks=block,
        halo=0,
        executor=InProcess(2),
    )
    assert sum(count for count, _ in told) > 2
    assert max(blocks for _, blocks in told) > 1
    assert REASONS.index("flow error") in found.rejected.reason
    assert (found.flow_error <= np.float32(limit)).all()


def test_frames_are_taken_apart_one_by_one(tmp_path, told, monkeypatch):
    monkeypatch.setattr(label_check, "_VOXELS", 500)  # in many groups
    frames = [wrong_cells(np.random.default_rng(seed), (60, 70)) for seed in (3, 1, 4)]
    frames[1][1][:] = -5  # nothing in this one
    store = stored(
        tmp_path / "field",
        np.stack([flow for flow, _ in frames]),
        np.stack([logits for _, logits in frames]),
        (1.0, 1.0, 1.0),
        time=True,
    )
    found = check(store, tmp_path, flow_error=0.8, block=(15, 20), chunks=(15, 20), halo=2)
    assert sum(count for count, _ in told) > 1
    assert set(found.t.tolist()) == {0, 2}


def test_where_nothing_fails_nothing_is_written_again(tmp_path, told):
    flow, logits = wrong_cells(np.random.default_rng(3), (40, 40))
    store = stored(tmp_path / "field", flow, logits, (1.0, 1.0, 1.0))
    work = tmp_path / "work"
    check(store, tmp_path, flow_error=4.0, block=(20, 20), chunks=(20, 20), work=work)
    assert sum(count for count, _ in told) == 0
    assert not (work / "rewrite").exists()
