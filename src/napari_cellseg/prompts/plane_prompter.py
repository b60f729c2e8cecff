"""One plane to prompt, whatever its size and the shape of its pixels."""

from __future__ import annotations

import threading
from collections.abc import Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import Cancelled, InputError
from napari_cellseg.prompts.answer import Answer, Region
from napari_cellseg.prompts.framing import LOW
from napari_cellseg.prompts.prompt import MOST_POINTS, Prompt
from napari_cellseg.prompts.proposal import Proposal
from napari_cellseg.prompts.stitch import MOST_TILES, Stitched, stitch
from napari_cellseg.prompts.tile_answer import Origins, PlaneAnswer
from napari_cellseg.prompts.tile_embeddings import TileEmbeddings, TileKey
from napari_cellseg.prompts.tile_prompt import drawn, extent, told
from napari_cellseg.prompts.tile_region import NOWHERE, shifted, united
from napari_cellseg.prompts.tile_sampling import Sampling
from napari_cellseg.prompts.tiles import Grid

if TYPE_CHECKING:
    from napari_cellseg.prompts.embedding import Embedding
    from napari_cellseg.prompts.embedding_cache import EmbeddingCache
    from napari_cellseg.prompts.predictor import Predictor

Progress = Callable[[float, str], None]


class NotEncoded(LookupError):  # noqa: N818 - a state that `encode` ends, not a fault
    """What a prompt needs is not in the cache.

    Attributes
    ----------
    tiles : tuple of int
        The tiles to encode, best first.
    """

    def __init__(self, tiles: Sequence[int]) -> None:
        self.tiles = tuple(tiles)
        super().__init__(f"Not encoded yet: tiles {self.tiles} of the plane.")


