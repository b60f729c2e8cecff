"""What a prompt predictor remembers of a plane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Embedding:
    """A plane as its model sees it: encoded once, answered from as often as the user clicks.

    Attributes
    ----------
    family : str
        Name of the predictor that made it, as `load_predictor` knows it.
    fingerprint : str
        SHA-256 over that predictor's model files; no other model may use the embedding.
    shape : tuple of int
        Rows and columns of the plane.
    framing : str
        How the plane was fitted into the model's square: ``"pad"`` or ``"stretch"``.
    features : mapping of str to Tensor
        The encoder's results by name, without a batch axis: ``"image"``, for the SAM family
        (256, 64, 64), and whatever else the family needs.
    """

    family: str
    fingerprint: str
    shape: tuple[int, int]
    framing: str
    features: Mapping[str, torch.Tensor] = field(repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes of all features."""
        return sum(int(values.nbytes) for values in self.features.values())

    @property
    def device(self) -> torch.device:
        """Where the features lie."""
        return next(iter(self.features.values())).device

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Embedding:
        """Return the embedding on a device, in a number format; itself if nothing changes.

        Features that are not floating point (an edge map, for one) keep their format.
        """
        moved = {
            name: values.to(
                device=device, dtype=dtype if values.is_floating_point() else values.dtype
            )
            for name, values in self.features.items()
        }
        if all(moved[name] is values for name, values in self.features.items()):
            return self
        return replace(self, features=moved)
