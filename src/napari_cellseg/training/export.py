"""Turn a training run into the weights that the package ships."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_cellseg.flows.resample import resize_planes
from napari_cellseg.networks.builtin import (
    Familiar,
    describe_familiar,
    pooled_features,
    save_checkpoint,
)
from napari_cellseg.networks.flow_unet import FlowUNet, fold_batch_norm
from napari_cellseg.training.samples import Sample

PERCENTILES = (1.0, 99.8)
DIAMETER = 20.0


def load_run(folder: Path) -> FlowUNet:
    """Load the averaged weights of a run.

    Parameters
    ----------
    folder : Path
        Run folder of `train`.
    """
    model = FlowUNet()
    state = torch.load(folder / "averaged.pt", map_location="cpu", weights_only=True)
    model.load_state_dict(state)
    return model.eval()


def familiar_features(model: FlowUNet, samples: Sequence[Sample], views: int = 1200) -> Familiar:
    """Summarise how the training images look to the network: unchanged, every kind alike often.

    Parameters
    ----------
    model : FlowUNet
    samples : sequence of Sample
    views : int
        How many to look at.
    """
    rng = np.random.default_rng(0)
    folded = fold_batch_norm(model)
    count = Counter(sample.kind for sample in samples)
    weight = np.array([1 / count[sample.kind] for sample in samples])
    pooled: list[Tensor] = []
    for index in rng.choice(len(samples), views, p=weight / weight.sum()):
        level = samples[index].levels[0]
        zoom = DIAMETER / level.diameter * float(np.exp(rng.normal(0, 0.15)))
        plane = level.planes[None, :1]
        shape = (round(plane.shape[-2] * zoom), round(plane.shape[-1] * zoom))
        seen = resize_planes(plane, (max(16, shape[0]), max(16, shape[1])))[:, 0]
        rows, cols = (min(n // model.stride * model.stride, 256) for n in seen.shape[1:])
        top = int(rng.integers(0, seen.shape[1] - rows + 1))
        left = int(rng.integers(0, seen.shape[2] - cols + 1))
        pooled.append(pooled_features(folded, seen[:, top : top + rows, left : left + cols]))
    return describe_familiar(torch.cat(pooled))


def export(run: Path, samples: Sequence[Sample], file: Path, views: int = 1200) -> None:
    """Write the averaged weights of a run as a checkpoint (fp16 safetensors).

    Parameters
    ----------
    run : Path
        Run folder of `train`.
    samples : sequence of Sample
        The training samples.
    file : Path
        Name to write.
    views : int
        See `familiar_features`.
    """
    model = load_run(run)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(
        model,
        file,
        diameter=DIAMETER,
        percentiles=PERCENTILES,
        familiar=familiar_features(model, samples, views),
    )
    file.chmod(0o644)  # safetensors writes for the owner only; packages are for everybody


def write_card(file: Path, facts: dict[str, Any]) -> None:
    """Write what is known of a checkpoint, and its SHA-256, beside it as JSON.

    Parameters
    ----------
    file : Path
        The checkpoint; the card has the same name with the suffix ``.json``.
    facts : dict
        Data, recipe, scores.
    """
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    text = json.dumps({**facts, "sha256": digest}, indent=2, sort_keys=True)
    file.with_suffix(".json").write_text(text + "\n", "utf-8")
