"""The answer to a prompt on a plane that the model sees in tiles, or in other pixels."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.prompts.answer import Region
from napari_cellseg.prompts.proposal import Proposal

_REMEMBERED = 1024


class Origins:
    """Which tile the logits of an answer came from; known by their values, so copies do as well."""

    def __init__(self) -> None:
        self._tiles: OrderedDict[bytes, int] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, logits: NDArray[Any], tile: int) -> None:
        """Remember where logits came from; the oldest of 1,024 are forgotten."""
        with self._lock:
            self._tiles[_digest(logits)] = tile
            while len(self._tiles) > _REMEMBERED:
                self._tiles.popitem(last=False)

    def of(self, logits: NDArray[Any]) -> int | None:
        """Return the tile that logits came from, or None if they are not known."""
        with self._lock:
            return self._tiles.get(_digest(logits))


def _digest(logits: NDArray[Any]) -> bytes:
    values = np.ascontiguousarray(logits, np.float32)
    return hashlib.blake2b(values.data, digest_size=16).digest()


@dataclass(frozen=True, eq=False)
class PlaneAnswer:
    """Candidate masks in the pixels of a plane; an `Answer`.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of the plane.
    regions : tuple of Region
        The candidates, best first.
    proposal : Proposal
        What the model answered in the tile `tiles[0]`: its scores and logits are the answer's.
    tiles : tuple of int
        Those that gave a part of a candidate.
    missing : tuple of int
        Those that a candidate runs into but that are not encoded: after `PlanePrompter.encode`
        the same prompt gives the whole object.
    """

    shape: tuple[int, int]
    regions: tuple[Region, ...]
    proposal: Proposal
    tiles: tuple[int, ...] = (0,)
    missing: tuple[int, ...] = ()
    _origins: Origins | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.regions)

    @property
    def scores(self) -> NDArray[np.float32]:
        """Predicted intersection over union, (n,), as the first tile's model gave it."""
        return self.proposal.scores

    def region(self, index: int = 0) -> Region:
        """Return a candidate within its bounding box; see `Answer.region`."""
        return self.regions[range(len(self))[index]]

    def refine(self, index: int = 0) -> NDArray[Any] | None:
        """Return a candidate's logits, (256, 256), in its first tile.

        `PlanePrompter` passes them to the model if the further prompt lies in that tile, and
        leaves them out otherwise.
        """
        logits = self.proposal.refine(index)
        if self._origins is not None and logits is not None:
            self._origins.note(logits, self.tiles[0])
        return logits
