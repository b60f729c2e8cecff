"""Fit the built-in network: loss, averaged weights, schedule, resumable run."""

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from napari_cellseg.networks.flow_unet import FlowUNet
from napari_cellseg.training.augment import CropBatches, CropSampler
from napari_cellseg.training.samples import Sample


def flow_loss(
    output: Tensor, flow: Tensor, cell: Tensor, weight: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """Squared error of the flow plus weighted cross-entropy of the cell probability.

    Parameters
    ----------
    output : Tensor, (n, 3, rows, cols)
        Flow along rows, flow along cols, logit.
    flow : Tensor, (n, 2, rows, cols)
    cell, weight : Tensor, (n, rows, cols)

    Returns
    -------
    loss : Tensor
        Scalar.
    parts : dict
        The two terms as numbers.
    """
    direction = (output[:, :2] - flow).square().sum(1)
    where = 0.3 + 0.7 * cell
    flows = (direction * where * weight).mean()
    cells = F.binary_cross_entropy_with_logits(output[:, 2], cell, weight=weight)
    return 4 * flows + cells, {"flow": float(flows.detach()), "cell": float(cells.detach())}


def train(
    samples: Sequence[Sample],
    folder: Path,
    *,
    iterations: int,
    batch: int = 16,
    crop: int = 128,
    diameter: float = 20.0,
    rate: float = 2e-3,
    strength: float = 1.0,
    start: Path | None = None,
    seed: int = 0,
    device: str = "cpu",
    stop_after: float | None = None,
    workers: int = 1,
) -> int:
    """Train from scratch or from another stage, or go on with the run in ``folder``.

    Parameters
    ----------
    samples : sequence of Sample
    folder : Path
        Run folder: ``state.pt`` (to go on from), ``averaged.pt`` (weights to evaluate),
        ``log.jsonl``.
    iterations : int
        Length of the cosine schedule.
    batch, crop : int
        Crops per step, side of a crop in pixels.
    diameter : float
        Mean diameter of the cells in a crop, in pixels.
    rate : float
        Peak learning rate (AdamW).
    strength : float
        How often crops are changed; see `CropSampler`.
    start : Path, optional
        Run folder of a stage whose averaged weights to start from.
    seed : int
    device : str
    stop_after : float, optional
        Seconds after which to stop and keep the state.
    workers : int
        Processes that draw crops.

    Returns
    -------
    int
        Steps done since the run began; fewer than ``iterations`` if it was stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    model = FlowUNet()
    if start is not None:
        model.load_state_dict(torch.load(start / "averaged.pt", weights_only=True))
    model = model.to(device).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.02)
    averaged = FlowUNet().to(device)
    averaged.load_state_dict(model.state_dict())
    done = 0
    state_file = folder / "state.pt"
    if state_file.exists():
        state = torch.load(state_file, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        averaged.load_state_dict(state["averaged"])
        optimiser.load_state_dict(state["optimiser"])
        done = int(state["done"])
    sampler = CropSampler(
        samples, crop=crop, diameter=diameter, strength=strength, seed=seed + done
    )
    batches = iter(
        DataLoader(CropBatches(sampler, batch), batch_size=None, num_workers=workers)
    )
    warmup = min(300, iterations // 10 + 1)
    started = time.monotonic()
    running = {"flow": 0.0, "cell": 0.0}
    model.train()
    with (folder / "log.jsonl").open("a") as log:
        first = done
        for step in range(first, iterations):
            progress = (step - warmup) / max(1, iterations - warmup)
            factor = step / warmup if step < warmup else 0.5 * (1 + math.cos(math.pi * progress))
            for group in optimiser.param_groups:
                group["lr"] = rate * max(factor, 0.002)
            planes, flow, cell, weight = (t.to(device) for t in next(batches))
            planes = planes.to(memory_format=torch.channels_last)
            with torch.autocast(torch.device(device).type, torch.bfloat16):
                output = model(planes)
            loss, parts = flow_loss(output.float(), flow, cell, weight)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 2.0)
            optimiser.step()
            _average(averaged, model, min(0.999, (1 + step) / (10 + step)))
            for key, value in parts.items():
                running[key] = 0.99 * running[key] + 0.01 * value
            last = step + 1 == iterations
            expired = stop_after is not None and time.monotonic() - started > stop_after
            if (step + 1) % 100 == 0 or last or expired:
                row = {"step": step + 1, "seconds": round(time.monotonic() - started), **running}
                log.write(json.dumps(row) + "\n")
                log.flush()
            if (step + 1) % 1000 == 0 or last or expired:
                _keep(folder, model, averaged, optimiser, step + 1)
            done = step + 1
            if expired:
                break
    return done


@torch.no_grad()
def _average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    for mean, new in zip(averaged.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(new, 1 - decay)
        else:
            mean.copy_(new)


def _keep(
    folder: Path,
    model: nn.Module,
    averaged: nn.Module,
    optimiser: torch.optim.Optimizer,
    done: int,
) -> None:
    state = {
        "model": model.state_dict(),
        "averaged": averaged.state_dict(),
        "optimiser": optimiser.state_dict(),
        "done": done,
    }
    for name, value in (("state.pt", state), ("averaged.pt", averaged.state_dict())):
        partial = folder / f"{name}.partial"
        torch.save(value, partial)
        partial.replace(folder / name)
