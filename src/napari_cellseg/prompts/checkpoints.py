"""Say which family of predictors a user's model file belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cellseg.errors import ModelError
from napari_cellseg.networks.model_file import fit, read_state, sha256

if TYPE_CHECKING:
    from napari_cellseg.networks.model_file import State as State

__all__ = ["TITLES", "expect", "fit", "read_state", "recognise", "recognise_file", "sha256"]

#: What a family's file is called in messages.
TITLES = {
    "sam": "a SAM or MedSAM checkpoint (vit_b, vit_l or vit_h)",
    "mobile-sam": "a MobileSAM checkpoint (vit_t)",
    "pa-sam": "a merged PA-SAM checkpoint",
    "pa-sam-decoder": "a PA-SAM decoder",
    "sam-hq": "a SAM-HQ checkpoint",
    "sam2": "a SAM 2 checkpoint",
    "unknown": "a checkpoint of an unknown kind",
}

#: The first key of these that a file has tells its family; the order matters.
_SIGNS = (
    ("mask_decoder.prompt_adapter.static_refined_token.weight", "pa-sam"),
    ("prompt_adapter.static_refined_token.weight", "pa-sam-decoder"),
    ("mask_decoder.hf_token.weight", "sam-hq"),
    ("hf_token.weight", "sam-hq"),
    ("image_encoder.patch_embed.seq.0.c.weight", "mobile-sam"),
    ("image_encoder.patch_embed.proj.weight", "sam"),
    ("sam_mask_decoder.iou_token.weight", "sam2"),
)


def recognise(state: Iterable[str]) -> str:
    """Name the family (a key of `TITLES`) of a state dict by its keys.

    SAM's and MedSAM's files have the same keys: both are ``"sam"``.
    """
    keys = set(state)
    return next((family for sign, family in _SIGNS if sign in keys), "unknown")


def recognise_file(file: str | Path) -> str:
    """Name the family (a key of `TITLES`) of a model file.

    Raises
    ------
    ModelError
        If the file is missing or cannot be read.
    """
    return recognise(read_state(Path(file)))


def expect(state: State, families: tuple[str, ...], file: Path, advice: str = "") -> str:
    """Return the family of a state dict if it is one of those that are expected.

    Raises
    ------
    ModelError
        If it is not; the sentence names what was expected and what the file is.
    """
    family = recognise(state)
    if family not in families:
        wanted = " or ".join(TITLES[name] for name in families)
        hint = advice or (
            f'load it as "{family}"' if family in _LOADABLE else "choose another file"
        )
        raise ModelError(f"{str(file)!r} is {TITLES[family]}, but {wanted} was expected: {hint}.")
    return family


_LOADABLE = ("sam", "mobile-sam", "pa-sam")
