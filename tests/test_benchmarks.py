"""The benchmarks measure what they say."""

import json
import mmap
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks import field_store
from benchmarks.__main__ import PARTS, main
from benchmarks.changes import Stack, changes, shifted, thinned, turned
from benchmarks.curves import diameter_of, mostly_gone, score, show, without
from benchmarks.dynamics import (
    BEST,
    PEERS,
    SHIPPED,
    Contestant,
    FieldReport,
    run_field,
    settings,
)
from benchmarks.isolated import run_isolated
from benchmarks.meter import Cost, measure
from benchmarks.pipeline import run_pipeline
from benchmarks.real3d import mistakes
from benchmarks.report import show_dynamics, show_pipeline, table, write_json
from benchmarks.tissue import photograph, tissue

from fakes import BlobNetwork, blob_volume


@pytest.fixture
def stack() -> Stack:
    image, truth = blob_volume((24, 48, 40), spacing=(2.0, 1.0, 1.0))
    return Stack(image, truth, (2.0, 1.0, 1.0))


def test_meter_sees_time_and_memory():
    def work() -> int:
        # straight from the system: an allocator may hand out what earlier tests have left
        block = np.frombuffer(mmap.mmap(-1, 40_000_000), np.uint8)
        block[:] = 1
        time.sleep(0.05)
        return int(block[0])

    result, cost = measure(work, runs=3)
    assert result == 1
    assert cost.runs == 3
    assert cost.wall >= 0.05
    assert cost.cpu < cost.wall
    assert cost.peak >= cost.added > 20


def test_meter_prepares_before_every_run():
    order: list[str] = []
    measure(lambda: order.append("run"), 2, lambda: order.append("prepare"))
    assert order == ["prepare", "run", "prepare", "run"]


@pytest.mark.parametrize("change", list(changes()), ids=lambda c: f"{c.curve} {c.level}")
def test_changes_keep_image_and_truth_together(change, stack: Stack):
    changed = change.apply(stack)
    assert changed.image.shape == changed.truth.shape
    assert set(np.unique(changed.truth)) <= set(np.unique(stack.truth))
    inside = changed.truth > 0
    if "noise" not in change.curve and "dimmed" not in change.curve:
        # bright where a cell is: nearest labels and a smooth image differ at the rim only
        assert ((changed.image > 120) == inside)[~_outside(changed)].mean() > 0.97
    physical = np.prod(changed.spacing) * inside.sum()
    if change.curve not in ("origin shifted", "cropped"):
        assert physical == pytest.approx(np.prod(stack.spacing) * (stack.truth > 0).sum(), rel=0.3)


def _outside(stack: Stack) -> np.ndarray:
    return np.zeros(stack.truth.shape, bool) if stack.outside is None else stack.outside


