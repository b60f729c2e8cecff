"""The outline of the object in hand, in a layer of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Slices = tuple[slice, ...]


class Outline:
    """An array that is 1 on the border of one object; only the object's box is ever touched.

    Parameters
    ----------
    shape : tuple of int
        Of the labels.

    Attributes
    ----------
    array : array of uint8
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.array: NDArray[np.uint8] = np.zeros(shape, np.uint8)
        self._drawn: Slices | None = None

    def draw(
        self, region: Slices | None, mask: NDArray[np.bool_] | None, along: Sequence[int]
    ) -> list[Slices]:
        """Outline an object, or (None) nothing; return the boxes that have changed.

        Parameters
        ----------
        region : tuple of slice or None
            Over the label axes.
        mask : array of bool or None
            The object in that region.
        along : sequence of int
            Axes of the labels that are displayed: in them, a border is where the object ends.
        """
        changed = []
        if self._drawn is not None:
            self.array[self._drawn] = 0
            changed.append(self._drawn)
        self._drawn = None
        if region is not None and mask is not None:
            self.array[region] = border(mask, along)
            self._drawn = region
            if region not in changed:
                changed.append(region)
        return changed


def border(mask: NDArray[np.bool_], along: Sequence[int]) -> NDArray[np.bool_]:
    """Return the voxels of a mask that touch what is not in it, along some of the axes."""
    structure = np.zeros((3,) * mask.ndim, bool)
    structure[(1,) * mask.ndim] = True
    for axis in along:
        for side in (0, 2):
            at = [1] * mask.ndim
            at[axis] = side
            structure[tuple(at)] = True
    inner: NDArray[np.bool_] = ndimage.binary_erosion(mask, structure)
    return mask & ~inner
