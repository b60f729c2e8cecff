"""What the prompt loop asks of a model."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from numpy.typing import ArrayLike

if TYPE_CHECKING:
    import torch

    from napari_cellseg.prompts.embedding import Embedding
    from napari_cellseg.prompts.prompt import Prompt
    from napari_cellseg.prompts.proposal import Proposal


@dataclass(frozen=True)
class Capabilities:
    """Which prompts a model takes, and whether it offers several masks for one prompt."""

    points: bool = True
    box: bool = True
    mask: bool = True
    multimask: bool = True


@runtime_checkable
class Predictor(Protocol):
    """A model that encodes a plane once and answers prompts from the result.

    Attributes
    ----------
    name, title, licence : str
        See `PredictorInfo`.
    fingerprint : str
        SHA-256 over the model files.
    capabilities : Capabilities
    framing : str
        ``"pad"`` or ``"stretch"``: how a plane is fitted into the model's square.
    """

    name: str
    title: str
    licence: str
    fingerprint: str
    capabilities: Capabilities
    framing: str

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        ...

    def encode(
        self,
        plane: ArrayLike,
        limits: tuple[float, float] | None = None,
        *,
        cancel: threading.Event | None = None,
    ) -> Embedding:
        """Encode a plane.

        Parameters
        ----------
        plane : array, (rows, cols) or (rows, cols, 3) RGB
            uint8 is passed through; anything else is mapped to it by `limits`.
        limits : two floats, optional
            Values shown as black and white; percentiles of the plane by default.
        cancel : threading.Event, optional
            Polled between the encoder's blocks.

        Raises
        ------
        InputError
            If the plane cannot be used.
        Cancelled
            If `cancel` was set.
        """
        ...

    def decode(
        self, embedding: Embedding, prompt: Prompt, multimask: bool | None = None
    ) -> Proposal:
        """Answer a prompt.

        Parameters
        ----------
        embedding : Embedding
            Of this predictor.
        prompt : Prompt
        multimask : bool, optional
            Several candidate masks; by default for a single point only.

        Raises
        ------
        InputError
            If the prompt lies outside the plane, asks for what the model cannot do, or the
            embedding is another model's.
        """
        ...
