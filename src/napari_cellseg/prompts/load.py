"""Load a predictor by name, from a user's file or the downloaded one."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cellseg.errors import InputError, ModelError
from napari_cellseg.prompts import checkpoints
from napari_cellseg.prompts.download import model_file, model_folder
from napari_cellseg.prompts.framing import FRAMINGS
from napari_cellseg.prompts.registry import PredictorInfo, predictor_info

if TYPE_CHECKING:
    import torch

    from napari_cellseg.prompts.predictor import Predictor
    from napari_cellseg.prompts.sam_parts import SamParts

    Checkpoint = str | Path | Sequence[str | Path]

#: How each family frames a plane; the first is the default.
_FRAMINGS = {
    "sam": ("pad",),
    "mobile-sam": ("pad",),
    "medsam": ("stretch",),
    "pa-sam": ("stretch", "pad"),
}


def load_predictor(
    name: str = "mobile-sam",
    checkpoint: Checkpoint | None = None,
    device: str = "auto",
    framing: str | None = None,
    progress: Callable[[float, str], None] | None = None,
    cancel: threading.Event | None = None,
) -> Predictor:
    """Load a predictor that answers prompts.

    Parameters
    ----------
    name : str
        One of `available_predictors`.
    checkpoint : path, optional
        A user's own weights; without it, those in the folder of downloaded models, where they are
        downloaded to if need be. For ``pa-sam``, SAM's file and PA-SAM's decoder,
        ``(base, decoder)``, or a merged file.
    device : str
        ``"auto"`` (CUDA, then MPS, then CPU), or a torch device name.
    framing : str, optional
        How planes are fitted into the model's square: ``pa-sam`` takes ``"stretch"`` (as its
        authors evaluate it) or ``"pad"`` (as SAM does); other families have one framing each.
    progress : callable, optional
        ``(fraction, message)``, of a download.
    cancel : threading.Event, optional
        Stops a download.

    Returns
    -------
    Predictor

    Raises
    ------
    InputError
        If the name, the device or the framing is unknown.
    ModelError
        If the weights are missing and cannot be downloaded, or do not fit; the message says what
        was expected, or where to put the file.
    Cancelled
        If `cancel` was set.
    """
    info = predictor_info(name)
    framing = _framing(info, framing)
    from napari_cellseg.networks.device import resolve_device

    place = resolve_device(device)
    files = _given(info, checkpoint)
    if not files:
        files = (_stored(info, progress, cancel),)
    load = _sam if info.family != "pa-sam" else _pa_sam
    return load(info, files, framing, place)


def _framing(info: PredictorInfo, framing: str | None) -> str:
    known = _FRAMINGS[info.family]
    if framing is None:
        return known[0]
    if framing not in known:
        what = " or ".join(f'"{name}"' for name in known)
        reason = "is unknown" if framing not in FRAMINGS else f"does not suit {info.title}"
        raise InputError(f"The framing {framing!r} {reason}: use {what}.")
    return framing


def _given(info: PredictorInfo, checkpoint: Checkpoint | None) -> tuple[Path, ...]:
    """The user's files, one or (for PA-SAM) two; none if there are none."""
    if checkpoint is None:
        return ()
    given = [checkpoint] if isinstance(checkpoint, str | Path) else list(checkpoint)
    most = 2 if info.family == "pa-sam" else 1
    if not 0 < len(given) <= most:
        wanted = "one file, or SAM's and PA-SAM's" if most == 2 else "one file"
        raise InputError(f"{info.title} was given {len(given)} model files: pass {wanted}.")
    return tuple(Path(file).expanduser() for file in given)


def _stored(
    info: PredictorInfo,
    progress: Callable[[float, str], None] | None,
    cancel: threading.Event | None,
) -> Path:
    if info.family == "pa-sam" and not (model_folder() / info.file).is_file():
        raise ModelError(
            f"The weights of {info.title} cannot be downloaded by napari-cellseg: get its decoder "
            f"from {info.page} and SAM's vit_b file, and pass checkpoint=(base, decoder), or put "
            f"a merged file at {str(model_folder() / info.file)!r}."
        )
    return model_file(info, progress, cancel)


def _fingerprint(files: Sequence[Path]) -> str:
    """SHA-256 of a file; of several, over their SHA-256s."""
    sums = [checkpoints.sha256(file) for file in files]
    return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()


def _sam(
    info: PredictorInfo, files: tuple[Path, ...], framing: str, device: torch.device
) -> Predictor:
    file = files[0]
    state = checkpoints.read_state(file)
    family = "mobile-sam" if info.family == "mobile-sam" else "sam"
    checkpoints.expect(state, (family,), file)
    title, parts = _parts(family, state, file, device)
    fingerprint = _fingerprint(files)
    if info.family == "mobile-sam":
        from napari_cellseg.prompts.sam import MobileSamPredictor

        return MobileSamPredictor(info, parts, fingerprint, framing)
    if info.family == "medsam":
        from napari_cellseg.prompts.medsam import MedSamPredictor

        return MedSamPredictor(info, parts, fingerprint, framing)
    from napari_cellseg.prompts.sam import SamPredictor

    return SamPredictor(info, parts, fingerprint, framing, f"SAM ({title})")


def _parts(
    family: str, state: checkpoints.State, file: Path, device: torch.device
) -> tuple[str, SamParts]:
    """Build SAM's parts around the tensors of a file; also the name of its encoder's size."""
    from napari_cellseg.prompts.sam_parts import SamParts, mask_decoder, vit_encoder, vit_layout

    if family == "mobile-sam":
        from napari_cellseg.networks.tiny_vit import UNUSED, TinyViT

        unused = tuple(f"image_encoder.{name}" for name in UNUSED)
        parts = checkpoints.fit(
            lambda: SamParts(TinyViT(), mask_decoder()), state, "MobileSAM", file, device, unused
        )
        return "vit_t", parts
    title, layout = vit_layout(state, file)
    parts = checkpoints.fit(
        lambda: SamParts(vit_encoder(layout), mask_decoder()), state, f"SAM {title}", file, device
    )
    return title, parts


def _pa_sam(
    info: PredictorInfo, files: tuple[Path, ...], framing: str, device: torch.device
) -> Predictor:
    from napari_cellseg.prompts.pa_sam import PaSamPredictor, pa_mask_decoder
    from napari_cellseg.prompts.sam_parts import SamParts, vit_encoder, vit_layout

    base = files[0]
    state = checkpoints.read_state(base)
    both = "PA-SAM needs SAM's own file too: pass checkpoint=(base, decoder)"
    if len(files) == 1:
        checkpoints.expect(state, ("pa-sam",), base, both)
        state = {k: v for k, v in state.items() if not k.startswith("mask_decoder_ori.")}
    else:
        checkpoints.expect(state, ("sam",), base, "pass checkpoint=(base, decoder)")
        decoder = checkpoints.read_state(files[1])
        checkpoints.expect(
            decoder, ("pa-sam-decoder",), files[1], "pass checkpoint=(base, decoder)"
        )
        # every tensor of the base's decoder gives way: the two were trained apart
        state = {k: v for k, v in state.items() if not k.startswith("mask_decoder.")}
        state |= {f"mask_decoder.{k}": v for k, v in decoder.items()}
    title, layout = vit_layout(state, base)
    parts = checkpoints.fit(
        lambda: SamParts(vit_encoder(layout), pa_mask_decoder()),
        state,
        f"PA-SAM on SAM {title}",
        files[-1],
        device,
    )
    return PaSamPredictor(info, parts, _fingerprint(files), framing)