def test_a_turn_knows_its_corners(stack: Stack):
    changed = turned(stack, 45)
    assert changed.outside is not None
    assert changed.outside[:, 0, 0].all()
    assert not changed.outside[:, changed.truth.shape[1] // 2, changed.truth.shape[2] // 2].any()
    assert not changed.truth[changed.outside].any()


def test_thinning_keeps_the_extent(stack: Stack):
    changed = thinned(stack, 3)
    assert changed.spacing == (6.0, 1.0, 1.0)
    assert len(changed.image) == 8


def test_cells_that_a_change_cut_do_not_count(stack: Stack):
    changed = shifted(stack, 14)
    gone = mostly_gone(stack, changed)
    left = np.bincount(changed.truth.ravel(), minlength=len(gone))
    before = np.bincount(stack.truth.ravel())
    assert not gone[0]
    np.testing.assert_array_equal(gone[1:], left[1:] < before[1:] / 3)
    assert gone.any()
    there = gone[changed.truth]
    assert set(np.unique(without(changed.truth, there))) == {0, *np.flatnonzero(~gone[1:]) + 1}


def test_score_of_the_truth_is_perfect(stack: Stack):
    result = score(stack.truth, stack.truth)
    assert result["AP@0.5"] == 1.0
    assert result["interval"] == [1.0, 1.0]
    assert (result["fp"], result["fn"]) == (0, 0)
    missing = score(np.where(stack.truth == 1, 0, stack.truth), stack.truth)
    assert missing["fn"] == 1
    assert missing["interval"][0] < missing["AP@0.5"] < 1
    point = {"curve": "none", "level": "", **missing, "same": 1.0}
    assert "fn" in show([point])


def test_diameter_is_that_of_the_balls():
    _, truth = blob_volume((40, 60, 60), radius=8.0)
    assert diameter_of(truth, (1.0, 1.0, 1.0)) == pytest.approx(16, rel=0.05)


def test_dynamics_on_a_small_field():
    report = run_field((24, 64, 64), 3, 0.4, peers="none")
    assert report.shape == (8, 64, 64)
    assert report.cells > 20
    assert report.ours.ap["0.5"] > 0.8
    assert report.ours.whole.cpu > 0
    assert report.best("cellpose") is None
    assert report.ratio("cellpose") is None
    assert "integrate + label" in show_dynamics([report])
    json.dumps(report.as_json())


def test_a_peer_is_compared_in_its_most_accurate_setting():
    cost = Cost(1.0, 1.0, 100.0, 10.0, 1)
    rows = [
        Contestant("cellpose", SHIPPED, {}, replace(cost, cpu=8.0), {"0.5": 0.6, "0.75": 0.2}),
        Contestant("cellpose", "1 voxel", {}, replace(cost, cpu=9.0), {"0.5": 0.9, "0.75": 0.8}),
    ]
    own = Contestant("napari-cellseg", "", {"label": cost}, cost, {"0.5": 1.0, "0.75": 1.0})
    report = FieldReport((8, 8, 8), 1, 0.0, 1, 10, own, rows, ["u-Segment3D"])
    assert report.ratio("cellpose") == 9
    text = show_dynamics([report])
    assert "not installed" in text
    assert "9×" in text


@pytest.mark.parametrize("anisotropy", [1, 3])
@pytest.mark.parametrize("name", list(PEERS))
def test_the_best_settings_of_peers_are_settings(name: str, anisotropy: int):
    choice = settings(name, anisotropy)
    assert SHIPPED in choice
    assert {one for kind, one in BEST[name].items() if kind[0] == anisotropy} <= set(choice)


def test_every_run_has_a_process_of_its_own():
    arrays = {"a": np.ones((3, 40, 80, 80))}
    trial = run_isolated("tests.benchmark_work:fill", arrays, runs=2, mebibytes=30)
    assert trial is not None
    assert trial.outputs["pid"] != os.getpid()
    assert trial.outputs["shape"].tolist() == [3, 40, 80, 80]
    assert trial.whole.runs == 2
    assert 25 < trial.steps["fill"].added < 45
    assert trial.whole == trial.steps["fill"]
    assert trial.steps["more"].added > 55


def test_a_missing_package_is_told():
    assert run_isolated("tests.benchmark_work:needs_what_is_not_there", {"a": np.ones(3)}) is None
    with pytest.raises(RuntimeError, match="out of luck"):
        run_isolated("tests.benchmark_work:breaks", {"a": np.ones(3)})


def test_every_error_is_listed_once():
    truth = np.zeros((4, 12, 60), np.int32)
    for number in range(1, 6):
        truth[:, 2:10, 10 * number - 8 : 10 * number - 2] = number
    found = np.where(truth == 5, 5, 0)
    found[:, 2:6, 2:8], found[:, 6:10, 2:8] = 1, 2  # 1 is split
    found[:, 2:10, 12:28] = 3  # 2 and 3 are merged
    found[0, 0, 0:3] = 9  # nothing is there, nor is 4 found
    kinds = [(one.kind, one.id) for one in mistakes(found, truth)]
    assert kinds == [
        ("split", 1),
        ("merged", 2),
        ("merged", 3),
        ("missed", 4),
        ("extra", 1),
        ("extra", 2),
        ("extra", 3),
        ("extra", 9),
    ]
    assert mistakes(truth, truth) == []
    missed = mistakes(found, truth)[3]
    assert missed.centroid == (2, 6, 34)
    assert "missed 4" in str(missed)


def test_what_a_store_loses_is_little():
    found = field_store.run_field_store((16, 40, 40))
    assert found["float16"]["flow error"] < 0.001
    assert found["int8"]["flow error"] < 0.005
    assert found["int8"]["logit error"] <= 1 / 32 + 1e-6
    assert found["int8"]["AP against memory"] == [1.0, 1.0]
    assert "int8" in field_store.describe(found)


def test_measuring_needs_no_window():
    windowed = {"gui_stall", "prompt_stall", "label_edits"}
    folder = Path(field_store.__file__).parent
    names = sorted(f"benchmarks.{file.stem}" for file in folder.glob("*.py"))
    names = [name for name in names if name.rpartition(".")[2] not in {*windowed, "__init__"}]
    code = (
        f"import importlib, sys\nfor name in {names}: importlib.import_module(name)\n"
        "assert not {'napari', 'qtpy', 'PyQt6'} & {name.split('.')[0] for name in sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], cwd=folder.parent, check=True)


def test_parts_run_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    monkeypatch.setitem(PARTS, "store", lambda options: asked.append("store"))
    main(["--only", "store", "--json", str(tmp_path / "a.json")])
    assert asked == ["store"]
    assert set(json.loads((tmp_path / "a.json").read_text())) == {"machine", "store"}


def test_pipeline_on_a_small_file(tmp_path: Path):
    import tifffile

    image, truth = blob_volume((24, 64, 64))
    tifffile.imwrite(tmp_path / "a.tif", image)
    report = run_pipeline("blobs", tmp_path / "a.tif", truth, BlobNetwork(), diameter=14, runs=2)
    assert report.ap == 1.0
    assert report.found == report.true == truth.max()
    assert report.stages["predict"] > 0
    assert sum(report.stages.values()) <= report.whole.wall * 1.5
    assert "predict" in show_pipeline(report)
    write_json(tmp_path / "out" / "a.json", report.as_json())
    assert json.loads((tmp_path / "out" / "a.json").read_text())["found"] == report.found


def test_photograph_shows_the_cells():
    truth = tissue((16, 48, 48))
    image = photograph(truth)
    assert image.dtype == np.uint16
    assert image[truth > 0].mean() > 1.5 * image[truth == 0].mean()


def test_table_lines_up():
    lines = table(("step", "s"), [["long name", "1"], ["b", "10.5"]]).splitlines()
    assert [len(line) for line in lines] == [15, 15, 15, 15]


def test_the_prompt_loop_is_timed_beside_segment_anything():
    from benchmarks import prompt_loop

    found = prompt_loop.run_loop(runs=1)
    for side in ("1024", "2048"):
        row = found[side]
        assert row["equal"] > 0.999
        assert row["ours"] > 0
        assert 0 < row["disk_mib"] <= 2
    assert found["while encoding"]["clicks"] > 0
    assert "three candidates" in prompt_loop.describe(found)


def test_large_planes_are_timed():
    from benchmarks import prompt_tiles

    assert prompt_tiles.run_tiles(1)["exact"] == 1
