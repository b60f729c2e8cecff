"""Another array in place of the labels, and where it differs."""

from __future__ import annotations

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.labels.boxes import around, tight
from napari_cellseg.labels.edit import Labels
from napari_cellseg.labels.gathering import keys_in
from napari_cellseg.labels.packing import Patch, pack_patches
from napari_cellseg.labels.table import ObjectTable

SPATIAL = {"yx": 2, "zyx": 3, "tyx": 2, "tzyx": 3}
"""Axes that labels can have, and how many of them are in space."""


class Replacement:
    """Another array for the labels, and what has to be known of it.

    Parameters
    ----------
    of : array of uint32
        The present labels; read only.
    labels : array of uint32
        Of the same shape.
    axes : str
    """

    def __init__(self, of: Labels, labels: Labels, axes: str) -> None:
        if labels.shape != of.shape:
            raise InputError(
                f"Labels of shape {labels.shape} cannot take the place of those of shape "
                f"{of.shape}."
            )
        if labels.dtype != np.uint32:
            raise InputError("Labels must be writable, contiguous and uint32: use as_labels.")
        timed = axes.startswith("t")
        patches = differences(of, labels, timed)
        self.of, self.labels = of, labels
        self.keys = keys_in(patches, timed)
        self.region = around(patches)
        self.count = sum(len(patch.before) for patch in patches)
        self.packed = pack_patches(patches)
        self.objects = ObjectTable(as_volumes(labels, axes), SPATIAL[axes])
        self.version = -1


def as_volumes(labels: Labels, axes: str) -> Labels:
    """Return labels as (t, z, y, x), sharing their memory."""
    times = labels.shape[0] if axes.startswith("t") else 1
    planes = labels.shape[-3] if "z" in axes else 1
    return labels.reshape(times, planes, *labels.shape[-2:])


def differences(old: Labels, new: Labels, timed: bool, block: int = 2**20) -> list[Patch]:
    """Return where two arrays of one shape differ, as patches of up to about `block` voxels.

    With time no patch spans two time points.
    """
    patches: list[Patch] = []
    shape = old.shape
    if timed:
        return [
            Patch((slice(t, t + 1), *one.region), one.mask[None], one.before, one.after)
            for t in range(shape[0])
            for one in differences(old[t], new[t], False, block)
        ]
    depth = max(1, block // max(1, int(np.prod(shape[1:]))))
    for begin in range(0, shape[0], depth):
        part = slice(begin, min(shape[0], begin + depth))
        unequal = old[part] != new[part]
        region = (part, *(slice(0, size) for size in shape[1:]))
        region, unequal = tight(region, unequal)
        if unequal.size:
            patches.append(Patch(region, unequal, old[region][unequal], new[region][unequal]))
    return patches
