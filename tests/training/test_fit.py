from pathlib import Path

import numpy as np
import pytest
import torch

from napari_cellseg.networks.builtin import BuiltinNetwork
from napari_cellseg.training.export import export, load_run, write_card
from napari_cellseg.training.fit import flow_loss, train
from napari_cellseg.training.samples import Sample, prepare


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    labels = np.zeros((96, 96), np.int32)
    y, x = np.ogrid[:96, :96]
    for index, (r, c) in enumerate(((r, c) for r in (20, 50, 80) for c in (20, 50, 80)), 1):
        labels[(y - r) ** 2 + (x - c) ** 2 < 10**2] = index
    image = 5 + 90.0 * (labels > 0)
    return [prepare("discs", "fluo", 1, image, labels)]


def test_a_perfect_answer_costs_nothing() -> None:
    cell = torch.zeros(1, 8, 8)
    cell[:, 2:6] = 1
    flow = torch.stack([cell, 0 * cell], 1)
    output = torch.cat([flow, (cell * 40 - 20)[:, None]], 1)
    loss, parts = flow_loss(output, flow, cell, torch.ones_like(cell))
    assert float(loss) < 1e-6
    worse, _ = flow_loss(-output, flow, cell, torch.ones_like(cell))
    assert float(worse) > 1
    assert set(parts) == {"flow", "cell"}


def test_a_run_learns_stops_goes_on_and_is_exported(samples: list[Sample], tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = train(samples, run, iterations=12, batch=2, crop=64, workers=0, stop_after=0.0)
    assert done == 1
    first = torch.load(run / "state.pt", weights_only=True)["done"]
    assert first == 1
    assert train(samples, run, iterations=12, batch=2, crop=64, workers=0) == 12
    assert torch.load(run / "state.pt", weights_only=True)["done"] == 12

    file = tmp_path / "weights" / "own.safetensors"
    export(run, samples, file, views=32)
    write_card(file, {"data": "discs"})
    network = BuiltinNetwork(file, "cpu")
    planes = torch.rand(1, 64, 64)
    with torch.no_grad():
        exact = load_run(run)(planes[:, None])
    torch.testing.assert_close(network.predict(planes), exact, atol=0.1, rtol=0.1)
    assert '"sha256"' in file.with_suffix(".json").read_text()
