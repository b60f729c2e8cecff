"""Masks as small pieces of a larger picture, and how two of them overlap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Piece:
    """A mask within a box.

    Attributes
    ----------
    row, col : int
        Where the box begins.
    mask : array of bool
        The pixels of the box.
    area : int
        Pixels that are in the mask.
    """

    row: int
    col: int
    mask: NDArray[np.bool_]
    area: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """First row and column, and the row and column after the last."""
        rows, cols = self.mask.shape
        return self.row, self.col, self.row + rows, self.col + cols

    @property
    def place(self) -> tuple[slice, slice]:
        """Rows and columns of the box."""
        top, left, bottom, right = self.box
        return slice(top, bottom), slice(left, right)


def piece_of(row: int, col: int, mask: NDArray[np.bool_]) -> Piece | None:
    """Return the mask that begins at a pixel, cut down to what it fills; None if it is empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    cols = np.flatnonzero(mask.any(axis=0))
    (top, bottom), (left, right) = rows[[0, -1]].tolist(), cols[[0, -1]].tolist()
    inner = mask[top : bottom + 1, left : right + 1]
    return Piece(row + top, col + left, inner, int(np.count_nonzero(inner)))


def largest(piece: Piece) -> Piece:
    """Return the largest part that hangs together, corners included; the first of equals."""
    from scipy import ndimage

    numbers, count = ndimage.label(piece.mask, np.ones((3, 3)))
    if count == 1:
        return piece
    sizes = np.bincount(numbers.ravel())[1:]
    return piece_of(piece.row, piece.col, numbers == 1 + int(sizes.argmax())) or piece


def shared(one: Piece, two: Piece) -> int:
    """Count the pixels that two pieces share."""
    a, b = one.box, two.box
    top, left = max(a[0], b[0]), max(a[1], b[1])
    bottom, right = min(a[2], b[2]), min(a[3], b[3])
    if top >= bottom or left >= right:
        return 0
    mine = one.mask[top - a[0] : bottom - a[0], left - a[1] : right - a[1]]
    yours = two.mask[top - b[0] : bottom - b[0], left - b[1] : right - b[1]]
    return int(np.count_nonzero(mine & yours))


def apart(
    pieces: list[Piece], order: Iterable[int], limit: float, measure: Literal["union", "smaller"]
) -> list[int]:
    """Keep pieces in an order, each only if it overlaps no kept one by more than a limit.

    Parameters
    ----------
    pieces : list of Piece
    order : iterable of int
        The preferred first.
    limit : float
        Largest overlap of two kept pieces; 1 or more keeps all.
    measure : str
        Of what the overlap is a share: the ``"union"`` of both or the ``"smaller"`` of them.

    Returns
    -------
    list of int
        The kept, in that order.
    """
    order = list(order)
    if limit >= 1:
        return order
    boxes = np.array([piece.box for piece in pieces], np.int64).reshape(-1, 4)
    areas = np.array([piece.area for piece in pieces], np.int64)
    kept: list[int] = []
    for index in order:
        # boxes bound the overlap from above: few pairs need their pixels compared
        low = np.maximum(boxes[kept, :2], boxes[index, :2])
        high = np.minimum(boxes[kept, 2:], boxes[index, 2:])
        most = np.minimum(np.clip(high - low, 0, None).prod(axis=1), areas[kept])
        most = np.minimum(most, areas[index])
        total = areas[kept] + areas[index]
        small = np.minimum(areas[kept], areas[index])
        near = most > limit * (total - most if measure == "union" else small)
        for other in np.asarray(kept, np.int64)[near]:
            common = shared(pieces[index], pieces[other])
            both = int(areas[index] + areas[other])
            least = int(min(areas[index], areas[other]))
            if common > limit * (both - common if measure == "union" else least):
                break
        else:
            kept.append(index)
    return kept
