"""What a user is told of a segmentation, a sentence each."""

import numpy as np

from napari_cellseg.flows.field import FlowField
from napari_cellseg.networks.protocol import FlowNetwork, diameters_of
from napari_cellseg.volume import Volume

#: Share of voxels that must be clearly inside or outside a cell (|logit| > 2): held-out images that
#: the network is meant for have 0.7 and more, noisy stacks 0.4, an electron micrograph 0.2.
_SURE = 0.3
#: In dense tissue of two planes per cell, AP@0.5 of planes that are labelled one by one and joined
#: was .39, of the fused field .25; of three planes per cell .34 and .56. Where cells lie apart, the
#: fused field is better however coarse z is.
_PLANES = 2.5


def unit_of(image: Volume) -> str:
    """Unit of lengths of an image."""
    return "µm" if image.spacing_known else "voxels"


def doubt(field: FlowField, network: FlowNetwork, image: Volume) -> str | None:
    """Say so where the network is unsure nearly everywhere: the wrong model, or diameter."""
    share = float((np.abs(field.logits[..., ::2, ::2]) > 2).mean())
    if share >= _SURE:
        return None
    return (
        f"The model “{network.title}” is sure of only {share:.0%} of "
        f"{image.name!r}: check the diameter, or use another model."
    )


def strangeness(strange: float | None, network: FlowNetwork, image: Volume) -> str | None:
    """Say so where the image is unlike those that the network was trained on."""
    if strange is None or strange <= 1:
        return None
    return (
        f"{image.name!r} looks unlike the images that the model "
        f"“{network.title}” was trained on: look at the result with care."
    )


def coarseness(fusion: str, diameter: float, image: Volume, depth: int) -> str | None:
    """Suggest planes that are joined by overlap where cells have very few planes."""
    planes = diameter / image.spacing[0]
    if fusion == "xy" or not image.is_3d or depth == 1 or planes >= _PLANES:
        return None
    return (
        f"A cell spans only about {planes:.1f} planes of {image.name!r}: where cells are dense, "
        "fusion='xy', which labels plane by plane and joins what overlaps, finds more of them."
    )


def size_range(diameter: float, network: FlowNetwork, image: Volume) -> str | None:
    """Say so where the cells that were found are of a size that the network does not take."""
    low, high = diameters_of(network)
    pixels = diameter / min(image.spacing[1:])
    if low <= pixels <= high:
        return None
    return (
        f"The cells that were found have {pixels:.0f} pixels across, and the model "
        f"“{network.title}” takes {low:g} to {high:g} as they are: enter a diameter of "
        f"{diameter:.3g} {unit_of(image)} to have the image rescaled."
    )
