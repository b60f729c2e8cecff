"""What the flow engine asks of a network."""

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch


@runtime_checkable
class FlowNetwork(Protocol):
    """A 2D network that turns planes into flow and cell-probability logit.

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
        planes : Tensor of float32, (n, rows, cols)
            Normalised (see ``percentiles``), on ``device``.

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
