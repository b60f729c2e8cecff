"""What labels would look like after edits, within the box that they touch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.labels.edit import Edit, Labels, Slices
from napari_cellseg.labels.operations.geometry import union


def preview(labels: Labels, edits: Sequence[Edit]) -> tuple[Slices, Labels]:
    """Return the box around edits, and a copy of the labels there with the edits made.

    Parameters
    ----------
    labels : array of uint32
        Not changed.
    edits : sequence of Edit
        One or more, over the axes of the labels.

    Returns
    -------
    region : tuple of slice
    box : array of uint32, shape of the region

    Raises
    ------
    InputError
        If there are no edits.
    """
    if not edits:
        raise InputError("There is nothing to show: the operation changes nothing.")
    region = union([edit.region for edit in edits])
    box = labels[region].copy()
    for edit in edits:
        place = tuple(
            slice(cut.start - base.start, cut.stop - base.start)
            for cut, base in zip(edit.region, region, strict=True)
        )
        values = np.asarray(edit.values, labels.dtype)
        np.copyto(box[place], values, where=edit.mask)
    return region, box
