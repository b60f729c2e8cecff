"""From masks that overlap to labels that do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.prompts.everything_pieces import Piece, apart, largest, piece_of
from napari_cellseg.prompts.everything_rules import Rules
from napari_cellseg.prompts.everything_view import Candidate

#: A mask this much of which lies in another is nested in it.
NESTED = 0.8

#: A mask that has lost more than this share of itself to others is none any more.
_LEFT = 0.5

#: One row for each object; boxes as in `Prompt`, but in whole pixels: the last row and column are
#: those after the object.
TABLE = np.dtype(
    [("id", "u4"), ("score", "f4"), ("stability", "f4"), ("size", "i8")]
    + [(name, "i8") for name in ("row0", "col0", "row1", "col1")]
    + [("point_row", "f8"), ("point_col", "f8")]
)


def settle(
    candidate: Candidate, plane: tuple[int, int], taken: NDArray[np.bool_] | None, rules: Rules
) -> Candidate | None:
    """Cut a candidate down to what it may become; None where that is no cell.

    Parameters
    ----------
    candidate : Candidate
    plane : tuple of int
        Rows and columns.
    taken : array of bool, (rows, cols), optional
        Pixels that belong to others.
    rules : Rules

    Returns
    -------
    Candidate or None
        Without taken pixels, and in one piece.
    """
    piece: Piece | None = candidate.piece
    if _is_background(candidate.piece, plane, rules):
        return None
    if taken is not None:
        piece = _free(candidate.piece, ~taken[candidate.piece.place])
    if piece is None:
        return None
    whole = largest(piece)
    if whole.area < _LEFT * piece.area:  # many things, and none of them is what was rated
        return None
    if whole.area < rules.smallest or (rules.largest is not None and whole.area > rules.largest):
        return None
    return replace(candidate, piece=whole)


def choose(candidates: list[Candidate], rules: Rules) -> list[Candidate]:
    """Keep one mask of each object.

    Of two masks that are the same but for `rules.duplicate`, the one seen in the smaller view is
    kept, then the one with the higher score. Of two masks one of which lies in the other, the one
    whose size is more like a cell's: of `rules.diameter`, or else of the median of all masks.
    Sizes within a factor of about two of each other count as equal; then the score decides.

    Parameters
    ----------
    candidates : list of Candidate
    rules : Rules

    Returns
    -------
    list of Candidate
        The highest score first.
    """
    if not candidates:
        return []
    order = sorted(range(len(candidates)), key=lambda i: (candidates[i].view, -candidates[i].score))
    pieces = [candidate.piece for candidate in candidates]
    kept = apart(pieces, order, rules.duplicate, "union")
    areas = np.array([piece.area for piece in pieces])
    usual = float(np.median(areas[kept]))
    if rules.diameter is not None:
        usual = np.pi / 4 * rules.diameter**2
    unlike = np.rint(np.abs(np.log2(areas / usual)))
    order = sorted(kept, key=lambda i: (unlike[i], -candidates[i].score))
    kept = apart(pieces, order, NESTED if rules.duplicate < 1 else 1.0, "smaller")
    return sorted((candidates[i] for i in kept), key=lambda candidate: -candidate.score)


def paint(
    candidates: list[Candidate],
    plane: tuple[int, int],
    taken: NDArray[np.bool_] | None,
    rules: Rules,
) -> tuple[NDArray[np.uint32], NDArray[np.void]]:
    """Write masks side by side: where two overlap, the earlier one wins.

    Parameters
    ----------
    candidates : list of Candidate
        The best first.
    plane : tuple of int
        Rows and columns.
    taken : array of bool, (rows, cols), optional
        Pixels that stay 0.
    rules : Rules

    Returns
    -------
    labels : array of uint32, (rows, cols)
        Each object in one piece; what would keep less than half of its mask is left out.
    table : structured array, (n,)
        See `TABLE`; row i describes the object i + 1.
    """
    labels = np.zeros(plane, np.uint32)
    rows: list[tuple[float, ...]] = []
    for candidate in candidates:
        free = labels[candidate.piece.place] == 0
        if taken is not None:
            free &= ~taken[candidate.piece.place]
        left = _free(candidate.piece, free)
        if left is None:
            continue
        left = largest(left)
        if left.area < rules.smallest:
            continue
        labels[left.place][left.mask] = len(rows) + 1
        rows.append(
            (
                *(len(rows) + 1, candidate.score, candidate.stability, left.area),
                *left.box,
                *candidate.point,
            )
        )
    return labels, np.array(rows, TABLE)


def _free(piece: Piece, free: NDArray[np.bool_]) -> Piece | None:
    """What of a piece lies on free pixels of its box; None where that is less than half of it."""
    left = piece_of(piece.row, piece.col, piece.mask & free)
    if left is None or left.area < _LEFT * piece.area:
        return None
    return left


def _is_background(piece: Piece, plane: tuple[int, int], rules: Rules) -> bool:
    """Whether a mask reaches all four sides of its plane, or no size is given and it fills half."""
    if piece.box == (0, 0, *plane):
        return True
    return rules.largest is None and 2 * piece.area > plane[0] * plane[1]
