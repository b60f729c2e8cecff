"""What the review needs of an object table, and one made from labels alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cellseg.labels.review.item import Slices

Key = tuple[int, int]


class Objects(Protocol):
    """Which objects there are and where; t is 0 where there is no time axis."""

    def __contains__(self, key: Key) -> bool:
        """Whether there is an object ``(t, id)``."""
        ...

    def keys(self) -> list[Key]:
        """All ``(t, id)``."""
        ...

    def box(self, id: int, t: int = 0) -> Slices:
        """Tight spatial box."""
        ...


class LabelBoxes:
    """Boxes of the objects of a label array, found in one pass.

    Parameters
    ----------
    labels : array of int, ([t,] [z,] y, x)
    timed : bool
        Whether the first axis is time.
    """

    def __init__(self, labels: NDArray[np.integer], timed: bool = False) -> None:
        from scipy import ndimage as ndi

        self._boxes: dict[Key, Slices] = {}
        frames = labels if timed else labels[None]
        for t, frame in enumerate(frames):
            # a table by id would be as long as the largest id; ids may be large and few
            ids, index = np.unique(frame, return_inverse=True)
            if ids.size and ids[0] != 0:
                ids, index = np.concatenate([[0], ids]), index + 1
            found = ndi.find_objects(index.reshape(frame.shape).astype(np.int32))
            for number, box in zip(ids[1:].tolist(), found, strict=True):
                self._boxes[t, number] = box

    def __contains__(self, key: Key) -> bool:
        return key in self._boxes

    def keys(self) -> list[Key]:
        """All ``(t, id)``, rising."""
        return sorted(self._boxes)

    def box(self, id: int, t: int = 0) -> Slices:
        """Tight spatial box of an object."""
        return self._boxes[t, id]
