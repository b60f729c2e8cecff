"""Merging, deleting, numbering anew and adding: operations that keep every shape as it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.labels.edit import Edit, Labels, Slices
from napari_cellseg.labels.operations.geometry import Mask, edits_of, lengths

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def merge(labels: Labels, ids: Sequence[int], boxes: Sequence[Slices]) -> list[Edit]:
    """Give the voxels of objects to the first of them.

    Parameters
    ----------
    labels : array of uint32, ([z,] y, x)
    ids : sequence of int
        Two or more; the first one stays.
    boxes : sequence of tuple of slice
        A box for each id; of the others, only what lies in their boxes is taken.

    Returns
    -------
    list of Edit
        One for each object but the first.

    Raises
    ------
    InputError
        If there are fewer than two different ids.
    """
    if len(set(ids)) < 2:
        raise InputError("Merging needs two or more different objects: choose another one, too.")
    kept, seen = ids[0], {ids[0]}
    out: list[Edit] = []
    for one, box in zip(ids, boxes, strict=True):
        if one not in seen:
            seen.add(one)
            info = {"ids": [int(k) for k in ids]} if not out else {}
            out += edits_of(box, labels[box] == one, kept, "merge", info)
    return out


def delete(labels: Labels, ids: Sequence[int], boxes: Sequence[Slices]) -> list[Edit]:
    """Make objects background, as far as their boxes reach.

    Parameters
    ----------
    labels : array of uint32, ([z,] y, x)
    ids : sequence of int
    boxes : sequence of tuple of slice
        A box for each id.

    Returns
    -------
    list of Edit
        One for each object.
    """
    out = []
    for one, box in zip(ids, boxes, strict=True):
        out += edits_of(box, labels[box] == one, 0, "delete", {"id": int(one)})
    return out


def relabel(
    labels: Labels,
    ids: Sequence[int],
    boxes: Sequence[Slices],
    start: int = 1,
    keep: Collection[int] = (),
) -> tuple[list[Edit], dict[int, int]]:
    """Number objects one after the other, in the order of their ids.

    Parameters
    ----------
    labels : array of uint32, ([z,] y, x)
    ids : sequence of int
        All objects of the labels: a new id is only free if its former object moves, too.
    boxes : sequence of tuple of slice
        A box for each id.
    start : int
        First new id.
    keep : collection of int
        Ids that stay with their objects, such as those of locked ones; no other gets them.

    Returns
    -------
    edits : list of Edit
        One for each object whose id changes, ordered so that no two share an id meanwhile.
    mapping : dict of int to int
        New id by old id, for all objects.

    Raises
    ------
    InputError
        If `start` is below 1.
    """
    if start < 1:
        raise InputError(f"Ids begin at 1, so objects cannot be numbered from {start}.")
    place = {int(one): box for one, box in zip(ids, boxes, strict=True)}
    fixed = {int(one) for one in keep}
    mapping, following = {}, start
    for one in sorted(place):
        if one in fixed:
            mapping[one] = one
            continue
        while following in fixed:
            following += 1
        mapping[one], following = following, following + 1
    falling = [one for one in sorted(mapping) if mapping[one] < one]
    rising = [one for one in sorted(mapping, reverse=True) if mapping[one] > one]
    edits: list[Edit] = []
    for one in (*falling, *rising):
        box = place[one]
        edits += edits_of(box, labels[box] == one, mapping[one], "relabel")
    return edits, mapping


def new_object(
    labels: Labels, region: Slices, mask: Mask, id: int, over_others: bool = False
) -> list[Edit]:
    """Make an object of a mask, where there is background.

    Parameters
    ----------
    labels : array of uint32, ([z,] y, x)
    region : tuple of slice
        Where the mask lies.
    mask : array of bool, shape of `region`
    id : int
        Id of the object, which no other has.
    over_others : bool
        Take voxels of other objects, too.

    Returns
    -------
    list of Edit

    Raises
    ------
    InputError
        If the mask is empty or wholly covers other objects, so that nothing would be made.
    """
    mask = checked_mask(region, mask)
    if not mask.any():
        raise InputError("The drawing is empty: draw the object first.")
    free = mask if over_others else mask & (labels[region] == 0)
    edits = edits_of(region, free, id, "new object", {"id": int(id)})
    if not edits:
        raise InputError("Every voxel of the drawing belongs to another object: draw beside them.")
    return edits


def transfer(
    source: Labels,
    target: Labels,
    ids: Sequence[int],
    boxes: Sequence[Slices],
    taken: Collection[int],
    new_ids: Callable[[int], list[int]],
    over_others: bool = False,
) -> tuple[list[Edit], dict[int, int]]:
    """Take objects over from other labels of the same shape.

    Parameters
    ----------
    source, target : array of uint32, ([z,] y, x)
        Where the objects are, and where they are to be.
    ids : sequence of int
        Of objects of `source`.
    boxes : sequence of tuple of slice
        A box for each id.
    taken : collection of int
        Ids that `target` uses already.
    new_ids : callable
        ``new_ids(n)`` gives n ids that are free in `target`.
    over_others : bool
        Take voxels of objects of `target`, too; else only background is given.

    Returns
    -------
    edits : list of Edit
        Edits of `target`, one for each object that finds room.
    mapping : dict of int to int
        Id in `target` by id in `source`: the same where it is free. Objects without room are
        missing.

    Raises
    ------
    InputError
        If the shapes differ.
    """
    if source.shape != target.shape:
        raise InputError(
            f"Labels of shape {source.shape} cannot give objects to labels of shape "
            f"{target.shape}: bring both to the same grid."
        )
    # two objects of one call must not share an id, nor a voxel (they cannot: one array has one id)
    wanted = {int(one) for one in ids}
    clashing = sorted(wanted & {int(one) for one in taken})
    named = dict(zip(clashing, _unused(clashing, wanted, new_ids), strict=True))
    edits, mapping = [], {}
    for one, box in zip(ids, boxes, strict=True):
        mask = source[box] == one
        if not over_others:
            mask &= target[box] == 0
        value = named.get(int(one), int(one))
        made = edits_of(box, mask, value, "transfer", {"from": int(one), "id": value})
        if made:
            edits += made
            mapping[int(one)] = value
    return edits, mapping


def checked_mask(region: Slices, mask: ArrayLike) -> Mask:
    """Return a mask as an array; InputError unless it is bool and fills its box."""
    array = np.asarray(mask)
    if array.dtype != np.bool_ or array.shape != lengths(region):
        raise InputError(
            f"The mask ({array.dtype}, shape {array.shape}) must be bool and fill its box of shape "
            f"{lengths(region)}."
        )
    return array


def _unused(
    clashing: list[int], wanted: set[int], new_ids: Callable[[int], list[int]]
) -> list[int]:
    """Return an id for each that clashes; ids that the others bring along are passed over."""
    if not clashing:
        return []
    free = new_ids(len(clashing) + len(wanted))
    return [one for one in free if one not in wanted][: len(clashing)]
