"""Small random labels, what edits make of them, and an array that knows where it was read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from napari_cellseg.labels.edit import Edit, Labels, Slices


@dataclass
class World:
    """Labels, their objects, and how large voxels are."""

    labels: Labels
    spacing: tuple[float, float, float]
    ids: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ids = [int(one) for one in np.unique(self.labels) if one]

    def box(self, id: int) -> Slices:
        return box_of(self.labels == id)

    @property
    def steps(self) -> tuple[float, ...]:
        return self.spacing[-self.labels.ndim :]


@st.composite
def worlds(draw: st.DrawFn, ndim: int | None = None, most: int = 5) -> World:
    """Cells that touch each other and the borders, with gaps and stray voxels, 2D or 3D."""
    axes = ndim or draw(st.integers(2, 3))
    shape = tuple(draw(st.integers(1 if axes == 3 and k == 0 else 5, 11)) for k in range(axes))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    spacing = tuple(draw(st.sampled_from([0.3, 0.5, 1.0, 2.0, 3.5])) for _ in range(3))
    count = draw(st.integers(1, most))
    ids = rng.choice(np.arange(1, 40), count, replace=False)
    centres = [rng.integers(0, shape) for _ in range(count)]
    grid = np.indices(shape)
    gaps = np.array([np.sqrt(sum((grid[k] - one[k]) ** 2 for k in range(axes))) for one in centres])
    labels = ids[np.argmin(gaps, axis=0)].astype(np.uint32)
    labels[gaps.min(axis=0) > draw(st.floats(1, 7))] = 0
    labels[rng.random(shape) < draw(st.sampled_from([0.0, 0.05, 0.3]))] = 0
    if not labels.any():
        labels.flat[0] = ids[0]
    return World(labels, spacing)


def written(labels: Labels, edits: Sequence[Edit]) -> Labels:
    """Labels after edits, the plain way."""
    out = np.array(labels)
    for edit in edits:
        part = out[edit.region]
        values = np.broadcast_to(np.asarray(edit.values, out.dtype), part.shape)
        part[edit.mask] = values[edit.mask]
    return out


def box_of(mask: NDArray[np.bool_]) -> Slices:
    return ndimage.find_objects(mask.astype(np.uint8))[0]


def counter(labels: Labels) -> Callable[[int], list[int]]:
    """Give ids above those of the labels."""
    largest = int(labels.max())
    return lambda count: list(range(largest + 1, largest + 1 + count))


class Watched:
    """Labels that can only be read, box by box, and remember which boxes."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels.copy()
        self._labels.flags.writeable = False
        self.shape, self.ndim, self.dtype = labels.shape, labels.ndim, labels.dtype
        self.read: list[Slices] = []

    def __getitem__(self, key: Any) -> Labels:
        assert isinstance(key, tuple)
        assert len(key) == self.ndim
        self.read.append(key)
        return self._labels[key]

    def read_within(self, box: Slices, margin: Sequence[float] = ()) -> bool:
        """Whether nothing was read further from the box than the margin."""
        wide = tuple(margin) or (0,) * self.ndim
        return bool(self.read) and all(
            cut.start >= around.start - room and cut.stop <= around.stop + room
            for key in self.read
            for cut, around, room in zip(key, box, wide, strict=True)
        )
