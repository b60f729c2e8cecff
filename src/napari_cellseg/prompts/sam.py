"""SAM (Kirillov et al., ICCV 2023) and, with its own encoder, MobileSAM (arXiv:2306.14289)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_cellseg.prompts.framing import SIDE, Frame
from napari_cellseg.prompts.sam_family import SamFamily
from napari_cellseg.prompts.sam_parts import check_cancel, normalised, run_vit


def padded_square(pixels: NDArray[np.uint8], frame: Frame) -> Tensor:
    """Fit a picture as SAM was trained: longest side 1024, normalised, *then* padded with zeros.

    Parameters
    ----------
    pixels : array of uint8, (rows, cols, 3)
    frame : Frame

    Returns
    -------
    Tensor of float32, (3, 1024, 1024)
    """
    from PIL import Image

    rows, cols = frame.resized
    small = Image.fromarray(pixels).resize((cols, rows), Image.Resampling.BILINEAR)
    square = normalised(channels_first(np.asarray(small)))
    return F.pad(square, (0, SIDE - cols, 0, SIDE - rows))


def channels_first(pixels: NDArray[np.uint8]) -> Tensor:
    """(rows, cols, 3) of uint8 → (3, rows, cols) of float32."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32))


class SamPredictor(SamFamily):
    """SAM with a vision transformer of any of its sizes."""

    def square(self, pixels: NDArray[np.uint8], frame: Frame) -> Tensor:
        """Fit a picture; see `padded_square`."""
        return padded_square(pixels, frame)

    def features(self, square: Tensor, cancel: threading.Event | None) -> Mapping[str, Tensor]:
        """Encode the model's input."""
        return {"image": run_vit(self.parts.image_encoder, square[None], cancel)}


class MobileSamPredictor(SamPredictor):
    """SAM with TinyViT as its encoder."""

    def features(self, square: Tensor, cancel: threading.Event | None) -> Mapping[str, Tensor]:
        """Encode the model's input."""
        image = self.parts.image_encoder(square[None], partial(check_cancel, cancel))
        return {"image": image[0]}
