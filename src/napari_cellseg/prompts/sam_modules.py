"""The networks of the package segment-anything, loaded without its front door."""

from __future__ import annotations

from typing import Any

from napari_cellseg.networks.lone_module import load_alone


def _load(module: str) -> Any:
    return load_alone(
        "segment_anything",
        module,
        'Models of the SAM family need the package "segment-anything": '
        "pip install segment-anything.",
    )


_modeling = _load("modeling")

ImageEncoderViT = _modeling.ImageEncoderViT
MaskDecoder = _modeling.MaskDecoder
PromptEncoder = _modeling.PromptEncoder
TwoWayTransformer = _modeling.TwoWayTransformer
Attention = _load("modeling.transformer").Attention
