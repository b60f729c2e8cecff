"""Networks that turn planes into flow: loading, devices, the built-in one.

A network knows planes, never volumes.
"""

from napari_cellseg.networks.device import resolve_device
from napari_cellseg.networks.packaged import (
    packaged_card,
    packaged_weights,
    verify_packaged_weights,
)
from napari_cellseg.networks.protocol import (
    FlowNetwork,
    Intensities,
    Tiling,
    batch_pixels_of,
    channels_of,
    diameters_of,
    intensities_of,
    tiling_of,
)
from napari_cellseg.networks.registry import NetworkInfo, available_networks, load_network

__all__ = [
    "FlowNetwork",
    "Intensities",
    "NetworkInfo",
    "Tiling",
    "available_networks",
    "batch_pixels_of",
    "channels_of",
    "diameters_of",
    "intensities_of",
    "load_network",
    "packaged_card",
    "packaged_weights",
    "resolve_device",
    "tiling_of",
    "verify_packaged_weights",
]
