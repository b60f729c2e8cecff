"""MEDIAR-Former: the network of MEDIAR, under the names that its files use.

Lee et al., MEDIAR: Harmony of Data-Centric and Model-Centric for Multi-Modality Microscopy,
NeurIPS 2022 cell segmentation challenge; https://github.com/Lee-Gihun/MEDIAR. A SegFormer encoder
(Xie et al. 2021) and the decoder of MA-Net (Fan et al. 2020), both of the package
segmentation-models-pytorch, and two heads.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from napari_cellseg.errors import ModelError
from napari_cellseg.networks.lone_module import load_alone

_PACKAGE = "segmentation_models_pytorch"
_ADVICE = (
    'MEDIAR needs the package "segmentation-models-pytorch", version 0.6: '
    'pip install "napari-cellseg[mediar]".'
)
_WIDTHS = (1024, 512, 256, 128, 64)
_PAB_WIDTH = 256
_HEAD_WIDTH = 32


class _Straight(nn.Identity):
    """Stochastic depth, which does nothing once a network is trained."""


def _modules() -> tuple[Any, Any]:
    """The package's encoder and decoder."""
    # three small helpers are all that the encoder wants of timm, a collection of models
    layers = SimpleNamespace(
        DropPath=_Straight,
        to_2tuple=lambda side: side if isinstance(side, tuple) else (side, side),
        trunc_normal_=lambda weights, **_: weights,  # a file replaces them
    )
    encoder = load_alone(
        _PACKAGE, "encoders.mix_transformer", _ADVICE, instead={"timm.layers": layers}
    )
    base = SimpleNamespace(modules=load_alone(_PACKAGE, "base.modules", _ADVICE))
    decoder = load_alone(
        _PACKAGE, "decoders.manet.decoder", _ADVICE, instead={f"{_PACKAGE}.base": base}
    )
    return encoder, decoder


class MediarFormer(nn.Module):
    """Flow, five times as long as ours, and cell-probability logit of RGB planes.

    Raises
    ------
    ModelError
        If segmentation-models-pytorch is missing, or of another version.
    """

    stride = 32

    def __init__(self) -> None:
        super().__init__()
        transformer, manet = _modules()
        try:
            shape = transformer.mix_transformer_encoders["mit_b5"]["params"]
            self.encoder = transformer.MixVisionTransformerEncoder(depth=5, **shape)
            self.decoder = manet.MAnetDecoder(
                encoder_channels=self.encoder.out_channels,
                decoder_channels=_WIDTHS,
                n_blocks=len(_WIDTHS),
                pab_channels=_PAB_WIDTH,
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ModelError(_ADVICE) from error
        self.cellprob_head = _head(1)
        self.gradflow_head = _head(2)
        _use_mish(self.decoder)

    def forward(self, planes: Tensor) -> Tensor:
        """Predict.

        Parameters
        ----------
        planes : Tensor of float32, (n, 3, rows, cols)
            Between 0 and 1; sides a multiple of ``stride``.

        Returns
        -------
        Tensor, (n, 3, rows, cols)
            Flow along rows, flow along cols (times 5), logit.
        """
        *shallow, deep = self.encoder(planes)
        # position attention sums products that are not scaled: they overflow in float16
        with torch.autocast(planes.device.type, enabled=False):
            x = self.decoder.center(deep.float())
        skips = shallow[:0:-1]
        for index, block in enumerate(self.decoder.blocks):
            x = block(x, skips[index] if index < len(skips) else None)
        return torch.cat([self.gradflow_head(x), self.cellprob_head(x)], 1)


def _head(outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(_WIDTHS[-1], _HEAD_WIDTH, 3, padding=1),
        nn.Mish(),
        nn.BatchNorm2d(_HEAD_WIDTH),
        nn.Conv2d(_HEAD_WIDTH, outputs, 3, padding=1),
    )


def _use_mish(module: nn.Module) -> None:
    """Replace every ReLU, as the authors did before training."""
    for name, child in module.named_children():
        if isinstance(child, nn.ReLU):
            setattr(module, name, nn.Mish(inplace=True))
        else:
            _use_mish(child)
