"""MedSAM: SAM's vit_b trained on medical images and boxes (Ma et al., Nat Commun 15, 2024)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cellseg.prompts.framing import SIDE, Frame
from napari_cellseg.prompts.predictor import Capabilities
from napari_cellseg.prompts.sam import SamPredictor, channels_first


class MedSamPredictor(SamPredictor):
    """MedSAM: the plane is stretched and scaled to 0–1, masks are blended as probabilities."""

    capabilities = Capabilities(points=False, mask=False, multimask=False)
    blends = "probability"

    def square(self, pixels: NDArray[np.uint8], frame: Frame) -> Tensor:
        """Fit a picture as MedSAM was trained.

        Cubic interpolation with antialiasing to 1024², truncated to 8 bit, then its own range to
        0–1; SAM's mean and spread are not used.
        """
        from skimage.transform import resize

        small = resize(  # type: ignore[no-untyped-call]
            pixels, (SIDE, SIDE), order=3, preserve_range=True, anti_aliasing=True
        ).astype(np.uint8)
        values = channels_first(small)
        low, high = values.aminmax()
        return torch.clamp((values - low) / (high - low).clamp(min=1e-8), 0, 1)
