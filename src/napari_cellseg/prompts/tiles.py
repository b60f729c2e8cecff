"""Which parts of a large plane a model sees one by one, and which of them a prompt is for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from napari_cellseg.errors import InputError

#: ``(row0, col0, row1, col1)``, pixel centres at integers.
Bounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class Grid:
    """Equal tiles over a plane, each sharing at least `halo` pixels with the next.

    Tiles are spread evenly, so that the last ones need no filling and share more rather than less:
    the model sees every part at one scale. An object no larger than the halo lies whole in the
    tile that centres it best.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the plane.
    size : tuple of int
        Of a tile; cut to the plane.
    halo : tuple of int
        Pixels that neighbours share along rows and columns; less than `size`.

    Raises
    ------
    InputError
        If tiles have no pixels or no room between their halos.
    """

    shape: tuple[int, int]
    size: tuple[int, int]
    halo: tuple[int, int]

    def __post_init__(self) -> None:
        if min(self.size) < 1 or any(
            not 0 <= halo <= size // 2 for halo, size in zip(self.halo, self.size, strict=True)
        ):
            raise InputError(
                f"Tiles of {self.size} pixels cannot share {self.halo}: choose a halo of half a "
                "tile at most."
            )
        whole = tuple(min(pair) for pair in zip(self.shape, self.size, strict=True))
        object.__setattr__(self, "size", whole)

    @cached_property
    def starts(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """First row of each row of tiles, and first column of each column of tiles."""
        return self._along(0), self._along(1)

    def _along(self, axis: int) -> tuple[int, ...]:
        spare = self.shape[axis] - self.size[axis]
        steps = -(-spare // max(1, self.size[axis] - self.halo[axis]))
        return tuple(round(spare * step / steps) for step in range(steps + 1)) if steps else (0,)

    def __len__(self) -> int:
        return len(self.starts[0]) * len(self.starts[1])

    def place(self, tile: int) -> tuple[slice, slice]:
        """Rows and columns of a tile in the plane."""
        row, col = (starts[at] for starts, at in zip(self.starts, self._split(tile), strict=True))
        return slice(row, row + self.size[0]), slice(col, col + self.size[1])

    def bounds(self, tile: int) -> Bounds:
        """A tile's outline: half a pixel around its pixel centres."""
        rows, cols = self.place(tile)
        return rows.start - 0.5, cols.start - 0.5, rows.stop - 0.5, cols.stop - 0.5

    def holds(self, tile: int, bounds: Bounds) -> bool:
        """Whether a tile holds all of a box or point."""
        row0, col0, row1, col1 = self.bounds(tile)
        return row0 <= bounds[0] and col0 <= bounds[1] and bounds[2] <= row1 and bounds[3] <= col1

    def best(self, bounds: Bounds) -> int:
        """Return the tile whose centre is nearest to that of a box or point."""
        row, col = (self._nearest(axis, bounds) for axis in (0, 1))
        return self._joined(row, col)

    def covering(self, bounds: Bounds) -> tuple[int, ...]:
        """Return the tiles that hold a box together, beginning with the best."""
        ranges = []
        for axis, starts in enumerate(self.starts):
            low = high = self._nearest(axis, bounds)
            while low > 0 and starts[low] - 0.5 > bounds[axis]:
                low -= 1
            while (
                high + 1 < len(starts) and starts[high] + self.size[axis] - 0.5 < bounds[axis + 2]
            ):
                high += 1
            ranges.append(range(low, high + 1))
        return self.sorted_from(
            _middle(bounds), (self._joined(row, col) for row, col in product(*ranges))
        )

    def neighbours(self, tile: int) -> tuple[int, ...]:
        """Return the up to eight tiles around a tile."""
        row, col = self._split(tile)
        rows, cols = (
            range(max(0, at - 1), min(len(starts), at + 2))
            for at, starts in zip((row, col), self.starts, strict=True)
        )
        around = (self._joined(*pair) for pair in product(rows, cols))
        return tuple(other for other in around if other != tile)

    def sorted_from(self, place: tuple[float, float], tiles: Iterator[int]) -> tuple[int, ...]:
        """Sort tiles by the distance of their centres from a place."""

        def distance(tile: int) -> float:
            middle = _middle(self.bounds(tile))
            return (middle[0] - place[0]) ** 2 + (middle[1] - place[1]) ** 2

        return tuple(sorted(tiles, key=distance))

    def inner(self, tile: int, margin: tuple[int, int]) -> tuple[slice, slice]:
        """Return a tile without a margin along the borders that are not the plane's."""
        rows, cols = (
            slice(
                part.start + (margin[axis] if part.start > 0 else 0),
                part.stop - (margin[axis] if part.stop < self.shape[axis] else 0),
            )
            for axis, part in enumerate(self.place(tile))
        )
        return rows, cols

    def margins(self, tile: int, margin: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
        """Yield the strips along the borders of a tile that are not the plane's."""
        place, inner = self.place(tile), self.inner(tile, margin)
        for axis in (0, 1):
            before = slice(place[axis].start, inner[axis].start)
            after = slice(inner[axis].stop, place[axis].stop)
            for strip in (before, after):
                if strip.start < strip.stop:
                    yield (strip, place[1]) if axis == 0 else (place[0], strip)

    def _nearest(self, axis: int, bounds: Bounds) -> int:
        middle = _middle(bounds)[axis]
        centres = np.array(self.starts[axis]) + (self.size[axis] - 1) / 2
        return int(np.abs(centres - middle).argmin())

    def _split(self, tile: int) -> tuple[int, int]:
        row, col = divmod(range(len(self))[tile], len(self.starts[1]))
        return row, col

    def _joined(self, row: int, col: int) -> int:
        return row * len(self.starts[1]) + col


def _middle(bounds: Bounds) -> tuple[float, float]:
    return (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2
