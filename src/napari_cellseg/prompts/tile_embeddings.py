"""The embeddings of a plane's tiles: named, looked up, made."""

from __future__ import annotations

import threading
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.prompts.cache_key import EmbeddingKey, content_digest
from napari_cellseg.prompts.tile_limits import sampled_limits
from napari_cellseg.prompts.tile_sampling import Sampling
from napari_cellseg.prompts.tiles import Grid

if TYPE_CHECKING:
    from napari_cellseg.prompts.embedding import Embedding
    from napari_cellseg.prompts.embedding_cache import EmbeddingCache
    from napari_cellseg.prompts.predictor import Predictor


@dataclass(frozen=True)
class TileKey:
    """The name of a tile's embedding, and the hash of the pixels that it was made for."""

    content: str
    key: EmbeddingKey


class TileEmbeddings:
    """Reads tiles of a plane when they are used, and never more than one at a time.

    Parameters
    ----------
    predictor, cache, plane, limits, orientation, keys, frozen
        As for `PlanePrompter`.
    grid : Grid
    sampling : Sampling
    """

    def __init__(
        self,
        predictor: Predictor,
        cache: EmbeddingCache,
        plane: Any,
        grid: Grid,
        sampling: Sampling,
        limits: tuple[float, float] | None,
        orientation: str,
        keys: MutableMapping[int, TileKey] | None,
        frozen: bool,
    ) -> None:
        self.predictor = predictor
        self.cache = cache
        self.plane = plane
        self.grid = grid
        self.sampling = sampling
        self.orientation = orientation
        self.keys: MutableMapping[int, TileKey] = {} if keys is None else keys
        self._limits = limits
        self._found: tuple[float, float] | None = None
        self._watched = isinstance(plane, np.ndarray) and not frozen

    @property
    def limits(self) -> tuple[float, float] | None:
        """Values shown as black and white in every tile; None: percentiles of the plane."""
        if self._limits is not None or len(self.grid) == 1:
            return self._limits
        if self._found is None:
            self._found = sampled_limits(self.plane)
        return self._found

    def forget(self) -> None:
        """Drop the names and the limits found."""
        self.keys.clear()
        self._found = None

    def kept(self, tile: int) -> bool:
        """Whether a tile's embedding is in memory or on disk."""
        key = self.key(tile)
        return self.cache.in_memory(key, self.predictor.device) or key in self.cache.disk

    def peek(self, tile: int) -> Embedding | None:
        """Return a tile's embedding from memory or disk, or None."""
        return self.cache.peek(self.key(tile), self.predictor.device)

    def encode(self, tile: int, cancel: threading.Event | None = None) -> Embedding:
        """Return a tile's embedding; see `EmbeddingCache.get`."""
        raw = self._read(tile)
        return self.cache.get(
            self.predictor,
            self.sampling.pixels(raw),
            self.limits,
            orientation=self.orientation,
            key=self._name(tile, raw),
            cancel=cancel,
        )

    def key(self, tile: int) -> EmbeddingKey:
        """Name a tile's embedding; a numpy plane is hashed anew each time, unless it is frozen."""
        known = self.keys.get(tile)
        if known is not None and not self._watched:
            return known.key
        return self._name(tile, self._read(tile))

    def _read(self, tile: int) -> NDArray[Any]:
        return np.asarray(self.plane[self.grid.place(tile)])

    def _name(self, tile: int, raw: NDArray[Any]) -> EmbeddingKey:
        content = content_digest(raw)
        known = self.keys.get(tile)
        if known is None or known.content != content:
            key = self.cache.key(
                self.predictor,
                self.sampling.pixels(raw),
                self.limits,
                orientation=self.orientation,
            )
            self.keys[tile] = known = TileKey(content, key)
        return known.key
