"""One mask from several tiles: where it runs into a tile's border, the next goes on with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.prompts.answer import Region
from napari_cellseg.prompts.tile_region import Place, common, cut, tight, united
from napari_cellseg.prompts.tiles import Grid

#: Tiles asked for one prompt: what is larger than four tiles by four is not a cell.
MOST_TILES = 16

#: Least intersection over union, in what two tiles share, for their masks to be one object.
AGREE = 0.5

#: Parts of a mask that are followed into one tile; more are the specks of an unsure model.
_ARMS = 3

#: Asks a tile for the object under points of the plane, (n, 2): its candidates in the plane's
#: pixels, or None if the tile is not encoded.
Ask = Callable[[int, NDArray[np.float64]], Sequence[Region] | None]


@dataclass(frozen=True, eq=False)
class Stitched:
    """A mask and where it came from.

    Attributes
    ----------
    region : Region
    tiles : tuple of int
        Those that gave a part of it, in order.
    missing : tuple of int
        Those that it runs into but that are not encoded.
    asked : int
        How many tiles were asked to go on with it.
    """

    region: Region
    tiles: tuple[int, ...]
    missing: tuple[int, ...]
    asked: int = 0


def stitch(
    grid: Grid,
    tiles: Sequence[int],
    region: Region,
    ask: Ask,
    margin: tuple[int, int],
    most: int = MOST_TILES,
) -> Stitched:
    """Follow a mask over the borders of its tile.

    A mask that comes within `margin` of a border inside the plane is *open* there. The neighbour
    that sees most of the openings along a border is shown points: of each part of the mask that
    is open there, the deepest in what both tiles see, and the deepest at the opening. Of the
    neighbour's candidates the one that agrees best with the mask in what both see is united with
    it, if their intersection over union there is at least `AGREE`; parts of the mask that neither
    the points nor the candidate touch do not count. Otherwise the mask ends there. Every tile is
    asked once, `most` at most.

    Parameters
    ----------
    grid : Grid
    tiles : sequence of int
        Tiles that gave `region`.
    region : Region
        In the plane's pixels. Returned as it is where it is not open.
    ask : callable
    margin : tuple of int
        Rows and columns along a border where a model's mask may end although the object goes on.
    most : int
        Tiles that may be asked.

    Returns
    -------
    Stitched
    """
    used, tried, missing = list(tiles), list(tiles), list[int]()
    while len(tried) - len(tiles) < most:
        opening = _opening(grid, used, tried, region, margin)
        if opening is None:
            break
        tried.append(opening.tile)
        meeting = _Meeting(grid, region, opening)
        candidates = ask(opening.tile, meeting.seeds())
        if candidates is None:
            missing.append(opening.tile)
            continue
        agreement = [meeting.agreement(one) for one in candidates]
        if agreement and max(agreement) >= AGREE:
            used.append(opening.tile)
            region = united(region, candidates[int(np.argmax(agreement))])
    return Stitched(region, tuple(used), tuple(missing), len(tried) - len(tiles))


@dataclass(frozen=True, eq=False)
class _Opening:
    """Where a mask leaves its tile `origin`, and the tile that sees most of that."""

    origin: int
    tile: int
    strip: Place
    pixels: NDArray[np.bool_]


def _opening(
    grid: Grid, used: list[int], tried: list[int], region: Region, margin: tuple[int, int]
) -> _Opening | None:
    """Return the first opening that a tile not yet asked can close."""
    for origin in used:
        for strip in grid.margins(origin, margin):
            if not _meets(region[0], strip):
                continue
            pixels = cut(region, strip)
            for other in tried:
                if other != origin:
                    pixels[_local(grid.inner(other, margin), strip)] = False
            if not pixels.any():
                continue
            pixels = _main(pixels)
            seen = {
                other: int(pixels[_local(grid.inner(other, margin), strip)].sum())
                for other in grid.sorted_from(
                    _centre(pixels, strip), iter(set(grid.neighbours(origin)) - set(tried))
                )
            }
            tile = max(seen, key=lambda other: seen[other], default=None)
            if tile is not None and seen[tile]:
                return _Opening(origin, tile, strip, pixels)
    return None


class _Meeting:
    """A mask in what its tile and the next both see, and the parts of it that are open there."""

    def __init__(self, grid: Grid, region: Region, opening: _Opening) -> None:
        self.shared = common(grid.place(opening.origin), grid.place(opening.tile))
        self.window = common(self.shared, region[0])  # no pixel of the mask lies beyond
        self.numbers = _numbered(cut(region, self.window))
        self.mouths = _numbered(cut((opening.strip, opening.pixels), self.window))
        self.open = np.zeros(int(self.numbers.max()) + 1, np.bool_)
        self.open[self.numbers[self.mouths > 0]] = True

    def seeds(self) -> NDArray[np.float64]:
        """Return the deepest point of each open part, and the deepest at each opening, (n, 2)."""
        import cv2

        part = np.pad(self.open[self.numbers], 1).astype(np.uint8)
        depth = cv2.distanceTransform(part, cv2.DIST_L2, 3)[1:-1, 1:-1]
        places = [
            np.unravel_index(int(np.argmax(np.where(several == one, depth, 0))), depth.shape)
            for several, ones in (
                (self.numbers, np.flatnonzero(self.open)),
                (self.mouths, range(1, int(self.mouths.max()) + 1)),
            )
            for one in ones
        ]
        corner = (self.window[0].start, self.window[1].start)
        return np.unique(np.array(places, np.float64) + corner, axis=0)

    def agreement(self, candidate: Region) -> float:
        """Intersection over union of a candidate and the parts of the mask that it should meet."""
        other = cut(candidate, self.window)
        met = self.open.copy()
        met[self.numbers[other]] = True
        met[0] = False
        mine = met[self.numbers]
        beyond = np.count_nonzero(cut(candidate, self.shared)) - np.count_nonzero(other)
        either = np.count_nonzero(mine | other) + beyond
        return np.count_nonzero(mine & other) / either if either else 0.0


def _numbered(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    import cv2

    return np.asarray(cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[1], np.int32)


def _main(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the largest parts of a mask, none under a quarter of the largest, and few."""
    numbers = _numbered(mask)
    counts = np.bincount(numbers.ravel())
    counts[0] = 0
    order = np.argsort(-counts, kind="stable")[:_ARMS]
    return np.isin(numbers, order[counts[order] * 4 >= counts.max()])


def _centre(pixels: NDArray[np.bool_], strip: Place) -> tuple[float, float]:
    (rows, cols), _ = tight((strip, pixels))
    return (rows.start + rows.stop - 1) / 2, (cols.start + cols.stop - 1) / 2


def _meets(one: Place, other: Place) -> bool:
    return all(part.start < part.stop for part in common(one, other))


def _local(place: Place, frame: Place) -> Place:
    """Return the part of a place that lies in a frame, counted from the frame's corner."""
    rows, cols = (
        slice(part.start - whole.start, part.stop - whole.start)
        for part, whole in zip(common(place, frame), frame, strict=True)
    )
    return rows, cols
