"""The candidate masks with which a predictor answers a prompt."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.prompts._enlarge import enlarge
from napari_cellseg.prompts.answer import Region
from napari_cellseg.prompts.framing import Frame


@dataclass(frozen=True, eq=False)
class Proposal:
    """Candidate masks, best first, enlarged to the plane only when and where they are asked for.

    Parameters
    ----------
    scores : array of float32, (n,)
        The intersection over union with the object that the model predicts, falling.
    logits : array of float32, (n, 256, 256)
        Low-resolution masks in the model's square; a later prompt takes one as its mask.
    frame : Frame
        How the plane lies in that square.
    blends : str
        What is interpolated: ``"logits"`` (compared with 0), or ``"probability"`` (with 0.5).
    """

    scores: NDArray[np.float32]
    logits: NDArray[np.float32]
    frame: Frame
    blends: str = "logits"
    _regions: dict[int, Region] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the plane."""
        return self.frame.shape

    @cached_property
    def masks(self) -> NDArray[np.bool_]:
        """Every candidate over the whole plane, bool (n, rows, cols)."""
        masks = np.zeros((len(self), *self.shape), np.bool_)
        for index, mask in enumerate(masks):
            place, inside = self.region(index)
            mask[place] = inside
        return masks

    def region(self, index: int = 0) -> Region:
        """Return a candidate within its bounding box; no other part of it is computed.

        Parameters
        ----------
        index : int
            0 is the best.

        Returns
        -------
        box : tuple of slice
            Rows and columns; empty if the mask is.
        mask : array of bool
            The pixels of the box.
        """
        index = range(len(self))[index]
        if index not in self._regions:
            self._regions[index] = self._enlarged(index)
        return self._regions[index]

    def refine(self, index: int = 0) -> NDArray[Any] | None:
        """Return a candidate's logits, (256, 256): the mask of a further prompt on the plane."""
        logits: NDArray[np.float32] = self.logits[index]
        return logits

    def _enlarged(self, index: int) -> Region:
        values, threshold = self.logits[index], 0.0
        if self.blends == "probability":
            with np.errstate(over="ignore"):
                values = (1 / (1 + np.exp(-values))).astype(np.float32)
            threshold = 0.5
        inside = values > threshold
        if not inside.any():
            return _NOWHERE
        # weights are never negative: a pixel that reads no positive value is not positive
        rows, cols = (
            taps.reading(*np.flatnonzero(inside.any(axis=1 - axis))[[0, -1]])
            for axis, taps in enumerate(self.frame.taps)
        )
        tall, wide = self.frame.taps
        mask = np.empty((rows.stop - rows.start, cols.stop - cols.start), np.bool_)
        if mask.size == 0:
            return _NOWHERE
        enlarge(
            values,
            tall.first[rows],
            tall.weights[rows],
            wide.first[cols],
            wide.weights[cols],
            np.float32(threshold),
            mask,
        )
        return _tight(mask, rows.start, cols.start)


_NOWHERE: Region = ((slice(0, 0), slice(0, 0)), np.zeros((0, 0), np.bool_))


def _tight(mask: NDArray[np.bool_], row: int, col: int) -> Region:
    """Cut a mask that begins at a pixel down to its bounding box."""
    filled_rows = np.flatnonzero(mask.any(axis=1))
    if not len(filled_rows):
        return _NOWHERE
    filled_cols = np.flatnonzero(mask.any(axis=0))
    top, bottom = int(filled_rows[0]), int(filled_rows[-1]) + 1
    left, right = int(filled_cols[0]), int(filled_cols[-1]) + 1
    place = slice(row + top, row + bottom), slice(col + left, col + right)
    return place, mask[top:bottom, left:right]
