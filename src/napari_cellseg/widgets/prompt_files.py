"""A user's own model files: which family they are of, found out in the worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_cellseg.errors import ModelError
from napari_cellseg.prompts.registry import predictor_info
from napari_cellseg.worker import JobContext, operation

SUFFIXES = (".pt", ".pth", ".safetensors", ".bin", ".ckpt")
_USABLE = ("sam", "mobile-sam", "pa-sam", "pa-sam-decoder")


@dataclass(frozen=True)
class Chosen:
    """What files make of the model.

    Attributes
    ----------
    model : str
        Name of a predictor.
    checkpoint : path, or paths of SAM and of PA-SAM's decoder
    note : str
        What the user should know, in one sentence; empty if nothing.
    """

    model: str
    checkpoint: Path | tuple[Path, ...]
    note: str = ""


@operation("recognise checkpoints", uses_torch=True)
def recognise_checkpoints(context: JobContext, *, files: Sequence[Path]) -> dict[Path, str]:
    """Name the family of each file; see `napari_cellseg.prompts.checkpoints.recognise_file`."""
    from napari_cellseg.prompts.checkpoints import recognise_file

    found = {}
    for file in files:
        context.check()
        found[file] = recognise_file(file)
    return found


def choose(families: dict[Path, str], present: str, base: Path | None) -> Chosen:
    """Decide which model a user's files are for.

    Parameters
    ----------
    families : dict of Path to str
        Of one file, or of SAM's and PA-SAM's.
    present : str
        The predictor that is chosen at present: it stays, if the files can be its.
    base : Path or None
        SAM's file, where one is known, for a decoder that comes alone.

    Raises
    ------
    ModelError
        If they are of no model that can be used, or belong to several.
    """
    from napari_cellseg.prompts.checkpoints import TITLES

    for file, family in families.items():
        if family not in _USABLE:
            raise ModelError(
                f"“{file.name}” is {TITLES[family]}, which cannot be used here: choose a file of "
                "SAM, MedSAM, MobileSAM or PA-SAM."
            )
    by_family = {family: file for file, family in families.items()}
    if "pa-sam-decoder" in by_family:
        base = by_family.get("sam", base)
        if base is None:
            raise ModelError(
                f"“{by_family['pa-sam-decoder'].name}” is PA-SAM's decoder: drop SAM's vit_b file "
                "together with it."
            )
        return Chosen("pa-sam", (base, by_family["pa-sam-decoder"]))
    if len(families) != 1:
        raise ModelError("Choose one model file; only PA-SAM takes two, SAM's and its decoder.")
    ((file, family),) = families.items()
    if family != "sam":
        return Chosen(family, file)
    if predictor_info(present).family in ("sam", "medsam"):
        title = predictor_info(present).title
        return Chosen(
            present,
            file,
            f"“{file.name}” is used as {title}; the file fits SAM and MedSAM "
            "alike, so choose the other model above if it is that one's.",
        )
    return Chosen(
        "sam", file, f"“{file.name}” could be SAM's or MedSAM's: choose MedSAM above if it is that."
    )


def ask_model_files(parent: QWidget) -> list[Path]:
    """Ask for a model file, or for the two of PA-SAM; empty if the user thought better of it."""
    kinds = " ".join(f"*{suffix}" for suffix in SUFFIXES)
    chosen, _ = QFileDialog.getOpenFileNames(
        parent, "Choose a model file", "", f"Model files ({kinds});;All files (*)"
    )
    return [Path(file) for file in chosen]
