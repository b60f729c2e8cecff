"""The GPU's benchmark runs where nearly nothing is installed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.gpu_field import average_precision, packed_cells
from benchmarks.synthetic import recovered

ROOT = Path(__file__).parents[1]
CHECKED = ("words", "terminals", "voxels")
#: What a bare machine lacks: see the benchmark's docstring for what it needs.
ABSENT = """
import runpy, sys
absent = {"qtpy", "PyQt6", "napari", "cellpose", "segment_anything", "zarr", "dask", "distributed",
          "yaozarrs", "pooch", "psygnal", "cyclopts", "imagecodecs", "roifile", "platformdirs",
          "segmentation_models_pytorch"}
class Bare:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Bare())
sys.argv = ["gpu", *sys.argv[1:]]
runpy.run_module("benchmarks.gpu", run_name="__main__")
"""


def test_it_runs_on_a_bare_machine(tmp_path: Path):
    out = tmp_path / "gpu.json"
    arguments = ["--device", "cpu", "--size", "40", "--runs", "1", "--json", str(out)]
    done = subprocess.run(
        [sys.executable, "-c", ABSENT, *arguments],
        cwd=ROOT, env={"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "PATH": ""},
        capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert not any(found["check"][f"{what} that differ"] for what in CHECKED)
    assert found["field"]["AP@0.5"] > 0.6  # so small that the border cuts most cells
    assert found["field"]["found"] > 20
    stages = found["field"]["stages"]
    assert all(stages[name] > 0 for name in stages)
    assert found["networks"]["builtin"]["network and fusion"] > 0
    assert found["networks"]["mediar"].startswith("not measured")
    assert "voxels that differ from numba's: 0" in done.stdout
    assert "borders" in done.stdout


@pytest.mark.parametrize("side", [20, 33])
def test_the_field_is_that_of_its_cells(side: int):
    scene = packed_cells(side, torch.device("cpu"), noise=0.0, seed=3)
    truth, flow = scene.truth.numpy(), scene.flow.float().numpy()
    length = np.sqrt((flow**2).sum(0))
    np.testing.assert_allclose(length[truth > 0], 1, atol=0.01)  # no voxel is exactly a centre
    assert not flow[:, truth == 0].any()
    # a step to the centre stays in the cell, but for what the lattice rounds
    place = np.stack(np.nonzero(truth))
    ahead = np.clip(np.rint(place + flow[:, truth > 0]).astype(int), 0, side - 1)
    assert (truth[tuple(ahead)] == truth[truth > 0]).mean() > 0.97
    assert scene.image[scene.truth > 0].float().mean() > 0.3


def test_average_precision_is_that_of_the_other_benchmarks():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 6, (8, 8, 8)).astype(np.int32)
    found = np.where(rng.random(truth.shape) < 0.8, truth, rng.integers(0, 9, truth.shape))
    for iou in (0.5, 0.7):
        mine = average_precision(torch.from_numpy(truth), torch.from_numpy(found), iou)
        assert mine == pytest.approx(recovered(truth, found, iou)[1])
