"""Cellpose-SAM: the network of the package cellpose, without the package's pipeline."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_cellseg.errors import InputError, ModelError
from napari_cellseg.networks.cellpose_file import NAMES, kept_file, kept_folder
from napari_cellseg.networks.device import resolve_device
from napari_cellseg.networks.lone_module import load_alone
from napari_cellseg.networks.model_file import fit, read_state
from napari_cellseg.networks.precision import choose_precision, run_in
from napari_cellseg.networks.protocol import Intensities, Tiling

if TYPE_CHECKING:
    from napari_cellseg.networks.model_file import State

#: How much longer the network's flow is than ours.
FLOW_SCALE = 5.0
_SIDE = 256
_BATCH_PIXELS = {"cpu": 2**17, "cuda": 2**21, "mps": 2**19}
_ADVICE = (
    'Cellpose-SAM needs the package "cellpose", version 4: pip install "napari-cellseg[cellpose]".'
)


class CellposeSamNetwork:
    """The network of Cellpose-SAM.

    Parameters
    ----------
    checkpoint : Path, optional
        A file of the package cellpose, or one trained with it; by default the one that the package
        keeps, if it is there.
    device : str
        See `resolve_device`.
    precision : str, optional
        ``"float32"``, ``"bfloat16"`` or ``"float16"``; by default bfloat16, as the package uses
        it, on CUDA, and float32 elsewhere.

    Raises
    ------
    InputError
        If the precision is unknown.
    ModelError
        If there is no file, it does not fit, or the package is missing.

    Notes
    -----
    Pachitariu et al., Cellpose-SAM: superhuman generalization for cellular segmentation, 2025;
    https://github.com/MouseLand/cellpose. It sees 256² pixels, no less and no more: smaller planes
    are surrounded by black, as the package does.
    """

    name = "cellpose-sam"
    title = "cells of nearly any kind (Cellpose-SAM)"
    licence = (
        "BSD-3-Clause (code and weights); trained in part on CC-BY-NC data: check that your use "
        "is non-commercial"
    )
    channels = 3
    diameter = 30.0
    #: The sizes of cells in its training images, as its authors state them.
    diameters = (7.5, 120.0)
    intensities = Intensities((1.0, 99.0), together=False)
    percentiles = intensities.percentiles
    tiling = Tiling(size=_SIDE, overlap=48, margin=0, strict=True)
    tile = tiling.size
    stride = 8

    def __init__(
        self, checkpoint: Path | None = None, device: str = "auto", precision: str | None = None
    ) -> None:
        file = _kept() if checkpoint is None else checkpoint
        self._device = resolve_device(device)
        self._precision = precision
        self._dtype = choose_precision(precision, self._device, torch.bfloat16)
        build = cellpose_network()
        self._model: nn.Module = fit(build, _state(file), "Cellpose-SAM", file, self._device)

    @property
    def device(self) -> torch.device:
        """Where planes must lie."""
        return self._device

    @property
    def module(self) -> nn.Module:
        """The package's network; its flow is 5 times as long as that of `predict`."""
        return self._model

    @property
    def batch_pixels(self) -> int:
        """Pixels per batch."""
        return _BATCH_PIXELS.get(self._device.type, 2**17)

    def to(self, device: str) -> CellposeSamNetwork:
        """Return a copy of the network on another device."""
        moved = copy.copy(self)
        moved._device = resolve_device(device)
        moved._dtype = choose_precision(self._precision, moved._device, torch.bfloat16)
        moved._model = copy.deepcopy(self._model).to(moved._device)
        return moved

    @torch.inference_mode()
    def predict(self, planes: Tensor) -> Tensor:
        """Predict planes of at most 256² pixels; see `FlowNetwork.predict`.

        Channels that are missing are black.

        Raises
        ------
        InputError
            If a plane is larger, or has more than three channels.
        """
        colour = (planes if planes.ndim == 4 else planes[:, None]).float()
        count, rows, cols = (int(n) for n in colour.shape[1:])
        if count > 3 or max(rows, cols) > _SIDE:
            raise InputError(
                f"Cellpose-SAM takes 3 channels of {_SIDE} × {_SIDE} pixels at most, but got "
                f"{count} of {rows} × {cols}: cut the plane into tiles."
            )
        above, left = (_SIDE - rows) // 2, (_SIDE - cols) // 2
        below, right = _SIDE - rows - above, _SIDE - cols - left
        out = run_in(
            self._dtype,
            _First(self._model),
            F.pad(colour, (left, right, above, below, 0, 3 - count)),
        )[..., above : above + rows, left : left + cols].contiguous()
        out[:, :2] /= FLOW_SCALE
        return out

    def strangeness(self, planes: Tensor) -> float | None:
        """The network cannot tell."""
        return None


class _First(nn.Module):
    """The network's output without the style, which is none."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, colour: Tensor) -> Tensor:
        out: Tensor = self.model(colour)[0]
        return out


def cellpose_network() -> Any:
    """The class of the package's network, made without arguments.

    Raises
    ------
    ModelError
        If the packages cellpose or segment-anything are missing, or too old.
    """
    sizes = load_alone(
        "segment_anything",
        "build_sam",
        'Cellpose-SAM needs the package "segment-anything": pip install segment-anything.',
    )
    instead = {
        "segment_anything": SimpleNamespace(sam_model_registry=sizes.sam_model_registry),
        # networks of another kind in the same module, which have no use here
        "dinov3.hub.backbones": SimpleNamespace(dinov3_vitl16=None, dinov3_vitb16=None),
    }
    exact = torch.backends.cuda.matmul.allow_tf32
    try:
        try:
            return load_alone("cellpose", "vit", _ADVICE, instead).CPSAM
        except ModelError:
            return load_alone("cellpose", "vit_sam", _ADVICE, instead).Transformer  # before 4.2
    except AttributeError as error:
        raise ModelError(_ADVICE) from error
    finally:  # the module changes it for the whole process
        torch.backends.cuda.matmul.allow_tf32 = exact


def _kept() -> Path:
    file = kept_file()
    if file is None:
        raise ModelError(
            "The weights of Cellpose-SAM are not on this machine: start Cellpose once, which "
            f"stores them as {str(kept_folder() / NAMES[0])!r}, or pass a file as checkpoint."
        )
    return file


def _state(file: Path) -> State:
    state = read_state(file)
    if "W2" not in state and "encoder.pos_embed" not in state:
        raise ModelError(
            f"{str(file)!r} is no checkpoint of Cellpose-SAM (Cellpose 4): files of Cellpose 3 and "
            "before hold another network."
        )
    if "encoder.cls_token" in state:
        raise ModelError(
            f"{str(file)!r} is a checkpoint of Cellpose-DINO, which is not supported: choose one "
            f"of Cellpose-SAM, such as {NAMES[0]}."
        )
    for unused in ("diam_labels", "diam_mean"):  # facts about the training, which some files lack
        state.setdefault(unused, torch.tensor([30.0]))
    return state
