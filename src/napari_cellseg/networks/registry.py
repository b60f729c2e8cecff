"""Which networks there are, and how to load one."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cellseg.errors import InputError

if TYPE_CHECKING:
    from napari_cellseg.networks.protocol import FlowNetwork


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
    """

    name: str
    title: str
    licence: str
    note: str
    packaged: bool


_NETWORKS = (
    NetworkInfo(
        name="builtin",
        title="nuclei · phase",
        licence="BSD-3-Clause; trained on CC0 and MIT data",
        note="Stained nuclei in fluorescence or histology, and whole cells in phase contrast.",
        packaged=True,
    ),
)


def available_networks() -> tuple[NetworkInfo, ...]:
    """Every network that `load_network` knows."""
    return _NETWORKS


def load_network(
    name: str = "builtin", checkpoint: str | Path | None = None, device: str = "auto"
) -> "FlowNetwork":
    """Load a flow network.

    Parameters
    ----------
    name : str
        One of `available_networks`.
    checkpoint : path, optional
        A user's own weights; without it, those of the package.
    device : str
        ``"auto"`` (CUDA, then MPS, then CPU), or a torch device name.

    Returns
    -------
    FlowNetwork

    Raises
    ------
    InputError
        If the name or the device is unknown.
    ModelError
        If the checkpoint cannot be used.
    """
    if name not in {info.name for info in _NETWORKS}:
        known = ", ".join(info.name for info in _NETWORKS)
        raise InputError(f"model {name!r} is unknown: choose one of {known}")
    from napari_cellseg.networks.builtin import BuiltinNetwork

    return BuiltinNetwork(None if checkpoint is None else Path(checkpoint), device)
