"""What the flow engine asks of a network."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Tiling:
    """How planes that are larger than a tile are cut, and how the tiles are put together.

    Attributes
    ----------
    size : int
        Side of a tile, in the network's pixels.
    overlap : int
        Pixels that neighbouring tiles share, at least.
    weights : str
        ``"taper"``: ramps within the overlap; ``"gaussian"``: a Gaussian around the middle of each
        tile, of a standard deviation of ``size / 8``.
    margin : int
        Pixels of mirrored image around a plane.
    strict : bool
        Whether no piece may be larger than a tile, nor tiles be made smaller for want of memory:
        for networks whose output at a pixel depends on all that they see at once.
    """

    size: int = 512
    overlap: int = 48
    weights: str = "taper"
    margin: int = 32
    strict: bool = False


@dataclass(frozen=True)
class Intensities:
    """Which intensities a network sees as 0 and 1.

    Attributes
    ----------
    percentiles : tuple of float
        Between 0 and 100.
    nonzero : bool
        Whether they are those of the values that are not zero, instead of all values.
    together : bool
        One pair of limits for all channels, or one for each.
    """

    percentiles: tuple[float, float]
    nonzero: bool = False
    together: bool = True


@runtime_checkable
class FlowNetwork(Protocol):
    """A 2D network that turns planes into flow and cell-probability logit.

    Only ``channels``, ``tiling``, ``intensities`` and ``diameters`` may be left out: read them
    with `channels_of`, `tiling_of`, `intensities_of` and `diameters_of`.

    Attributes
    ----------
    name : str
        Name by which `load_network` finds it.
    title : str
        What the window shows; says for which images the network is meant.
    licence : str
        Licence of the weights, with restrictions on use where there are any.
    diameter : float
        Diameter, in pixels, at which cells are shown to the network.
    percentiles : tuple of float
        Percentiles of the volume that the network was trained to see as 0 and 1.
    stride : int
        Both sides of a plane are padded to a multiple of it.
    tile : int
        Largest side of a plane that is predicted in one piece.
    device : torch.device
        Where planes must lie.
    channels : int
        Most channels that it takes; 1 by default.
    tiling : Tiling
        By default tiles of ``tile`` pixels.
    intensities : Intensities
        By default ``percentiles`` of all values, for all channels together.
    diameters : tuple of float
        Range of diameters, in pixels, that it takes as they are. By default ``diameter`` alone:
        cells are always rescaled to it.
    """

    name: str
    title: str
    licence: str
    diameter: float
    percentiles: tuple[float, float]
    stride: int
    tile: int

    @property
    def device(self) -> "torch.device":
        """Where planes must lie."""
        ...

    def to(self, device: str) -> "FlowNetwork":
        """Return the network on another device."""
        ...

    def predict(self, planes: "torch.Tensor") -> "torch.Tensor":
        """Predict planes.

        Parameters
        ----------
        planes : Tensor of float32, (n, rows, cols) or (n, c, rows, cols)
            Normalised (see ``intensities``), on ``device``; at most ``channels`` channels. What a
            network of several channels does with fewer is its own affair.

        Returns
        -------
        Tensor of float32, (n, 3, rows, cols)
            Flow along rows, flow along cols (length about 1 or less), logit.
        """
        ...

    def strangeness(self, planes: "torch.Tensor") -> float | None:
        """How unlike the training images the planes look; above 1 a user should be told.

        ``None`` where the network cannot tell.
        """
        ...


def channels_of(network: FlowNetwork) -> int:
    """Most channels that a network takes."""
    return int(getattr(network, "channels", 1))


def tiling_of(network: FlowNetwork) -> Tiling:
    """How planes are cut for a network."""
    tiling = getattr(network, "tiling", None)
    return tiling if isinstance(tiling, Tiling) else Tiling(size=network.tile)


def intensities_of(network: FlowNetwork) -> Intensities:
    """Which intensities a network sees as 0 and 1."""
    intensities = getattr(network, "intensities", None)
    if isinstance(intensities, Intensities):
        return intensities
    return Intensities(network.percentiles)


def diameters_of(network: FlowNetwork) -> tuple[float, float]:
    """Range of diameters, in pixels, that a network takes as they are."""
    low, high = getattr(network, "diameters", (network.diameter, network.diameter))
    return float(low), float(high)


def batch_pixels_of(network: FlowNetwork) -> int | None:
    """Pixels per batch that a network asks for on its device; None where it does not say."""
    pixels = getattr(network, "batch_pixels", None)
    return None if pixels is None else int(pixels)
