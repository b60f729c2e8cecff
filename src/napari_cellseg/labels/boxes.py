"""Boxes of voxels: tight ones, around others, and what two of them share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.labels.edit import Labels, Slices
from napari_cellseg.labels.packing import Patch


def tight(region: Slices, mask: NDArray[np.bool_]) -> tuple[Slices, NDArray[np.bool_]]:
    """Cut a mask down to the box of what it holds; of size 0 where that is nothing."""
    for axis in range(mask.ndim):
        filled = np.flatnonzero(mask.any(axis=tuple(k for k in range(mask.ndim) if k != axis)))
        if not filled.size:
            return region, mask[(slice(0, 0),) * mask.ndim]
        first, last = int(filled[0]), int(filled[-1]) + 1
        if last - first < mask.shape[axis]:
            mask = mask[(slice(None),) * axis + (slice(first, last),)]
            start = region[axis].start
            cut = slice(start + first, start + last)
            region = (*region[:axis], cut, *region[axis + 1 :])
    return region, mask


def around(patches: Sequence[Patch]) -> Slices | None:
    """Return the box around patches; None where there are none."""
    if not patches:
        return None
    return tuple(
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*(patch.region for patch in patches), strict=True)
    )


def touch(one: Slices, other: Slices) -> bool:
    """Whether two boxes share a voxel."""
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))


def write_into(
    block: Labels, place: Slices, region: Slices, mask: NDArray[np.bool_], values: Labels
) -> None:
    """Write masked values of a region into what of it lies in a block."""
    if not touch(place, region):
        return
    shared = [
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(place, region, strict=True)
    ]
    inside, seen = (
        tuple(
            slice(cut.start - base.start, cut.stop - base.start)
            for cut, base in zip(shared, origin, strict=True)
        )
        for origin in (place, region)
    )
    full = np.zeros(mask.shape, np.uint32)
    full[mask] = values
    np.copyto(block[inside], full[seen], where=mask[seen])
