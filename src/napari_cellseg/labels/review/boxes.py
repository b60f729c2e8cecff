"""Arithmetic of boxes, tuples of half-open slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_cellseg.labels.review.item import Slices


def grown(box: Slices, by: int, shape: Sequence[int]) -> Slices:
    """`box` with a margin, within an array of `shape`."""
    return tuple(
        slice(max(0, part.start - by), min(size, part.stop + by))
        for part, size in zip(box, shape, strict=True)
    )


def united(first: Slices, second: Slices) -> Slices:
    """The smallest box that holds both."""
    return tuple(
        slice(min(a.start, b.start), max(a.stop, b.stop))
        for a, b in zip(first, second, strict=True)
    )


def meet(first: Slices, second: Slices) -> bool:
    """Whether two boxes share a voxel."""
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(first, second, strict=True))


def at_border(box: Slices, shape: Sequence[int]) -> bool:
    """Whether a box reaches the border of the image.

    The first and last plane of a stack count; a stack of one plane has none.
    """
    return any(
        part.start == 0 or part.stop == size
        for part, size in zip(box, shape, strict=True)
        if size > 1
    )


def overlap(first: Slices, second: Slices) -> Slices:
    """What two boxes that meet have in common."""
    return tuple(
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(first, second, strict=True)
    )


def within(box: Slices, outer: Slices) -> Slices:
    """`box`, counted from the corner of the box around it."""
    return tuple(
        slice(part.start - out.start, part.stop - out.start)
        for part, out in zip(box, outer, strict=True)
    )
