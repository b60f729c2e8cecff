"""A mask as a prompt: 256² logits in the model's square."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.framing import LOW, SIDE, Frame

#: How sure a drawn mask is of its pixels; models return logits of this size for clear objects.
_DOUBT = 1e-3


def mask_logits(mask: NDArray[Any], frame: Frame) -> NDArray[np.float32]:
    """Return what the prompt encoder takes for a mask.

    Parameters
    ----------
    mask : array
        Bool of the plane's shape, or the logits of a proposal of the same plane, (256, 256).
    frame : Frame

    Returns
    -------
    array of float32, (256, 256)

    Raises
    ------
    InputError
        If logits have another shape.
    """
    if mask.dtype != bool:
        if mask.shape != (LOW, LOW):
            raise InputError(
                f"The prompt's mask logits have shape {mask.shape}, but ({LOW}, {LOW}) is needed: "
                "pass a bool mask of the plane, or a proposal's logits."
            )
        return np.asarray(mask, np.float32)
    covered = mask.astype(np.float32)
    for axis in (0, 1):
        covered = _pooled(covered, axis, frame.resized[axis] / frame.shape[axis])
    sure = np.clip(covered, _DOUBT, 1 - _DOUBT)
    return np.asarray(np.log(sure / (1 - sure)), np.float32)


def _pooled(values: NDArray[np.float32], axis: int, scale: float) -> NDArray[np.float32]:
    """Mean over the length of the axis that each of 256 low-resolution pixels covers.

    The integral of a step function is linear between its corners: sums up to fractional edges are
    interpolated from the running sum.
    """
    moved = np.moveaxis(values, axis, 0)
    count = len(moved)
    total = np.concatenate([np.zeros_like(moved[:1]), np.cumsum(moved, axis=0, dtype=np.float32)])
    edges = np.minimum(np.arange(LOW + 1) * (SIDE / LOW / scale), count)
    left = np.minimum(edges.astype(np.int64), count - 1)
    part = (edges - left).astype(np.float32)[:, None]
    upto = total[left] * (1 - part) + total[left + 1] * part
    width = np.float32(SIDE / LOW / scale)
    return np.moveaxis(np.diff(upto, axis=0) / width, 0, axis)
