"""Kernel: a box of a low-resolution mask, enlarged and compared with a threshold in one go."""

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._jit import kernel


@kernel
def enlarge(
    values: NDArray[np.float32],
    row_first: NDArray[np.int64],
    row_weights: NDArray[np.float32],
    col_first: NDArray[np.int64],
    col_weights: NDArray[np.float32],
    threshold: np.float32,
    out: NDArray[np.bool_],
) -> None:
    """Fill `out` (rows, cols) with "the interpolated value exceeds the threshold".

    Columns are interpolated first, on the few input rows that are read: the second pass, over
    every output pixel, then runs along contiguous rows.
    """
    rows, cols = out.shape
    height, width = values.shape
    top = row_first[0]
    bottom = min(row_first[rows - 1] + 3, height)
    wide = np.empty((bottom - top, cols), np.float32)
    for i in range(bottom - top):
        line = values[top + i]
        for c in range(cols):
            a = col_first[c]
            b = min(a + 1, width - 1)
            d = min(a + 2, width - 1)
            wide[i, c] = (
                col_weights[c, 0] * line[a]
                + col_weights[c, 1] * line[b]
                + col_weights[c, 2] * line[d]
            )
    for r in range(rows):
        i = row_first[r] - top
        one, two = wide[i], wide[min(i + 1, bottom - top - 1)]
        three = wide[min(i + 2, bottom - top - 1)]
        u, v, w = row_weights[r, 0], row_weights[r, 1], row_weights[r, 2]
        for c in range(cols):
            out[r, c] = u * one[c] + v * two[c] + w * three[c] > threshold
