"""The three networks of the SAM family, assembled from the package segment-anything.

Kirillov et al., Segment Anything, ICCV 2023; https://github.com/facebookresearch/segment-anything.
"""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from napari_cellseg.errors import Cancelled, ModelError
from napari_cellseg.prompts.framing import SIDE
from napari_cellseg.prompts.sam_modules import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    TwoWayTransformer,
)

if TYPE_CHECKING:
    from napari_cellseg.prompts.checkpoints import State

PATCH = 16
GRID = SIDE // PATCH
CHANNELS = 256

#: Mean and spread of photographs, by which SAM's input is normalised (grey values, RGB).
MEAN = (123.675, 116.28, 103.53)
SPREAD = (58.395, 57.12, 57.375)

_SIZES = {(768, 12): "vit_b", (1024, 24): "vit_l", (1280, 32): "vit_h"}


class SamParts(nn.Module):
    """Image encoder, prompt encoder and mask decoder under the names that files use."""

    def __init__(self, image_encoder: nn.Module, mask_decoder: nn.Module) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = PromptEncoder(
            embed_dim=CHANNELS,
            image_embedding_size=(GRID, GRID),
            input_image_size=(SIDE, SIDE),
            mask_in_chans=16,
        )
        self.mask_decoder = mask_decoder


def mask_decoder() -> nn.Module:
    """SAM's mask decoder, as in all its sizes."""
    decoder: nn.Module = MaskDecoder(
        num_multimask_outputs=3,
        transformer=TwoWayTransformer(depth=2, embedding_dim=CHANNELS, mlp_dim=2048, num_heads=8),
        transformer_dim=CHANNELS,
        iou_head_depth=3,
        iou_head_hidden_dim=256,
    )
    return decoder


def vit_layout(state: State, file: Path) -> tuple[str, dict[str, Any]]:
    """Read the size of a vision transformer off its tensors.

    Parameters
    ----------
    state : dict of str to Tensor
        With keys of `SamParts`.
    file : Path
        For messages.

    Returns
    -------
    title : str
        ``"vit_b"``, ``"vit_l"``, ``"vit_h"``, or a description of another size.
    layout : dict
        Arguments of segment-anything's ``ImageEncoderViT``.

    Raises
    ------
    ModelError
        If it is no encoder for 1024² pixels in patches of 16².
    """
    depth = 1 + max(
        (
            int(key.split(".")[2])
            for key in state
            if key.startswith("image_encoder.blocks.") and key.split(".")[2].isdecimal()
        ),
        default=-1,
    )
    tables = [state.get(f"image_encoder.blocks.{i}.attn.rel_pos_h") for i in range(depth)]
    places = state.get("image_encoder.pos_embed")
    if (
        places is None
        or places.shape[:-1] != (1, GRID, GRID)
        or not 0 < depth <= 256
        or any(table is None or table.ndim != 2 for table in tables)
    ):
        raise ModelError(
            f"{str(file)!r} does not fit SAM: an image encoder of vit_b, vit_l or vit_h for "
            f"{SIDE} × {SIDE} pixels was expected (position embedding 1 × {GRID} × {GRID} × n)."
        )
    width = int(places.shape[-1])
    reach = [0 if table is None else int(table.shape[0]) for table in tables]
    head = int(tables[0].shape[1]) if tables[0] is not None else 0
    if head == 0 or width % head:
        raise ModelError(
            f"{str(file)!r} does not fit SAM: {width} channels cannot be shared out among heads "
            f"of {head}, as vit_b, vit_l and vit_h do with 64 or 80."
        )
    windows = [n for n in reach if n != 2 * GRID - 1]
    layout = {
        "img_size": SIDE,
        "patch_size": PATCH,
        "embed_dim": width,
        "depth": depth,
        "num_heads": width // head,
        "out_chans": CHANNELS,
        "norm_layer": partial(nn.LayerNorm, eps=1e-6),
        "use_rel_pos": True,
        "window_size": (windows[0] + 1) // 2 if windows else 0,
        "global_attn_indexes": tuple(i for i, n in enumerate(reach) if n == 2 * GRID - 1),
    }
    return _SIZES.get((width, depth), f"{depth} blocks of {width} channels"), layout


def run_vit(encoder: Any, square: Tensor, cancel: threading.Event | None) -> Tensor:
    """Run segment-anything's image encoder block by block.

    Parameters
    ----------
    encoder : ImageEncoderViT
    square : Tensor, (1, 3, 1024, 1024)
    cancel : threading.Event, optional
        Polled before each block.

    Returns
    -------
    Tensor, (256, 64, 64)

    Raises
    ------
    Cancelled
        If `cancel` was set.
    """
    check_cancel(cancel)
    values = encoder.patch_embed(square) + encoder.pos_embed
    for block in encoder.blocks:
        check_cancel(cancel)
        values = block(values)
    check_cancel(cancel)
    image: Tensor = encoder.neck(values.permute(0, 3, 1, 2))[0]
    return image


def check_cancel(cancel: threading.Event | None) -> None:
    """Raise `Cancelled` if the event is set."""
    if cancel is not None and cancel.is_set():
        raise Cancelled("The encoding was cancelled; nothing was kept.")


def vit_encoder(layout: dict[str, Any]) -> nn.Module:
    """Make the image encoder that `vit_layout` describes."""
    encoder: nn.Module = ImageEncoderViT(**layout)
    return encoder


def normalised(pixels: Tensor) -> Tensor:
    """Normalise RGB grey values, (3, rows, cols), as SAM was trained."""
    mean = torch.tensor(MEAN, device=pixels.device).view(3, 1, 1)
    spread = torch.tensor(SPREAD, device=pixels.device).view(3, 1, 1)
    return (pixels - mean) / spread
