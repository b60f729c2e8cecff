"""The masks of one view: rated on the model's small masks, and only the best ones enlarged.

Rating follows segment-anything's mask generator (Kirillov et al., ICCV 2023, appendix), except that
stability, borders and duplicates are judged on 256² logits instead of on the plane's own pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.prompts.everything_decode import Decoded
from napari_cellseg.prompts.everything_grid import Place, extent, start
from napari_cellseg.prompts.everything_pieces import Piece, apart, piece_of
from napari_cellseg.prompts.everything_rules import Rules
from napari_cellseg.prompts.framing import LOW, SIDE, Frame
from napari_cellseg.prompts.proposal import Proposal

#: How close to a border of its view a mask counts as cut by it (pixels of the small mask).
_BORDER = 2.0

#: Interpolation reads up to two small pixels beside a positive one.
_MARGIN = 2

#: Small masks are only roughly as large as the masks they become.
_ROUGHLY = 1.5


@dataclass(frozen=True, eq=False)
class Candidate:
    """A mask that may become an object.

    Attributes
    ----------
    piece : Piece
        In pixels of the plane; in those of the small mask before it is enlarged.
    score, stability : float
    point : tuple of float
        (row, col) in the plane: what was asked.
    view : int
        Pixels of the view that it was seen in.
    """

    piece: Piece
    score: float
    stability: float
    point: tuple[float, float]
    view: int


class ViewMasks:
    """Collects the masks of one view.

    Parameters
    ----------
    place : tuple of slice
        The view's rows and columns in the plane.
    plane : tuple of int
        Rows and columns of the plane.
    framing, blends : str
        See `Frame` and `Proposal`.
    rules : Rules
    """

    def __init__(
        self, place: Place, plane: tuple[int, int], framing: str, blends: str, rules: Rules
    ) -> None:
        self.rules = rules
        self.blends = blends
        self.shape = extent(place)
        self.corner = start(place)
        self.frame = Frame(self.shape, framing)
        #: Small pixels per pixel of the plane, along rows and columns.
        self.scale = tuple(
            n * LOW / SIDE / m for n, m in zip(self.frame.resized, self.shape, strict=True)
        )
        self.ends = tuple(place[axis].stop < plane[axis] for axis in (0, 1))
        self._found: list[tuple[Candidate, int, int, NDArray[np.float32]]] = []

    def add(self, decoded: Decoded, points: NDArray[np.float64]) -> None:
        """Rate masks, and remember those that pass.

        Parameters
        ----------
        decoded : Decoded
        points : array of float, (n, 2)
            (row, col) in the view, that `decoded` answers.
        """
        # what lies beyond the plane in a padded square is no part of a mask
        high, wide = (-(-n * LOW // SIDE) for n in self.frame.resized)
        logits = decoded.logits[:, :high, :wide]
        stabilities = stability(logits, self.rules.stability_offset)
        for index in np.flatnonzero(stabilities >= self.rules.least_stability):
            piece = piece_of(0, 0, logits[index] > 0)
            if piece is None or self._too_large(piece) or self._cut(piece):
                continue
            row, col = points[decoded.source[index]].tolist()
            candidate = Candidate(
                piece,
                float(decoded.scores[index]),
                float(stabilities[index]),
                (row + self.corner[0], col + self.corner[1]),
                self.shape[0] * self.shape[1],
            )
            top, left, bottom, right = piece.box
            top, left = max(top - _MARGIN, 0), max(left - _MARGIN, 0)
            values = decoded.logits[index, top : bottom + _MARGIN, left : right + _MARGIN].copy()
            self._found.append((candidate, top, left, values))

    def best(self) -> list[Candidate]:
        """Drop duplicates, the worse of each two, and enlarge the rest to the plane."""
        pieces = [found[0].piece for found in self._found]
        order = np.argsort([-found[0].score for found in self._found], kind="stable").tolist()
        kept = apart(pieces, order, self.rules.duplicate, "union")
        large = (self._enlarged(*self._found[index]) for index in kept)
        return [candidate for candidate in large if candidate is not None]

    def _too_large(self, piece: Piece) -> bool:
        most = self.rules.largest
        if most is None:
            return False
        return piece.area / (self.scale[0] * self.scale[1]) > _ROUGHLY * most

    def _cut(self, piece: Piece) -> bool:
        """Whether a side of the view that is no side of the plane cuts the mask."""
        for axis in (0, 1):
            reach = max(_BORDER, self.scale[axis])
            end = self.shape[axis] * self.scale[axis]
            if self.corner[axis] > 0 and piece.box[axis] < reach:
                return True
            if self.ends[axis] and piece.box[axis + 2] > end - reach:
                return True
        return False

    def _enlarged(
        self, candidate: Candidate, top: int, left: int, values: NDArray[np.float32]
    ) -> Candidate | None:
        logits = np.full((1, LOW, LOW), -1, np.float32)
        logits[0, top : top + values.shape[0], left : left + values.shape[1]] = values
        scores = np.array([candidate.score], np.float32)
        (rows, cols), mask = Proposal(scores, logits, self.frame, self.blends).region()
        piece = piece_of(rows.start + self.corner[0], cols.start + self.corner[1], mask)
        if piece is None:
            return None
        return Candidate(
            piece, candidate.score, candidate.stability, candidate.point, candidate.view
        )


def stability(logits: NDArray[np.float32], offset: float) -> NDArray[np.float32]:
    """How little masks change with their threshold.

    Parameters
    ----------
    logits : array of float32, (n, rows, cols)
    offset : float

    Returns
    -------
    array of float32, (n,)
        The mask at the threshold ``+offset`` as a share of that at ``-offset``; 0 for an empty one.
    """
    inner = np.count_nonzero(logits > offset, axis=(1, 2))
    outer = np.count_nonzero(logits > -offset, axis=(1, 2))
    share: NDArray[np.float32] = (inner / np.maximum(outer, 1)).astype(np.float32)
    return share
