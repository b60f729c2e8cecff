"""Where labels lie in the viewer, and which of their coordinates a position in the world has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from napari.layers import Labels


@dataclass(frozen=True, eq=False)
class Ground:
    """The layer that shows labels, and the labels. Make one when it is needed, and drop it.

    Attributes
    ----------
    layer : napari Labels layer
    letters : str
        Axes of the layer's array, letters of "tczyx"; see `placement.layer_letters`.
    labels : array
    axes : str
        Axes of the labels, letters of "tzyx".
    """

    layer: Labels
    letters: str
    labels: NDArray[np.integer[Any]]
    axes: str

    @property
    def spatial(self) -> str:
        """Axes of the labels without time."""
        return self.axes.replace("t", "")

    @property
    def size(self) -> dict[str, int]:
        """Length of each axis of the labels."""
        return dict(zip(self.axes, self.labels.shape, strict=True))

    def at_time(self, t: int) -> NDArray[np.integer[Any]]:
        """The labels of one time point, a view: ([z,] y, x)."""
        return self.labels[t] if "t" in self.axes else self.labels

    def positions(self, world: ArrayLike) -> NDArray[np.float64]:
        """Positions along the labels' axes, (n, axes), of positions in the world, (n, ndim)."""
        matrix, origin = _to_world(self.layer)
        places = np.atleast_2d(np.asarray(world, float))[:, -len(self.letters) :]
        found = np.linalg.solve(matrix, (places - origin).T).T.astype(np.float64)
        return found[:, [self.letters.index(axis) for axis in self.axes]]

    def world(self, positions: ArrayLike) -> NDArray[np.float64]:
        """Positions in the world, (n, axes of the layer), of positions along the labels' axes."""
        matrix, origin = _to_world(self.layer)
        places = np.atleast_2d(np.asarray(positions, float))
        full = np.zeros((len(places), len(self.letters)))
        full[:, [self.letters.index(axis) for axis in self.axes]] = places
        return full @ matrix.T + origin


def _to_world(layer: Labels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The layer's transform as a matrix and an origin, from its public face."""
    origin = np.asarray(layer.data_to_world(np.zeros(layer.ndim)), float)
    steps = [np.asarray(layer.data_to_world(unit), float) for unit in np.eye(layer.ndim)]
    return np.stack([step - origin for step in steps], axis=1), origin
