"""What half precision costs: masks from embeddings as the cache keeps them, beside the model's."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from napari_cellseg.prompts import Prompt


def agreements(predictor: Any, plane: np.ndarray, number: int = 24) -> np.ndarray:
    """Intersection over union of masks from full and from half precision, one for each prompt."""
    full = predictor.encode(plane)
    half = full.to(dtype=torch.float16).to(dtype=torch.float32)
    rng = np.random.default_rng(4)
    found = []
    for turn in range(number):
        row, col = rng.uniform((0, 0), np.array(plane.shape[:2]) - 40)
        if turn % 2:
            prompt = Prompt(box=(row, col, row + 39, col + 39))
        else:
            prompt = Prompt(points=[(row, col)])
        one, other = (predictor.decode(x, prompt).masks for x in (full, half))
        inside = (one | other).sum(axis=(1, 2))
        shared = (one & other).sum(axis=(1, 2))
        found += list(shared[inside > 0] / inside[inside > 0])
    return np.array(found)


def test_half_precision_keeps_the_masks(parity: Callable[..., Any]) -> None:
    fixture = parity("mobile-sam", "mobile_sam_vit_t", "mobile_sam_vit_t")
    found = agreements(fixture.predictor, fixture.inputs["image"])
    assert len(found) > 24
    # weights that were never trained give logits near zero everywhere, the worst case
    assert np.median(found) > 0.999
    assert found.min() > 0.98
