"""MEDIAR: flows of cells of many kinds, from the authors' own weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_cellseg.errors import InputError, ModelError
from napari_cellseg.networks.device import resolve_device
from napari_cellseg.networks.mediar_former import MediarFormer
from napari_cellseg.networks.model_file import fit, read_state
from napari_cellseg.networks.precision import choose_precision, run_in
from napari_cellseg.networks.protocol import Intensities, Tiling

#: How much longer the network's flow is than ours.
FLOW_SCALE = 5.0
_LEVELS = 255
_BATCH_PIXELS = {"cpu": 2**18, "cuda": 2**21, "mps": 2**19}


class MediarNetwork:
    """`MediarFormer` with one or two files of weights.

    Parameters
    ----------
    checkpoint : sequence of Path
        One file, or those of the authors' phases 1 and 2, whose outputs are averaged.
    device : str
        See `resolve_device`.
    flips : bool
        Average the output with those of the planes flipped sideways and upside down: three times
        the work. Each window is flipped, where upstream flips the image and then cuts windows.
    precision : str, optional
        ``"float32"``, ``"bfloat16"`` or ``"float16"``; by default float32 on a CPU and float16 on
        a GPU. The position attention is float32 always.

    Raises
    ------
    InputError
        If there are other than one or two files, or the precision is unknown.
    ModelError
        If a file does not fit, or segmentation-models-pytorch is missing.

    Notes
    -----
    Lee et al., MEDIAR: Harmony of Data-Centric and Model-Centric for Multi-Modality Microscopy,
    2022. Windows of 512 pixels that overlap by 0.6, weighted by a Gaussian, as its authors use
    them. Planes smaller than a window are not filled up to one with black, as upstream does, but
    mirrored to the next multiple of 32: xz and yz planes of stacks are thin, and would be black
    mostly.
    """

    name = "mediar"
    title = "cells of many kinds (MEDIAR)"
    licence = (
        "Weights: no licence stated. Code: MIT; the MiT encoder inside is under NVIDIA's Source "
        "Code License: non-commercial use only"
    )
    channels = 3
    diameter = 30.0
    #: The authors trained on cells of all sizes, zoomed at random by 0.25 to 1.5.
    diameters = (10.0, 120.0)
    intensities = Intensities((0.0, 99.5), nonzero=True, together=True)
    percentiles = intensities.percentiles
    tiling = Tiling(size=512, overlap=308, weights="gaussian", margin=0, strict=True)
    tile = tiling.size
    stride = MediarFormer.stride

    def __init__(
        self,
        checkpoint: Sequence[Path],
        device: str = "auto",
        flips: bool = False,
        precision: str | None = None,
    ) -> None:
        files = list(checkpoint)
        if not files:
            raise ModelError(
                "MEDIAR's weights cannot be downloaded by napari-cellseg: get a file from the "
                "authors' page https://github.com/Lee-Gihun/MEDIAR and pass it as checkpoint."
            )
        if len(files) > 2:
            raise InputError(
                f"MEDIAR was given {len(files)} model files: pass one, or those of phases 1 and 2."
            )
        self.flips = flips
        self._device = resolve_device(device)
        self._precision = precision
        self._dtype = choose_precision(precision, self._device, torch.float16)
        self._models = nn.ModuleList(
            fit(MediarFormer, read_state(file), "MEDIAR", file, self._device) for file in files
        )

    @property
    def device(self) -> torch.device:
        """Where planes must lie."""
        return self._device

    @property
    def module(self) -> nn.Module:
        """The first file's network; its flow is 5 times as long as that of `predict`."""
        return self._models[0]

    @property
    def batch_pixels(self) -> int:
        """Pixels per batch: the activations of one window take about 1 GB in float32."""
        return _BATCH_PIXELS.get(self._device.type, 2**18)

    def to(self, device: str) -> MediarNetwork:
        """Return a copy of the network on another device."""
        moved = copy.copy(self)
        moved._device = resolve_device(device)
        moved._dtype = choose_precision(self._precision, moved._device, torch.float16)
        moved._models = copy.deepcopy(self._models).to(moved._device)
        return moved

    @torch.inference_mode()
    def predict(self, planes: Tensor) -> Tensor:
        """Predict planes; see `FlowNetwork.predict`.

        A grey plane is shown as red, green and blue; of two channels, blue is black. Sides that
        are no multiple of ``stride`` are filled up with black.
        """
        planes = planes.float()
        colour = _three_channels(eight_bit(planes if planes.ndim == 4 else planes[:, None]))
        rows, cols = colour.shape[-2:]
        colour = F.pad(colour, (0, -cols % self.stride, 0, -rows % self.stride))
        out = self._mean(colour)
        if self.flips:
            across, down = self._mean(colour.flip(3)).flip(3), self._mean(colour.flip(2)).flip(2)
            across[:, 1].neg_()
            down[:, 0].neg_()
            out = (out + across + down) / 3
        out[:, :2] /= FLOW_SCALE
        return out[..., :rows, :cols]

    def _mean(self, colour: Tensor) -> Tensor:
        outs = [run_in(self._dtype, model, colour) for model in self._models]
        return outs[0] if len(outs) == 1 else torch.stack(outs).mean(0)

    def strangeness(self, planes: Tensor) -> float | None:
        """The network cannot tell."""
        return None


def eight_bit(planes: Tensor) -> Tensor:
    """Cut normalised planes down to 256 levels between 0 and 1, as MEDIAR was trained.

    Parameters
    ----------
    planes : Tensor of float32
        What is outside of 0 to 1 is clipped.

    Returns
    -------
    Tensor of float32
        Multiples of 1/255.
    """
    return (planes.clamp(0, 1) * _LEVELS).floor() / _LEVELS


def _three_channels(planes: Tensor) -> Tensor:
    count = planes.shape[1]
    if count == 1:
        return planes.expand(-1, 3, -1, -1)
    if count > 3:
        raise InputError(f"MEDIAR takes 3 channels at most, but got {count}: choose among them.")
    return F.pad(planes, (0, 0, 0, 0, 0, 3 - count))
