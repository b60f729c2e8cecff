"""Parts of an object: who keeps the id, and parts that are connected."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels.edit import Edit, Labels, Slices
from napari_cellseg.labels.operations.geometry import Part, full_connectivity, take

_ISOTROPIC = (1.0, 1.0, 1.0)


def edits_of_parts(
    part: Part,
    id: int,
    owner: NDArray[np.integer],
    count: int,
    new_ids: Callable[[int], list[int]],
    kind: str,
) -> list[Edit]:
    """Return an edit for each part 1 … `count` of an object but the largest, which keeps the id.

    Of parts of the same size the first keeps it.
    """
    sizes = np.bincount(owner[part.mask], minlength=count + 1)[1 : count + 1]
    largest = int(np.argmax(sizes)) + 1
    others = [number for number in range(1, count + 1) if number != largest]
    fresh = new_ids(len(others))
    out: list[Edit] = []
    for number, value in zip(others, fresh, strict=True):
        info = {"id": int(id), "into": [int(id), *map(int, fresh)]} if not out else {}
        out += part.edits(part.mask & (owner == number), value, kind, info)
    return out


def split_components(
    labels: Labels, id: int, box: Slices, new_ids: Callable[[int], list[int]]
) -> list[Edit]:
    """Split an object into its connected components.

    Voxels that share a face, an edge or a corner are connected.

    Parameters
    ----------
    labels : array of uint32, ([z,] y, x)
    id : int
    box : tuple of slice
        Where the object lies.
    new_ids : callable
        ``new_ids(n)`` gives n free ids.

    Returns
    -------
    list of Edit
        One for each part but the largest, which keeps the id.

    Raises
    ------
    InputError
        If the object is in one piece.
    """
    part, pieces, count = _pieces(labels, id, box)
    if count < 2:
        raise InputError(f"Object {id} is in one piece.")
    return edits_of_parts(part, id, pieces, count, new_ids, "split")


def keep_largest(labels: Labels, id: int, box: Slices) -> list[Edit]:
    """Make background of all of an object but its largest connected component.

    Parameters
    ----------
    labels : array of uint32, ([z,] y, x)
    id : int
    box : tuple of slice
        Where the object lies.

    Returns
    -------
    list of Edit
        None if the object is in one piece.
    """
    part, pieces, count = _pieces(labels, id, box)
    if count < 2:
        return []
    sizes = np.bincount(pieces.ravel())
    largest = int(np.argmax(sizes[1:])) + 1
    info = {"id": int(id)}
    return part.edits(part.mask & (pieces != largest), 0, "keep largest", info)


def _pieces(
    labels: Labels, id: int, box: Slices, spacing: Sequence[float] = _ISOTROPIC
) -> tuple[Part, NDArray[np.int32], int]:
    from scipy import ndimage

    part = take(labels, id, box, spacing)
    pieces, count = ndimage.label(part.mask, full_connectivity(part.mask.ndim))
    return part, pieces, int(count)
