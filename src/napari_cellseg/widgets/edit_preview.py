"""What edits would change, as a small picture of codes and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_cellseg.labels import Edit

Slices = tuple[slice, ...]
PARTS = 6
"""Parts of a split that have a colour of their own; after that they repeat."""
ADDED, REMOVED = PARTS + 1, PARTS + 2


@dataclass(frozen=True, eq=False)
class Picture:
    """What would change.

    Attributes
    ----------
    region : tuple of slice
        Over the axes of the labels.
    codes : array of uint8
        0 where nothing changes; 1 … `PARTS` for parts of a split; `ADDED`; `REMOVED`.
    added, removed, parts : int
        Voxels, voxels, and number of parts.
    """

    region: Slices
    codes: NDArray[np.uint8]
    added: int
    removed: int
    parts: int

    def words(self, flat: bool) -> str:
        """Say what would change."""
        voxels = "pixels" if flat else "voxels"
        if self.parts:
            return f"{self.parts} parts, each in a colour of its own"
        said = []
        if self.added:
            said.append(f"{self.added:,} {voxels} more (yellow)")
        if self.removed:
            said.append(f"{self.removed:,} {voxels} less (red)")
        return ", ".join(said) if said else "nothing would change"


def picture(
    labels: NDArray[np.uint32], edits: Sequence[Edit], split: Mapping[int, Slices] | None = None
) -> Picture:
    """Draw what edits would change.

    Parameters
    ----------
    labels : array of uint32
        As they are; not changed.
    edits : sequence of Edit
        One or more, over all axes of the labels.
    split : mapping of int to tuple of slice, optional
        Objects that are split, and their boxes over all axes of the labels: what stays of them is
        shown as a part, too.
    """
    boxes = [edit.region for edit in edits] + list((split or {}).values())
    region = tuple(
        slice(min(box[axis].start for box in boxes), max(box[axis].stop for box in boxes))
        for axis in range(labels.ndim)
    )
    now = labels[region]
    then = now.copy()
    for edit in edits:
        inside = tuple(
            slice(cut.start - base.start, cut.stop - base.start)
            for cut, base in zip(edit.region, region, strict=True)
        )
        np.copyto(then[inside], np.asarray(edit.values, np.uint32), where=edit.mask)
    codes = np.zeros(now.shape, np.uint8)
    changed = then != now
    if split:
        was = np.isin(now, list(split))
        ids = [*split, *(int(one) for one in np.unique(then[was & changed]) if one)]
        for number, id in enumerate(ids):
            codes[was & (then == id)] = 1 + number % PARTS
        return Picture(region, codes, 0, 0, len(ids))
    gone = changed & (then == 0)
    came = changed & (then != 0)
    codes[came], codes[gone] = ADDED, REMOVED
    return Picture(region, codes, int(came.sum()), int(gone.sum()), 0)