class PlanePrompter:
    """Answers prompts on one plane in the plane's own pixels.

    A plane of up to `largest` pixels a side is one tile. Beyond, equal tiles at full resolution
    cover it; a prompt goes to the tile that centres it best, and a mask that runs into a tile's
    border is followed into the next (`stitch`). Where pixels are oblong by half or more (xz and
    yz planes of most stacks) the model sees the coarse axis enlarged by a whole factor, so that
    cells are round; nobody else does.

    Every method may be called from any thread.

    Parameters
    ----------
    predictor : Predictor
    cache : EmbeddingCache
        Holds the tiles' embeddings; only `encode` adds to it.
    plane : array-like, (rows, cols) or (rows, cols, 3)
        Anything with a shape that can be sliced; tiles are read when they are used. A numpy
        array is watched: each prompt hashes its tile again (about 1 ms for 1024² of uint8), so
        that an image that was painted on is not answered from what it was.
    limits : two floats, optional
        Values shown as black and white. By default percentiles of the plane, from a sample of
        blocks where it is tiled; `forget` has them found again.
    orientation : str
        ``"xy"``, ``"xz"`` or ``"yz"``.
    pixel : two floats
        Physical size of a pixel along rows and columns, in one unit.
    keys : mutable mapping, optional
        Names of the tiles' embeddings by tile, from an earlier prompter with the same arguments.
    largest, tile, halo : int
        Longest side of a plane seen whole, side of a tile, and what tiles share at least, in the
        model's pixels. At 1024 nothing is scaled for a model of the SAM family; an object of up
        to `halo` pixels lies whole in one tile.
    frozen : bool
        The array does not change: it is hashed once.

    Raises
    ------
    InputError
        If it is no plane, or the pixel size or the tiles' cannot be.
    """

    def __init__(
        self,
        predictor: Predictor,
        cache: EmbeddingCache,
        plane: Any,
        limits: tuple[float, float] | None = None,
        *,
        orientation: str = "xy",
        pixel: tuple[float, float] = (1.0, 1.0),
        keys: MutableMapping[int, TileKey] | None = None,
        largest: int = 2048,
        tile: int = 1024,
        halo: int = 256,
        frozen: bool = False,
    ) -> None:
        shape = tuple(int(side) for side in np.shape(plane))
        if len(shape) not in (2, 3) or shape[2:] not in ((), (3,)) or 0 in shape:
            raise InputError(
                f"The plane has shape {shape}, but (rows, cols) or (rows, cols, 3) is needed."
            )
        self.predictor = predictor
        self.cache = cache
        self.plane = plane
        self.orientation = orientation
        self.shape = (shape[0], shape[1])
        self.sampling = Sampling.of(pixel)
        self.grid = self._grid(largest, tile, halo)
        self.embeddings = TileEmbeddings(
            predictor, cache, plane, self.grid, self.sampling, limits, orientation, keys, frozen
        )
        self._origins = Origins() if len(self.grid) > 1 else None

    def _grid(self, largest: int, tile: int, halo: int) -> Grid:
        factors = self.sampling.factors
        seen = [side * factor for side, factor in zip(self.shape, factors, strict=True)]
        if max(seen) <= largest:
            return Grid(self.shape, self.shape, (0, 0))
        rows, cols = ((max(1, tile // factor), halo // factor) for factor in factors)
        return Grid(self.shape, (rows[0], cols[0]), (rows[1], cols[1]))

    @property
    def whole(self) -> bool:
        """Whether the model sees the plane as it is, in one piece."""
        return len(self.grid) == 1 and self.sampling.plain

    @property
    def limits(self) -> tuple[float, float] | None:
        """Values shown as black and white in every tile; None: percentiles of the plane."""
        return self.embeddings.limits

    def forget(self) -> None:
        """Drop the names of embeddings and the limits found: the image was edited."""
        self.embeddings.forget()

    # Which tiles -----------------------------------------------------------------------------

    def tiles_for(self, prompt: Prompt) -> tuple[int, ...]:
        """Return the tiles that a prompt needs to begin with, best first.

        One, where its positive points, its box and its drawn mask lie in the tile that centres
        them best; otherwise those that hold them together, up to 16. Logits of an answer keep
        the prompt in the tile they came from, as long as it lies there.

        Raises
        ------
        InputError
            If the prompt lies outside the plane, or its logits are of no answer on this plane.
        """
        prompt = prompt.within(self.shape)
        if len(self.grid) == 1:
            return (0,)
        origin = self._origin(prompt)
        bounds = extent(prompt)
        if origin is not None and (bounds is None or self.grid.holds(origin, bounds)):
            return (origin,)
        assert bounds is not None  # a prompt that is logits alone has an origin
        best = self.grid.best(bounds)
        if self.grid.holds(best, bounds):
            return (best,)
        tiles = {best}
        for part in (prompt.box, drawn(prompt)):
            if part is not None:
                tiles.update(self.grid.covering(part))
        for row, col in prompt.points[prompt.labels == 1]:
            point = (float(row), float(col), float(row), float(col))
            if not any(self.grid.holds(tile, point) for tile in tiles):
                tiles.add(self.grid.best(point))
        middle = ((bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2)
        order = self.grid.sorted_from(middle, iter(tiles))
        return tuple(t for t in order if self._told(prompt, t) is not None)[:MOST_TILES]

    def _origin(self, prompt: Prompt) -> int | None:
        if self._origins is None or prompt.mask is None or prompt.mask.dtype == bool:
            return None
        origin = self._origins.of(prompt.mask)
        if origin is None:
            raise InputError(
                "The prompt's mask logits are of no answer on this plane, which is seen in tiles: "
                "pass those of an answer's `refine`, or a bool mask of the plane."
            )
        return origin

    def _told(self, prompt: Prompt, tile: int, origin: int | None = None) -> Prompt | None:
        logits = len(self.grid) == 1 or tile == origin
        return told(prompt, self.grid.place(tile), self.sampling, logits)

    # Encoding --------------------------------------------------------------------------------

    def encoded(self, prompt: Prompt | None = None) -> bool:
        """Whether a prompt, or by default any prompt, can be answered now; never encodes.

        Embeddings on disk count.
        """
        if prompt is not None:
            return all(self.embeddings.kept(tile) for tile in self.tiles_for(prompt))
        return all(self.embeddings.kept(tile) for tile in range(len(self.grid)))

    def encode(
        self,
        prompt: Prompt | None = None,
        *,
        near: tuple[float, float] | None = None,
        cancel: threading.Event | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Encode what a prompt needs to begin with, or the whole plane, as far as it is missing.

        Parameters
        ----------
        prompt : Prompt, optional
        near : (row, col), optional
            Tiles near this place come first.
        cancel : threading.Event, optional
        progress : callable, optional
            Called with a fraction and a message after each tile.

        Raises
        ------
        InputError
            If the prompt or the plane cannot be used.
        Cancelled
            If `cancel` was set; tiles that were encoded stay so.
        """
        tiles = tuple(range(len(self.grid))) if prompt is None else self.tiles_for(prompt)
        if near is not None:
            tiles = self.grid.sorted_from(near, iter(tiles))
        self.encode_tiles(tiles, cancel=cancel, progress=progress)

    def encode_tiles(
        self,
        tiles: Sequence[int],
        *,
        cancel: threading.Event | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Encode certain tiles, such as an answer's `missing`, in this order; see `encode`."""
        for done, tile in enumerate(tiles, 1):
            if cancel is not None and cancel.is_set():
                raise Cancelled("The encoding was cancelled.")
            self.embeddings.encode(tile, cancel)  # at once if it is in memory
            if progress is not None:
                progress(done / len(tiles), f"encoded tile {done} of {len(tiles)}")

    def embedding(self, tile: int) -> Embedding:
        """Return a tile's embedding, on the predictor's device; `NotEncoded` if there is none."""
        return self._ready((tile,))[0]

    # Answering -------------------------------------------------------------------------------

    def decode(
        self,
        prompt: Prompt,
        multimask: bool | None = None,
        *,
        complete: bool = False,
        cancel: threading.Event | None = None,
    ) -> Answer:
        """Answer a prompt.

        Parameters
        ----------
        prompt : Prompt
            In the plane's pixels.
        multimask : bool, optional
            Several candidates; by default for a single point only.
        complete : bool
            Encode the tiles that the mask runs into; otherwise it ends there, and the answer's
            `missing` names them.
        cancel : threading.Event, optional
            Ends encoding, where `complete` asks for it.

        Returns
        -------
        Answer
            The predictor's own `Proposal` where it sees the whole plane in its own pixels, else
            a `PlaneAnswer`.

        Raises
        ------
        NotEncoded
            If a tile that the prompt needs to begin with is not in the cache.
        InputError
            If the prompt lies outside the plane, or asks for what the model cannot do.
        Cancelled
            If `cancel` was set.
        """
        if self.whole:
            prompt.within(self.shape)
            return self.predictor.decode(self._ready((0,))[0], prompt, multimask)
        prompt = prompt.within(self.shape)
        tiles = self.tiles_for(prompt)
        embeddings = self._ready(tiles)
        lone = len(prompt.points) == 1 and prompt.box is None and prompt.mask is None
        if multimask is None and not lone:
            multimask = False  # of several points, a tile may see one
        first = self._told(prompt, tiles[0], self._origin(prompt))
        assert first is not None  # tiles_for leaves out those that are told nothing
        proposal = self.predictor.decode(embeddings[0], first, multimask)
        regions = self._regions(tiles[0], proposal)
        if len(self.grid) == 1:
            return PlaneAnswer(self.shape, regions, proposal)
        begun, rest = self._elsewhere(prompt, tiles, embeddings)

        def ask(tile: int, points: NDArray[np.float64]) -> Sequence[Region] | None:
            return self._follow(prompt, tile, points, complete, cancel)

        results: list[Stitched] = []
        most = MOST_TILES
        for region in regions:  # the best first: together they ask as many tiles as one may
            begin = united(region, rest)
            results.append(stitch(self.grid, begun, begin, ask, self._margin, most))
            most -= results[-1].asked
        used, missing = (
            tuple(dict.fromkeys(tile for result in results for tile in getattr(result, name)))
            for name in ("tiles", "missing")
        )
        return PlaneAnswer(
            self.shape, tuple(one.region for one in results), proposal, used, missing, self._origins
        )

    def _ready(self, tiles: Sequence[int]) -> list[Embedding]:
        found = [self.embeddings.peek(tile) for tile in tiles]
        if None in found:
            raise NotEncoded([t for t, one in zip(tiles, found, strict=True) if one is None])
        return [one for one in found if one is not None]

    def _regions(self, tile: int, proposal: Proposal) -> tuple[Region, ...]:
        rows, cols = self.grid.place(tile)
        return tuple(
            shifted(self.sampling.back(proposal.region(index)), rows.start, cols.start)
            for index in range(len(proposal))
        )

    def _elsewhere(
        self, prompt: Prompt, tiles: Sequence[int], embeddings: Sequence[Embedding]
    ) -> tuple[list[int], Region]:
        """Answer positive points that the tiles before do not see, each in its own tile."""
        begun = [tiles[0]]
        rest = NOWHERE
        positive = [(*point, *point) for point in prompt.points[prompt.labels == 1].tolist()]
        for tile, embedding in zip(tiles[1:], embeddings[1:], strict=True):
            new = any(
                self.grid.holds(tile, one) and not any(self.grid.holds(t, one) for t in begun)
                for one in positive
            )
            part = self._told(prompt, tile) if new else None
            if part is not None:
                rest = united(
                    rest, self._regions(tile, self.predictor.decode(embedding, part, False))[0]
                )
                begun.append(tile)
        return begun, rest

    def _follow(
        self,
        prompt: Prompt,
        tile: int,
        points: NDArray[np.float64],
        complete: bool,
        cancel: threading.Event | None,
    ) -> Sequence[Region] | None:
        """Ask a tile for the object under points, and whatever else the prompt says there."""
        can = self.predictor.capabilities
        embedding = self.embeddings.peek(tile)
        if embedding is None and complete:
            embedding = self.embeddings.encode(tile, cancel)
        if embedding is None:
            return None
        if can.points:
            said = slice(MOST_POINTS - len(points))
            places = np.concatenate([prompt.points[said], points])
            labels = np.concatenate([prompt.labels[said], np.ones(len(points), np.int64)])
            prompt = Prompt(places, labels, prompt.box, prompt.mask)
        part = self._told(prompt, tile)
        if part is None:
            return ()  # a model that takes boxes only, and the box ends before this tile
        several = can.multimask and part.box is None
        return self._regions(tile, self.predictor.decode(embedding, part, several))

    @property
    def _margin(self) -> tuple[int, int]:
        """Rows and columns of a tile that one low-resolution pixel of its masks covers."""
        sizes, factors = self.grid.size, self.sampling.factors
        low = max(size * factor for size, factor in zip(sizes, factors, strict=True)) / LOW
        rows, cols = (max(1, -int(-low // factor)) for factor in factors)
        return rows, cols
