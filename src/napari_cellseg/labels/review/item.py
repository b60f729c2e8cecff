"""One thing to look at: an object that may be wrong, or a place where a cell may be missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from napari_cellseg.labels.review.doubt import NAMES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Slices = tuple[slice, ...]
Kind = Literal["object", "missing"]
#: Names an item for as long as it exists: kind, t, and the id or the voxel of the place.
ItemKey = tuple[Any, ...]
_PLACES = {name: place for place, name in enumerate(NAMES)}


class Features(Mapping[str, float]):
    """Reasons by name, of one object; thousands are made anew after each edit, and few are read.

    Parameters
    ----------
    values : array of float
        In the order of `doubt.NAMES`.
    """

    __slots__ = ("_values",)

    def __init__(self, values: NDArray[np.float64]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> float:
        at = _PLACES.get(name)
        if at is None:
            raise KeyError(name)
        return float(self._values[at])

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)

    def __repr__(self) -> str:
        return repr(dict(self))


@dataclass(frozen=True)
class ReviewItem:
    """An object or a place, with how doubtful it is and why.

    Attributes
    ----------
    kind : {"object", "missing"}
    t : int
        Time point, 0 where there is no time.
    id : int or None
        Of the object; None for a place.
    score : float
        Doubt, 0 (nothing stands out) to 1.
    why : tuple of str
        Reasons in the user's words, the strongest first.
    centre : tuple of float
        ``(z, y, x)`` in voxels; z is 0 in planes.
    box : tuple of slice
        Spatial, as many axes as the labels have without t.
    features : mapping of str to float
        What was measured.
    touches_border : bool
        A filter, not an error: half a cell at the border is right.
    anchor : tuple of int or None
        ``(z, y, x)`` of a place's first voxel, which names it while its middle may move.
    """

    kind: Kind
    t: int
    id: int | None
    score: float
    why: tuple[str, ...]
    centre: tuple[float, float, float]
    box: Slices
    features: Mapping[str, float] = field(default_factory=dict)
    touches_border: bool = False
    anchor: tuple[int, int, int] | None = None

    @property
    def key(self) -> ItemKey:
        """``("object", t, id)``, or ``("missing", t, z, y, x)`` with whole voxels."""
        if self.kind == "object":
            return ("object", self.t, self.id)
        return ("missing", self.t, *(self.anchor or (round(c) for c in self.centre)))
