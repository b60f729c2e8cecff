"""Black and white of a plane too large to be read: from a sample of blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_cellseg.prompts.eight_bit import PERCENTILES

_BLOCKS, _SIDE = 8, 128


def sampled_limits(plane: Any) -> tuple[float, float] | None:
    """Return limits that all tiles of a plane share.

    Percentiles of 8 × 8 blocks of 128² pixels, spread evenly: a tile's own percentiles would show
    a dark tile as bright as its neighbour, and an empty one as noise.

    Parameters
    ----------
    plane : array-like, (rows, cols) or (rows, cols, 3)
        Only the blocks are read.

    Returns
    -------
    two floats or None
        None for uint8, which needs no limits, and where all that was read is equal or not finite.
    """
    if getattr(plane, "dtype", None) == np.uint8:
        return None
    rows, cols = (
        [round(start) for start in np.linspace(0, max(0, side - _SIDE), _BLOCKS)]
        for side in plane.shape[:2]
    )
    values = np.concatenate(
        [
            np.asarray(plane[row : row + _SIDE, col : col + _SIDE]).ravel()
            for row in rows
            for col in cols
        ]
    )
    values = values[np.isfinite(values)].astype(np.float64)
    if not values.size:
        return None
    low, high = (float(value) for value in np.percentile(values, PERCENTILES))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else None
