"""Which networks there are, and how to load one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cellseg.errors import InputError

if TYPE_CHECKING:
    from napari_cellseg.networks.protocol import FlowNetwork

#: One file of weights, or several.
Checkpoint = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class NetworkInfo:
    """What a user must know to choose a network.

    Attributes
    ----------
    name, title, licence : str
        See `FlowNetwork`.
    note : str
        For which images it is meant, in one sentence.
    packaged : bool
        Whether its weights are part of this package.
    scale : str
        Which sizes of cells it takes, in one sentence.
    source : str
        Where its weights come from, where they are no part of this package.
    citation : str
        What to cite when results are published.
    extra : str
        Extra of this package (``pip install napari-cellseg[extra]``) that it needs.
    channels : int
        Most channels that it takes.
    needs_checkpoint : bool
        Whether a file of weights must be given.
    checkpoints : int
        Most files of weights that it takes.
    """

    name: str
    title: str
    licence: str
    note: str
    packaged: bool
    scale: str = ""
    source: str = ""
    citation: str = ""
    extra: str = ""
    channels: int = 1
    needs_checkpoint: bool = False
    checkpoints: int = 1


_NETWORKS = (
    NetworkInfo(
        name="builtin",
        title="nuclei · phase",
        licence="BSD-3-Clause; trained on CC0 and MIT data",
        note="Stained nuclei in fluorescence or histology, and whole cells in phase contrast.",
        packaged=True,
        scale="Cells are always shown to it 20 pixels wide.",
    ),
    NetworkInfo(
        name="mediar",
        title="cells of many kinds (MEDIAR)",
        licence=(
            "Weights: no licence stated. Code: MIT; the MiT encoder inside is under NVIDIA's "
            "Source Code License: non-commercial use only"
        ),
        note="Cells of many kinds and microscopes; 14 times the built-in one's work per pixel.",
        packaged=False,
        scale="Cells of 10 to 120 pixels are shown to it as they are, others rescaled.",
        source="the authors' page, https://github.com/Lee-Gihun/MEDIAR",
        citation=(
            "Lee et al., MEDIAR: Harmony of Data-Centric and Model-Centric for Multi-Modality "
            "Microscopy, NeurIPS 2022 challenge, PMLR 212"
        ),
        extra="mediar",
        channels=3,
        needs_checkpoint=True,
        checkpoints=2,
    ),
    NetworkInfo(
        name="cellpose-sam",
        title="cells of nearly any kind (Cellpose-SAM)",
        licence=(
            "BSD-3-Clause (code and weights); trained in part on CC-BY-NC data: check that your "
            "use is non-commercial"
        ),
        note="Cells and nuclei of nearly any kind; 97 times the work per pixel: wants a GPU.",
        packaged=False,
        scale="Cells of 7.5 to 120 pixels are shown to it as they are, others rescaled.",
        source="the file that the package cellpose keeps, or one trained with it",
        citation=(
            "Pachitariu et al., Cellpose-SAM: superhuman generalization for cellular "
            "segmentation, bioRxiv 2025"
        ),
        extra="cellpose",
        channels=3,
    ),
)


def available_networks() -> tuple[NetworkInfo, ...]:
    """Every network that `load_network` knows; the default one first."""
    return _NETWORKS


def load_network(
    name: str = "builtin",
    checkpoint: Checkpoint | None = None,
    device: str = "auto",
    **options: Any,
) -> "FlowNetwork":
    """Load a flow network.

    Parameters
    ----------
    name : str
        One of `available_networks`.
    checkpoint : path or sequence of paths, optional
        A user's own weights; without it, those of the package. MEDIAR takes two files, whose
        outputs are averaged.
    device : str
        ``"auto"`` (CUDA, then MPS, then CPU), or a torch device name.
    **options
        ``flips`` (bool, MEDIAR): average over flipped planes, three times the work.
        ``precision`` (MEDIAR and Cellpose-SAM): ``"float32"``, ``"bfloat16"`` or ``"float16"``;
        by default 16 bits on CUDA and float32 elsewhere.

    Returns
    -------
    FlowNetwork

    Raises
    ------
    InputError
        If the name, the device or an option is unknown, or there are too many files.
    ModelError
        If the checkpoint cannot be used, or a package that the network needs is missing.
    """
    info = next((info for info in _NETWORKS if info.name == name), None)
    if info is None:
        known = ", ".join(known.name for known in _NETWORKS)
        raise InputError(f"model {name!r} is unknown: choose one of {known}")
    files = _files(info, checkpoint)
    strange = sorted(set(options) - set(_OPTIONS.get(name, ())))
    if strange:
        raise InputError(
            f"model {name!r} has no option {strange[0]!r}: it takes "
            f"{' and '.join(_OPTIONS.get(name, ())) or 'none'}"
        )
    if name == "mediar":
        from napari_cellseg.networks.mediar import MediarNetwork

        return MediarNetwork(files, device, **options)
    if name == "cellpose-sam":
        from napari_cellseg.networks.cellpose_sam import CellposeSamNetwork

        return CellposeSamNetwork(files[0] if files else None, device, **options)
    from napari_cellseg.networks.builtin import BuiltinNetwork

    return BuiltinNetwork(files[0] if files else None, device)


_OPTIONS = {"mediar": ("flips", "precision"), "cellpose-sam": ("precision",)}


def _files(info: NetworkInfo, checkpoint: Checkpoint | None) -> list[Path]:
    if checkpoint is None:
        return []
    given = [checkpoint] if isinstance(checkpoint, str | Path) else list(checkpoint)
    if not 0 < len(given) <= info.checkpoints:
        most = "one file" if info.checkpoints == 1 else f"at most {info.checkpoints}"
        raise InputError(f"model {info.name!r} was given {len(given)} model files: pass {most}")
    return [Path(file).expanduser() for file in given]
