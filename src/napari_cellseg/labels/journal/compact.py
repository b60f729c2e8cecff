"""A newer snapshot from an older one and the records behind it, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.labels.journal.snapshot import Labels, Slices, Snapshot

#: A box that a record writes: region, mask, and ids (one, one per masked voxel, one per voxel).
Write: TypeAlias = tuple[Slices, NDArray[np.bool_], Any]
#: What a record writes, given its payload and a way to read other records.
Writes: TypeAlias = Callable[[bytes, Callable[[int], bytes]], Iterator[Write]]


class Replay:
    """Labels after a record, computed for one block at a time.

    Parameters
    ----------
    source : Snapshot
        Where to start from.
    last : int
        The record that is included.
    read : callable
        Gives the payload of a record.
    writes : callable
        Says what a payload writes.
    between : callable
        Called before each record is looked at; what it raises goes through.
    """

    def __init__(
        self,
        source: Snapshot,
        last: int,
        read: Callable[[int], bytes],
        writes: Writes,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self._source = source
        self._read = read
        self._writes = writes
        self._between = between
        self._places = {_corner(box): number for number, box in enumerate(source.boxes)}
        # where each record writes: most records miss most blocks and need not be unpacked again
        self._regions: list[tuple[int, list[Slices]]] = []
        for number in range(source.number + 1, last + 1):
            between()
            regions = [region for region, _, _ in writes(read(number), read)]
            if regions:
                self._regions.append((number, regions))

    def block(self, box: Slices) -> Labels:
        """Return the labels of one of the source's blocks."""
        labels = self._source.read(self._places[_corner(box)])
        for number, regions in self._regions:
            if any(_common(box, region) is not None for region in regions):
                self._between()
                for region, mask, values in self._writes(self._read(number), self._read):
                    put(labels, box, region, mask, values)
        return labels


def put(labels: Labels, box: Slices, region: Slices, mask: NDArray[np.bool_], values: Any) -> None:
    """Write what of an edit falls into a box.

    Parameters
    ----------
    labels : array of uint32
        The labels of the box; changed in place.
    box, region : tuple of slice
        Where the labels and the edit lie in the whole.
    mask : array of bool
        Of the region's shape.
    values : int or array
        One id, an id per masked voxel in C order, or an array of ids of the region's shape.
    """
    common = _common(box, region)
    if common is None:
        return
    here = tuple(slice(a - s.start, b - s.start) for (a, b), s in zip(common, box, strict=True))
    there = tuple(slice(a - s.start, b - s.start) for (a, b), s in zip(common, region, strict=True))
    chosen = mask[there]
    ids = np.asarray(values)
    if ids.ndim == 0:
        labels[here][chosen] = ids
        return
    if ids.shape != mask.shape:
        dense = np.zeros(mask.shape, np.uint32)
        dense[mask] = ids
        ids = dense
    labels[here][chosen] = ids[there][chosen]


def _corner(box: Slices) -> tuple[int, ...]:
    return tuple(s.start for s in box)


def _common(box: Slices, region: Slices) -> list[tuple[int, int]] | None:
    common = []
    for mine, theirs in zip(box, region, strict=True):
        start, stop = max(mine.start, theirs.start), min(mine.stop, theirs.stop)
        if start >= stop:
            return None
        common.append((start, stop))
    return common
