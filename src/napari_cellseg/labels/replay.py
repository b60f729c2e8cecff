"""What a record of the journal writes, as plain boxes, masks and ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.labels.edit import Labels, Slices
from napari_cellseg.labels.packing import header_of, patches_of


def writes(
    payload: bytes, read: Callable[[int], bytes]
) -> Iterator[tuple[Slices, NDArray[np.bool_], Labels]]:
    """Yield what a record writes, in order.

    Parameters
    ----------
    payload : bytes
        A record: a step, or that one was undone or made again.
    read : callable
        Gives the record with a number: that of the step which was undone.

    Yields
    ------
    region : tuple of slice
    mask : array of bool
        Of the region's shape.
    values : array of uint32
        Ids of the masked voxels, in C order.
    """
    header, _ = header_of(payload)
    kind = header["do"]
    if kind == "undo":
        for patch in reversed(list(patches_of(read(int(header["of"]))))):
            yield patch.region, patch.mask, patch.before
        return
    source = read(int(header["of"])) if kind == "redo" else payload
    for patch in patches_of(source):
        yield patch.region, patch.mask, patch.after
