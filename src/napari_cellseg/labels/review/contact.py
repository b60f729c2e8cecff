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
    from napari_cellseg.labels.review._surface_kernel import faces

    planar = labels.ndim == 2
    volume = np.ascontiguousarray(labels[None] if planar else labels, np.int64)
    stacked = np.zeros((len(values), *volume.shape), np.float32)
    for row, array in zip(stacked, values, strict=True):
        row[:] = array
    face = [float(np.prod(np.delete(spacing, axis))) for axis in range(labels.ndim)]
    area, neighbour, touched, between, inside, outside = faces(
        volume, int(number), planar, np.array([0.0, *face] if planar else face), stacked
    )
    return Surface(
        area,
        neighbour,
        touched / area if neighbour else 0.0,
        tuple(map(mean, between)),
        tuple(map(mean, inside)),
        tuple(map(mean, outside)),
    )


def mean(values: Values) -> float:
    """Mean of float32 values, as numpy's; NaN of none."""
    # the same number at a fifth of the time, and there are a dozen for each object
    return float(np.float32(np.add.reduce(values) / values.size)) if values.size else float("nan")
