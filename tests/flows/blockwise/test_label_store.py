"""Labels made block by block equal those in memory, whatever the blocks."""

import os
import pickle
import tempfile
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import zarr
from benchmarks.synthetic import field_of, touching_ellipsoids
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.flows.blockwise.label_worlds import check, limit_among, random_arrays, stored

from napari_cellseg.errors import Cancelled, InputError, StorageError
from napari_cellseg.flows import REASONS
from napari_cellseg.flows.blockwise import label_check, label_plan, label_trace
from napari_cellseg.flows.blockwise.executor import InProcess
from napari_cellseg.flows.blockwise.label_store import label_store


@pytest.fixture(autouse=True, scope="module")
def _no_power_cuts():
    """Blocks are tiny here, so that most of the time would be spent on waiting for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


def tissue_store(folder, shape=(20, 44, 44), spacing=(1.0, 1.0, 1.0), **options):
    labels = touching_ellipsoids(shape, radius=6.0, anisotropy=spacing[0], seed=4)
    field = field_of(labels, spacing, "fused", noise=0.3)
    return stored(folder, field.flow, field.logits, spacing, **options)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_labels_equal_those_in_memory(data):
    seed = data.draw(st.integers(0, 2**32 - 1))
    ndim = data.draw(st.sampled_from([3, 3, 2]))
    time = data.draw(st.booleans())
    rng = np.random.default_rng(seed)
    flow, logits = random_arrays(rng, ndim, 22 if ndim == 3 else 40, time)
    space = logits.shape[time:]
    chunks = [data.draw(st.integers(-(-n // 3), n)) for n in space]
    block = [c * data.draw(st.integers(1, 3)) for c in chunks]
    spacing = (data.draw(st.sampled_from([0.5, 1.0, 2.0, 5.0])), 1.0, 1.5)
    with tempfile.TemporaryDirectory() as folder:
        store = stored(
            Path(folder) / "field",
            flow,
            logits,
            spacing,
            time,
            [data.draw(st.integers(min(4, n), n)) for n in space],
            data.draw(st.sampled_from(["float16", "int8"])),
        )
        thresholds = {
            "probability": data.draw(st.sampled_from([0.002, 0.5, 0.9])),
            "min_size": data.draw(st.sampled_from([0, 5, 15])),
        }
        share = data.draw(st.sampled_from([None, 0.2, 0.5, 0.8]))
        check(
            store,
            folder,
            **thresholds,
            flow_error=None if share is None else limit_among(store, share, **thresholds),
            block=block,
            chunks=chunks,
            halo=data.draw(st.sampled_from([None, 0, 1, 5])),
            executor=InProcess(data.draw(st.integers(1, 3))),
        )


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 1.0, 1.0)])
def test_tissue_in_small_blocks(tmp_path, spacing):
    store = tissue_store(tmp_path / "field", (24, 60, 60), spacing)
    expected = check(store, tmp_path, block=(8, 16, 24), chunks=(4, 16, 8), flow_error=0.3)
    assert len(expected) > 5
    assert REASONS.index("flow error") in expected.rejected.reason


def test_dropped_instances_leave_room_for_the_holes_of_others(tmp_path):
    # a shell around a ball, and around both a larger shell: the ball's flow is turned around
    at = np.indices((25, 25, 25)) - 12
    radius = np.sqrt((at**2).sum(0))
    inside = (radius < 4) | ((radius >= 7) & (radius < 11))
    labels = np.where(radius < 4, 1, np.where(inside, 2, 0)).astype(np.int32)
    field = field_of(labels, (1, 1, 1), "fused")
    flow = np.where(labels == 1, -field.flow, field.flow)
    # along x = 0 both meet: the ball is background of the shell, and would be filled with it
    store = stored(tmp_path / "field", flow, field.logits, (1, 1, 1))
    limits = [None, 0.6, 1.2, 3.0]
    counts = []
    for number, limit in enumerate(limits):
        (tmp_path / str(number)).mkdir()
        options = {"block": (9, 13, 13), "chunks": (9, 13, 13), "flow_error": limit}
        counts.append(len(check(store, tmp_path / str(number), **options)))
    assert len(set(counts)) > 1


def test_one_instance_with_a_hole_through_all_blocks(tmp_path):
    logits = np.full((12, 30, 30), 5.0, np.float32)
    logits[3:9, 5:25, 5:25] = -5.0
    logits[5:7, 10:20, 10:20] = 5.0  # an island in the hole, with a hole of its own
    logits[5:7, 14:16, 14:16] = -5.0
    store = stored(tmp_path / "field", np.zeros((3, 12, 30, 30)), logits, (1, 1, 1))
    expected = check(store, tmp_path, block=(4, 8, 8), chunks=(4, 8, 8))
    assert len(expected) == 2
    assert (expected.labels[4] > 0).all()


def test_chains_and_cycles_longer_than_a_block(tmp_path):
    # round and round, and always along x
    z, y, x = np.indices((4, 60, 60)) - np.array([0, 30, 30])[:, None, None, None]
    length = np.maximum(np.hypot(y, x), 1)
    turning = np.stack([z * 0, x / length, -y / length]).astype(np.float32)
    along = np.stack([z * 0, y * 0, np.ones_like(x)]).astype(np.float32)
    for name, flow in (("turning", turning), ("along", along)):
        (tmp_path / name).mkdir()
        logits = np.where(length > 15, 5, -5).astype(np.float32)
        store = stored(tmp_path / name / "field", flow, logits, (1, 1, 1))
        check(store, tmp_path / name, block=(4, 12, 20), chunks=(4, 12, 10), halo=0)


@pytest.mark.parametrize("logit", [-5.0, 5.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 1), (1, 9, 1), (7, 1, 30), (40, 1)])
def test_thin_empty_and_full_fields(tmp_path, shape, logit):
    flow = np.zeros((len(shape), *shape), np.float32)
    store = stored(tmp_path / "field", flow, np.full(shape, logit, np.float32), (1, 1, 1))
    chunks = [min(4, n) for n in shape]
    check(store, tmp_path, block=chunks, chunks=chunks, min_size=0, flow_error=0.5)


def test_what_is_small_beside_the_table_of_errors_is_measured_in_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(label_check, "_VOXELS", 500)
    store = tissue_store(tmp_path / "field")
    check(store, tmp_path, block=(20, 44, 44), chunks=(20, 44, 44), flow_error=0.3)


def test_long_chains_are_followed_by_the_blocks_they_go_to(tmp_path, monkeypatch):
    asked = []
    take_up = label_trace.take_up
    monkeypatch.setattr(
        label_trace, "take_up", lambda job: (asked.append(job.key), take_up(job))[1]
    )
    store = tissue_store(tmp_path / "field")
    check(store, tmp_path, block=(10, 15, 15), chunks=(10, 15, 15), halo=0)
    assert asked


def test_ids_beyond_32_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(label_plan, "_LARGEST", 1)
    store = tissue_store(tmp_path / "field")
    output = tmp_path / "labels"
    label_store(store, output, block=(20, 16, 16), chunks=(20, 16, 16), flow_error=0.3)
    labels = zarr.open_array(output, mode="r")
    assert labels.dtype == np.uint64
    monkeypatch.undo()
    (tmp_path / "usual").mkdir()
    expected = check(store, tmp_path / "usual", flow_error=0.3)
    np.testing.assert_array_equal(labels[...], expected.labels)


def test_the_array_has_the_chunks_that_were_asked_for_and_nothing_else_stays(tmp_path):
    store = tissue_store(tmp_path / "field")
    found = label_store(store, tmp_path / "labels", chunks=(5, 22, 11), block=(10, 22, 22))
    array = zarr.open_array(found.path, mode="r")
    assert array.chunks == (5, 22, 11)
    assert array.metadata.dimension_names == ("z", "y", "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["field", "labels"]


def test_progress_rises_and_ends(tmp_path):
    told = []
    store = tissue_store(tmp_path / "field")
    label_store(
        store,
        tmp_path / "labels",
        block=(20, 24, 24),
        chunks=(20, 24, 24),
        flow_error=0.3,
        progress=lambda fraction, _: told.append(fraction),
    )
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)


def test_cancelling(tmp_path):
    cancel = Event()
    cancel.set()
    with pytest.raises(Cancelled):
        label_store(tissue_store(tmp_path / "field"), tmp_path / "labels", cancel=cancel)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block": (10, 10, 10), "chunks": (4, 4, 4)}, "whole number of chunks"),
        ({"block": (10, 10)}, "block"),
        ({"chunks": (4, 4)}, "chunks"),
        ({"halo": -1}, "halo"),
        ({"halo": (1, 2)}, "halo"),
        ({"probability": 1.0}, "probability"),
        ({"min_size": -1}, "min_size"),
        ({"flow_error": -1.0}, "flow_error"),
    ],
)
def test_what_is_not_usable_is_told_before_anything_is_written(tmp_path, options, message):
    store = tissue_store(tmp_path / "field")
    with pytest.raises(InputError, match=message):
        label_store(store, tmp_path / "labels", **options)
    assert [p.name for p in tmp_path.iterdir()] == ["field"]


def test_blocks_too_large_for_32_bit_indices_are_refused(tmp_path):
    store = tissue_store(tmp_path / "field")
    with pytest.raises(InputError, match="too large"):
        label_store(store, tmp_path / "labels", block=(2000, 2000, 2000))


def test_what_exists_is_not_replaced(tmp_path):
    store = tissue_store(tmp_path / "field")
    (tmp_path / "labels").mkdir()
    with pytest.raises(StorageError, match="exists"):
        label_store(store, tmp_path / "labels")


def test_a_job_is_small_and_a_frame_says_where_things_are(tmp_path):
    store = tissue_store(tmp_path / "field")
    plan = label_plan.plan_labels(
        store,
        tmp_path / "labels",
        tmp_path / "work",
        probability=0.5,
        min_size=15,
        flow_error=None,
        block=(10, 22, 22),
        halo=None,
        chunks=(10, 22, 22),
    )
    jobs = plan.jobs(plan.frames[0])
    assert len({job.key for job in jobs}) == len(jobs) == 8
    assert len(pickle.dumps(jobs[0])) < 1500
    assert replace(jobs[0], rows=(1, 2)).key == jobs[0].key
