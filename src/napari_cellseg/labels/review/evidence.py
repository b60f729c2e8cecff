"""What is known of the labels besides the labels: field, image, quality numbers, prompts."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellseg.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cellseg.flows import FlowField
    from napari_cellseg.flows.integrate import Integration
    from napari_cellseg.labels.review.item import Slices
    from napari_cellseg.labels.review.objects import Key

QUALITY = ("probability", "agreement", "flow_error")


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything is optional; what is there is used.

    Attributes
    ----------
    field : FlowField, optional
        Of the labels' shape.
    image : array, ([t,] [z,] y, x), optional
        One channel; read box by box, so that it may be lazy.
    spacing : tuple of float
        ``(z, y, x)`` in µm.
    quality : mapping of (t, id) to mapping, optional
        Columns `QUALITY` of the segmentation's table, for objects that are as the model left
        them; only used where there is no field.
    prompted : collection of (t, id)
        Objects made by prompts: compared with the basin of the field.
    timed : bool
        Whether the first axis is time.
    probability : float
        Cell probability from which a voxel is foreground.
    """

    field: FlowField | None = None
    image: Any = None
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    quality: Mapping[Key, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    prompted: Collection[Key] = ()
    timed: bool = False
    probability: float = 0.5


class Frame:
    """One time point: labels and evidence, native axes ``([z,] y, x)``.

    Parameters
    ----------
    labels : array of int, ([t,] [z,] y, x)
    evidence : Evidence
    t : int

    Raises
    ------
    InputError
        If the field or the image does not fit the labels.
    """

    def __init__(self, labels: NDArray[np.integer], evidence: Evidence, t: int) -> None:
        for name, what in (("flow field", evidence.field), ("image", evidence.image)):
            if what is not None and tuple(what.shape) != labels.shape:
                raise InputError(
                    f"The {name} has shape {tuple(what.shape)}, but the labels {labels.shape}."
                )
        self.t = t
        self.labels = labels[t] if evidence.timed else labels
        self.shape: tuple[int, ...] = self.labels.shape
        self.ndim = self.labels.ndim
        self.spacing = np.asarray(evidence.spacing[3 - self.ndim :], float)
        self.field: FlowField | None = None
        if evidence.field is not None:
            # asked of the whole field, which keeps the trajectories
            self._integration = evidence.field.integration(t)
            self.field = evidence.field.frame(t)
        self._image = evidence.image
        self._timed = evidence.timed

    @property
    def has_image(self) -> bool:
        """Whether there is an image."""
        return self._image is not None

    def pixels(self, box: Slices) -> NDArray[np.float32]:
        """The image in a box."""
        index = (self.t, *box) if self._timed else box
        return np.asarray(self._image[index], np.float32)

    @property
    def integration(self) -> Integration:
        """Trajectories of the field."""
        return self._integration
