"""What can be done to labels, and what was done: an edit, a mark, a step, a change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError

Labels: TypeAlias = NDArray[np.uint32]
Slices: TypeAlias = tuple[slice, ...]
Key: TypeAlias = tuple[int, int]
"""(t, id) of an object; t is 0 where there is no time."""
Direction: TypeAlias = Literal["do", "undo", "redo"]

MOST = 2**32 - 2
"""Largest id of an object; the one above it stands for "not ours" elsewhere."""


@dataclass(frozen=True, eq=False)
class Edit:
    """New ids for some voxels of a box.

    Attributes
    ----------
    region : tuple of slice, or sequence of int
        The box, over all axes of the labels and half open; ``(z0, y0, x0, z1, y1, x1)`` is taken,
        too. It becomes a tuple of slices.
    mask : array of bool
        Which voxels of the box; of the box's shape.
    values : int or array
        The id that they get, 0 … 2³² - 2, or an array of the box's shape with an id for each.
    kind : str
        What history shows: "paint", "merge", "split", ...
    source : str
        Who or what made it: "user", "model builtin", ...
    info : mapping
        Parameters and the like, ready for JSON.

    Raises
    ------
    InputError
        The box, mask and values do not fit each other, or an id is no id.
    """

    region: Slices
    mask: NDArray[np.bool_]
    values: int | NDArray[np.integer[Any]]
    kind: str = "edit"
    source: str = "user"
    info: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        region = as_region(self.region)
        mask = np.asarray(self.mask)
        lengths = tuple(part.stop - part.start for part in region)
        if mask.dtype != np.bool_ or mask.shape != lengths:
            raise InputError(
                f"The edit's mask ({mask.dtype}, shape {mask.shape}) must be bool and fill its "
                f"box of shape {lengths}."
            )
        object.__setattr__(self, "region", region)
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "values", _checked_values(self.values, mask))

    def at(self, t: int) -> Edit:
        """Return the same edit of labels with time, at one time point."""
        values = self.values[None] if isinstance(self.values, np.ndarray) else self.values
        return replace(
            self, region=(slice(t, t + 1), *self.region), mask=self.mask[None], values=values
        )


@dataclass(frozen=True)
class Mark:
    """A change of what is known of an object, which touches no voxel.

    Attributes
    ----------
    t, id : int
        The object; t is 0 where there is no time.
    name : str
        "locked", "class", "accepted", or any other column.
    value : object
        Ready for JSON; None removes it.
    """

    t: int
    id: int
    name: str
    value: Any


@dataclass(eq=False)
class Step:
    """One undo step.

    Attributes
    ----------
    number : int
        Of its record in the journal, from 1.
    kind, source : str
        See `Edit`.
    when : datetime
        In UTC, by this computer's clock.
    user : str
        Account that made it.
    info : dict
        See `Edit`.
    region : tuple of slice or None
        Box around the changed voxels, over all axes of the labels; None if only marks changed.
    keys : tuple of (t, id)
        Objects that lost or gained voxels or marks.
    count : int
        Changed voxels.
    spared : int
        Voxels that were left out because an object is locked.
    born : tuple of (t, id)
        Those of `keys` that were not there before it.
    """

    number: int
    kind: str
    source: str
    when: datetime
    user: str
    info: dict[str, Any]
    region: Slices | None
    keys: tuple[Key, ...]
    count: int
    spared: int = 0
    born: tuple[Key, ...] = ()
    payload: bytes | None = field(default=None, repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in memory; 0 where only the journal has it."""
        return len(self.payload) if self.payload is not None else 0


@dataclass(frozen=True, eq=False)
class Change:
    """What `LabelDocument.changed` tells.

    Attributes
    ----------
    region : tuple of slice or None
        Box that was written; None if no voxel was.
    keys : tuple of (t, id)
        Objects that it concerns.
    step : Step
    direction : {"do", "undo", "redo"}
    """

    region: Slices | None
    keys: tuple[Key, ...]
    step: Step
    direction: Direction


def as_region(region: Sequence[Any]) -> Slices:
    """Return a box as slices with whole numbers, from slices or from corner coordinates."""
    if all(isinstance(part, slice) for part in region):
        parts = [(part.start, part.stop, part.step) for part in region]
    elif len(region) % 2 == 0:
        half = len(region) // 2
        parts = [(a, b, None) for a, b in zip(region[:half], region[half:], strict=True)]
    else:
        parts = []
    out = []
    for start, stop, step in parts:
        whole = [isinstance(one, int | np.integer) for one in (start, stop)]
        if not all(whole) or step not in (None, 1) or not 0 <= start <= stop:
            break
        out.append(slice(int(start), int(stop)))
    if not out or len(out) != len(parts):
        raise InputError(
            f"The edit's box {tuple(region)!r} must be slices with start and stop, or all starts "
            "and then all stops, as whole numbers that are not negative."
        )
    return tuple(out)


def _checked_values(
    values: int | NDArray[np.integer[Any]], mask: NDArray[np.bool_]
) -> int | NDArray[np.integer[Any]]:
    if isinstance(values, np.ndarray) and values.ndim:
        if values.dtype.kind not in "ui" or values.shape != mask.shape:
            raise InputError(
                f"The edit's values ({values.dtype}, shape {values.shape}) must be whole numbers "
                f"and fill its box of shape {mask.shape}."
            )
        wide = values.dtype.kind == "i" or values.dtype.itemsize > 4
        chosen = values[mask] if wide or values.dtype.itemsize == 4 else values[:0]
        if chosen.size and (int(chosen.min()) < 0 or int(chosen.max()) > MOST):
            raise InputError(f"The edit's values must be ids between 0 and {MOST}.")
        return values.astype(np.uint32, copy=False)
    try:
        value = int(values.__index__())
    except (AttributeError, TypeError):
        raise InputError(f"The edit's value {values!r} must be a whole number.") from None
    if not 0 <= value <= MOST:
        raise InputError(f"The edit's value {value} must be an id between 0 and {MOST}.")
    return value
