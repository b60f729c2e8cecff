"""A step in the making: patches, marks, and what they concern."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from napari_cellseg.labels.boxes import around
from napari_cellseg.labels.edit import Key
from napari_cellseg.labels.packing import Patch, distinct


class Gathering:
    """A step in the making."""

    def __init__(self, kind: str, source: str, info: dict[str, Any]) -> None:
        self.kind, self.source, self.info = kind, source, info
        self.patches: list[Patch] = []
        self.untold: list[Patch] = []
        self.marks: list[tuple[Key, str, Any, Any]] = []
        self.keys: set[Key] = set()
        self.fresh: set[Key] = set()
        self.born: set[Key] = set()
        self.left: set[Key] = set()
        """Objects that were there before, and were gone for a while."""
        self.spared = 0


def joined(patches: list[Patch]) -> list[Patch]:
    """Join the dabs of a stroke into one patch, if its box is not much larger than they are."""
    box = around(patches)
    if box is None or len(patches) == 1:
        return patches
    shape = tuple(part.stop - part.start for part in box)
    if np.prod(shape) > 8 * sum(patch.mask.size for patch in patches):
        return patches
    mask = np.zeros(shape, np.bool_)
    before, after = np.zeros(shape, np.uint32), np.zeros(shape, np.uint32)
    for patch in patches:
        here = tuple(
            slice(part.start - base.start, part.stop - base.start)
            for part, base in zip(patch.region, box, strict=True)
        )
        first = np.zeros(patch.mask.shape, np.uint32)
        first[patch.mask] = patch.before
        np.copyto(before[here], first, where=patch.mask & ~mask[here])
        after[here][patch.mask] = patch.after
        mask[here] |= patch.mask
    mask &= before != after
    if not mask.any():
        return patches  # painted and taken back again: marks may have changed
    return [Patch(box, mask, before[mask], after[mask])]


def plain(value: Any) -> Any:
    """Return something with only what JSON knows; anything else becomes its text."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def keys_in(patches: Sequence[Patch], timed: bool) -> set[Key]:
    """Return the objects that patches concern."""
    keys: set[Key] = set()
    for patch in patches:
        t = patch.region[0].start if timed else 0
        both = np.union1d(distinct(patch.before), distinct(patch.after))
        keys.update((t, label) for label in both.tolist() if label)
    return keys


def account() -> str:
    """Return the name of this computer's account; empty where there is none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without accounts
        return ""
