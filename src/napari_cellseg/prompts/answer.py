"""What a prompt gives on a plane, whether the plane was seen whole or in tiles."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

#: A mask's rows and columns in the plane, and its pixels there.
Region = tuple[tuple[slice, slice], NDArray[np.bool_]]


@runtime_checkable
class Answer(Protocol):
    """Candidate masks of one prompt, best first, in the pixels of the plane."""

    @property
    def scores(self) -> NDArray[np.float32]:
        """Predicted intersection over union of each candidate, falling, (n,)."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the plane."""
        ...

    def __len__(self) -> int:
        """Number of candidates."""
        ...

    def region(self, index: int = 0) -> Region:
        """A candidate within its bounding box: row and column slices, bool mask of that box."""
        ...

    def refine(self, index: int = 0) -> NDArray[Any] | None:
        """What a further prompt on this plane passes as its mask; None where there is nothing."""
        ...
