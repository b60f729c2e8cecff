"""The surface of an object: whom it touches, and what lies at the surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float32]


@dataclass(frozen=True)
class Surface:
    """Faces between an object and what is around it.

    Attributes
    ----------
    area : float
        Of all faces, in µm² (2D: µm).
    neighbour : int
        Id of the object that it touches most; 0 where it touches none.
    share : float
        Share of the surface that touches that neighbour.
    between : tuple of float
        Mean of each array of values on the faces to that neighbour; NaN without one.
    inside, outside : tuple of float
        Mean of each array on the two sides of the faces to the background; NaN without any.
    """

    area: float
    neighbour: int
    share: float
    between: tuple[float, ...]
    inside: tuple[float, ...]
    outside: tuple[float, ...]


def surface_of(
    labels: NDArray[np.integer],
    number: int,
    spacing: NDArray[np.float64],
    values: tuple[Values, ...],
) -> Surface:
    """Look at every face of object `number`.

    Parameters
    ----------
    labels : array of int, ([z,] y, x)
        The object's box with a margin of one voxel.
    number : int
    spacing : array of float, (2,) or (3,)
    values : tuple of array of float32, ([z,] y, x)
        Logits, intensities: what is to be averaged over the faces.
    """
    own = labels == number
    others, weights = [], []
    near: list[list[Values]] = [[] for _ in values]
    far: list[list[Values]] = [[] for _ in values]
    for axis in range(labels.ndim):
        face = float(np.prod(np.delete(spacing, axis)))
        low = tuple(slice(None, -1) if k == axis else slice(None) for k in range(labels.ndim))
        high = tuple(slice(1, None) if k == axis else slice(None) for k in range(labels.ndim))
        for mine, its in ((low, high), (high, low)):
            at = own[mine] & ~own[its]
            others.append(labels[its][at])
            weights.append(np.full(others[-1].size, face))
            for k, array in enumerate(values):
                near[k].append(array[mine][at])
                far[k].append(array[its][at])
    other, weight = np.concatenate(others), np.concatenate(weights)
    area = float(weight.sum())
    ids, index = np.unique(other, return_inverse=True)
    areas = np.bincount(index, weight, len(ids)) * (ids != 0)
    neighbour = int(ids[areas.argmax()]) if areas.any() else 0
    touching, free = other == neighbour, other == 0
    between, inside, outside = [], [], []
    for k in range(len(values)):
        here, there = np.concatenate(near[k]), np.concatenate(far[k])
        between.append(_mean((here + there)[touching] / 2) if neighbour else np.nan)
        inside.append(_mean(here[free]))
        outside.append(_mean(there[free]))
    share = float(areas.max() / area) if neighbour else 0.0
    return Surface(area, neighbour, share, tuple(between), tuple(inside), tuple(outside))


def _mean(values: Values) -> float:
    return float(values.mean()) if values.size else float("nan")
