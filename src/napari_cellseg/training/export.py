"""Turn a training run into the weights that the package ships."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_cellseg.networks.builtin import (
    Familiar,
    describe_familiar,
    fold_batch_norm,
    pooled_features,
    save_checkpoint,
)
from napari_cellseg.networks.flow_unet import FlowUNet
from napari_cellseg.training.augment import CropSampler
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


def familiar_features(model: FlowUNet, samples: Sequence[Sample], crops: int = 1500) -> Familiar:
    """Summarise how crops of the training images look to the network."""
    sampler = CropSampler(samples, crop=192, seed=1)
    folded = fold_batch_norm(model)
    pooled: list[Tensor] = []
    for _ in range(crops // 16):
        pooled.append(pooled_features(folded, sampler.batch(16)[0][:, 0]))
    return describe_familiar(torch.cat(pooled))


def export(run: Path, samples: Sequence[Sample], file: Path, card: dict[str, Any]) -> None:
    """Write ``file`` (fp16 safetensors) and, beside it, a JSON card with its SHA-256.

    Parameters
    ----------
    run : Path
        Run folder of `train`.
    samples : sequence of Sample
        The training samples.
    file : Path
        Name to write; the card has the same name with the suffix ``.json``.
    card : dict
        Further facts: data, recipe, scores.
    """
    model = load_run(run)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(
        model,
        file,
        diameter=DIAMETER,
        percentiles=PERCENTILES,
        familiar=familiar_features(model, samples),
    )
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    text = json.dumps({**card, "sha256": digest}, indent=2, sort_keys=True)
    file.with_suffix(".json").write_text(text + "\n", "utf-8")
