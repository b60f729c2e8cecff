"""Edits of several objects at once that would take the same voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_cellseg.labels.edit import Edit, Slices
from napari_cellseg.labels.operations.geometry import clipped


def first_come(edits: Sequence[Edit]) -> list[Edit]:
    """Leave out of each edit the voxels that one before it gives to an object.

    Parameters
    ----------
    edits : sequence of Edit
        Each with one id for all of its voxels.

    Returns
    -------
    list of Edit
        Without those that have no voxel left.
    """
    if len(edits) < 2:
        return list(edits)
    low = np.array([[cut.start for cut in edit.region] for edit in edits])
    high = np.array([[cut.stop for cut in edit.region] for edit in edits])
    giving = np.array([np.any(edit.values) for edit in edits])
    out: list[Edit] = []
    for k, edit in enumerate(edits):
        mask = edit.mask
        near = ((low[:k] < high[k]) & (high[:k] > low[k])).all(axis=1) & giving[:k]
        if near.any():
            mask = mask.copy()
        for j in np.flatnonzero(near).tolist():
            shared = clipped(edit.region, edits[j].region)
            mask[_seen(edit.region, shared)] &= ~edits[j].mask[_seen(edits[j].region, shared)]
        if mask.any():
            out.append(edit if mask is edit.mask else replace(edit, mask=mask))
    return out


def _seen(origin: Slices, box: Slices) -> Slices:
    return tuple(
        slice(cut.start - base.start, cut.stop - base.start)
        for cut, base in zip(box, origin, strict=True)
    )
