"""Networks that turn planes into flow: loading, devices, the built-in one.

A network knows planes, never volumes.
"""

from napari_cellseg.networks.device import resolve_device
from napari_cellseg.networks.packaged import (
    packaged_card,
    packaged_weights,
    verify_packaged_weights,
)
from napari_cellseg.networks.protocol import FlowNetwork
from napari_cellseg.networks.registry import NetworkInfo, available_networks, load_network

__all__ = [
    "FlowNetwork",
    "NetworkInfo",
    "available_networks",
    "load_network",
    "packaged_card",
    "packaged_weights",
    "resolve_device",
    "verify_packaged_weights",
]
