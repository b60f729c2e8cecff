"""What a label file says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class LabelFile:
    """Labels, and what their file says about them.

    Attributes
    ----------
    labels : ndarray of uint32
        ([t,] [z,] y, x); C-contiguous, native byte order, writable.
    axes : str
        Their axes; a notice says where the file does not state them.
    spacing : tuple of float or None
        (z, y, x) in µm; None where the file does not state it.
    notices : tuple of str
        A sentence for each thing that was assumed or left out.
    original_ids : ndarray of int or None
        Only where ids of the file do not fit: element `k` is the file's id of object `k` (element
        0 is 0). `restore_ids` goes back.
    metadata : dict
        Recipe that napari-cellseg wrote into the file; empty for other files.
    """

    labels: NDArray[np.uint32]
    axes: str
    spacing: tuple[float, float, float] | None
    notices: tuple[str, ...] = ()
    original_ids: NDArray[np.integer[Any]] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
