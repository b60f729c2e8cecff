"""How a plane lies in the square that a model of the SAM family sees, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

#: Side of the square, and of the low-resolution masks (pixels).
SIDE = 1024
LOW = 256

FRAMINGS = ("pad", "stretch")


@dataclass(frozen=True, eq=False)
class Taps:
    """Bilinear interpolation along one axis: where each output pixel reads, and with what weight.

    Attributes
    ----------
    first : array of int64, (n,)
        The first of three neighbouring inputs; never falls.
    weights : array of float32, (n, 3)
        Zero beyond the last input.
    """

    first: NDArray[np.int64]
    weights: NDArray[np.float32]

    def reading(self, low: int, high: int) -> slice:
        """Outputs that read any of the inputs ``low <= i <= high``."""
        return slice(
            int(np.searchsorted(self.first, low - 2)),
            int(np.searchsorted(self.first, high, side="right")),
        )


@dataclass(frozen=True)
class Frame:
    """A plane of `shape` in the model's square.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the plane.
    framing : str
        ``"pad"``: the longer side becomes 1024 and the rest is empty, at the bottom or right;
        ``"stretch"``: both sides become 1024.
    """

    shape: tuple[int, int]
    framing: str

    @cached_property
    def resized(self) -> tuple[int, int]:
        """Rows and columns of the plane in the square."""
        if self.framing == "stretch":
            return SIDE, SIDE
        scale = SIDE / max(self.shape)
        rows, cols = (max(1, int(side * scale + 0.5)) for side in self.shape)
        return rows, cols

    def xy(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn (row, col) of the plane into (x, y) of the square, (n, 2) each.

        The half pixel is added by the prompt encoder, once.
        """
        scale = np.asarray(self.resized, np.float64) / self.shape
        return (np.asarray(places, np.float64) * scale)[:, ::-1]

    @property
    def taps(self) -> tuple[Taps, Taps]:
        """How rows and columns of the plane read the low-resolution mask.

        A padded mask goes to 1024 pixels, is cropped, and goes to the plane, as upstream does;
        both steps are folded into one.
        """
        if self.framing == "stretch":
            return _direct(self.shape[0]), _direct(self.shape[1])
        (rows, cols), (high, wide) = self.shape, self.resized
        return _padded(rows, high), _padded(cols, wide)


def _bilinear(inputs: int, outputs: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Left neighbour of each output and the weight of the right one; pixels are areas."""
    place = np.maximum((np.arange(outputs) + 0.5) * (inputs / outputs) - 0.5, 0)
    left = np.minimum(place.astype(np.int64), inputs - 1)
    return left, np.where(left < inputs - 1, place - left, 0.0)


@lru_cache(maxsize=64)
def _direct(outputs: int) -> Taps:
    left, right = _bilinear(LOW, outputs)
    weights = np.stack([1 - right, right, np.zeros_like(right)], axis=1)
    return Taps(left, weights.astype(np.float32))


@lru_cache(maxsize=64)
def _padded(outputs: int, resized: int) -> Taps:
    inner, inner_right = _bilinear(LOW, SIDE)
    outer, outer_right = _bilinear(resized, outputs)
    first = inner[outer]
    weights = np.zeros((outputs, 3))
    each = np.arange(outputs)
    for place, share in (
        (outer, 1 - outer_right),
        (np.minimum(outer + 1, resized - 1), outer_right),
    ):
        offset = inner[place] - first
        weights[each, offset] += share * (1 - inner_right[place])
        # beyond the last input the right weight is zero, and so is what would overflow
        weights[each, np.minimum(offset + 1, 2)] += share * inner_right[place]
    return Taps(first, weights.astype(np.float32))
