"""An embedding as it is kept: on the host, floating-point features in half the bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_cellseg.prompts.cache_key import Precision
from napari_cellseg.prompts.embedding import Embedding

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_LARGEST_ERROR = 2.0**-10
"""Of the feature's largest magnitude. Half precision rounds to 2⁻¹¹ of each value within its
range, so more than this means that the feature lies outside that range."""


@dataclass(frozen=True, eq=False)
class Packed:
    """A kept embedding: what goes to disk, and from which a device's copy is made.

    Attributes
    ----------
    family, fingerprint, framing : str
        As in `Embedding`.
    shape : tuple of int
        Rows and columns of the plane.
    features : mapping of str to Tensor
        On the CPU, contiguous, each alone in its memory.
    formats : mapping of str to dtype
        The number format that each feature is handed out in: the one it was encoded in.
    """

    family: str
    fingerprint: str
    shape: tuple[int, int]
    framing: str
    features: Mapping[str, Tensor] = field(repr=False)
    formats: Mapping[str, torch.dtype] = field(repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes of all features, as they are kept."""
        return sum(int(values.nbytes) for values in self.features.values())

    def unpack(self, device: torch.device | str) -> Embedding:
        """Return the embedding on a device, in the formats it was encoded in.

        What crosses to the device is the kept format; it is widened there.
        """
        return Embedding(
            family=self.family,
            fingerprint=self.fingerprint,
            shape=self.shape,
            framing=self.framing,
            features={
                name: values.to(device).to(self.formats[name])
                for name, values in self.features.items()
            },
        )


def pack(embedding: Embedding, precision: Precision) -> Packed:
    """Bring an embedding to the host in the precision that it is kept in.

    Integer and bool features are kept exactly. With ``"float16"`` floating-point features are
    rounded, except those that half precision cannot hold (too large, too small, NaN): these are
    kept as they are, bfloat16 as float32.
    """
    return Packed(
        family=embedding.family,
        fingerprint=embedding.fingerprint,
        shape=(int(embedding.shape[0]), int(embedding.shape[1])),
        framing=embedding.framing,
        features={name: _kept(values, precision) for name, values in embedding.features.items()},
        formats={name: values.dtype for name, values in embedding.features.items()},
    )


def _kept(values: Tensor, precision: Precision) -> Tensor:
    import torch

    values = values.detach()
    if values.is_floating_point() and precision == "float16" and _fits_half(values):
        values = values.to(torch.float16)  # before the transfer: half the bytes cross
    elif values.dtype == torch.bfloat16:
        values = values.to(torch.float32)  # numpy, and so the disk format, has no bfloat16
    # a copy, always: a view would keep a whole batch alive, or change when its owner writes
    return values.to("cpu", copy=True, memory_format=torch.contiguous_format)


def _fits_half(values: Tensor) -> bool:
    import torch

    if values.dtype == torch.float16 or values.numel() == 0:
        return True
    error = (values - values.to(torch.float16).to(values.dtype)).abs().max()
    return bool(error <= _LARGEST_ERROR * values.abs().max())  # false for NaN
