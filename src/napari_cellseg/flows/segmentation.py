"""What a segmentation returns, and how its labels are made again from the kept field."""

import dataclasses
from dataclasses import dataclass, replace
from types import EllipsisType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows.field import FlowField
from napari_cellseg.flows.label import Labelling, label_field
from napari_cellseg.flows.progress import Progress
from napari_cellseg.flows.request import (
    check_flow_error,
    check_min_size,
    check_probability,
    default_min_size,
)
from napari_cellseg.flows.table import instance_table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Segmentation:
    """Labels with the field they came from.

    Attributes
    ----------
    labels : array of uint32, ([t,] [z,] y, x)
        Axes of the volume without c; 0 is background.
    field : FlowField
        Kept, so that thresholds can be changed without the network.
    table : pandas.DataFrame
        One row per instance, indexed by ``t`` and ``id``.
    parameters : dict
        The recipe, ready for JSON: what was run on what, with which settings.
    notices : tuple of str
        What the user should know, a sentence each.
    region : tuple of slice or None
        Part of the volume that the labels cover.
    timings : dict of str to float
        Seconds per stage.
    """

    labels: NDArray[np.uint32]
    field: FlowField
    table: "pd.DataFrame"
    parameters: dict[str, Any]
    notices: tuple[str, ...] = ()
    region: tuple[slice, ...] | None = None
    timings: dict[str, float] = dataclasses.field(default_factory=dict)

    def __repr__(self) -> str:
        shape = " × ".join(str(n) for n in self.labels.shape)
        return f"<Segmentation: {len(self.table):,} cells in {shape} voxels>"

    def relabel(
        self,
        probability: float | EllipsisType = ...,
        min_size: int | EllipsisType | None = ...,
        flow_error: float | EllipsisType | None = ...,
        progress: Progress | None = None,
    ) -> "Segmentation":
        """Label the kept field again with other thresholds; the network does not run.

        Parameters
        ----------
        probability : float, optional
            Cell probability from which a voxel is foreground; unchanged by default.
        min_size : int or None, optional
            Smallest instance in voxels, None for automatic; unchanged by default.
        flow_error : float or None, optional
            Largest flow error of an instance, None for any; unchanged by default.
        progress : Progress, optional

        Returns
        -------
        Segmentation
            With the same field.

        Raises
        ------
        InputError
            If a threshold is out of range.
        Cancelled
            If ``progress`` was cancelled.
        """
        parameters = dict(self.parameters)
        if probability is not ...:
            parameters["probability"] = check_probability(probability)
        if min_size is not ...:
            size = check_min_size(min_size)
            if size is None:
                size = default_min_size(
                    parameters["diameter"], self.field.spacing, self.field.ndim == 3
                )
            parameters["min_size"] = size
        if flow_error is not ...:
            parameters["flow_error"] = check_flow_error(flow_error)
        labelling = label_with(self.field, parameters, progress)
        return replace(
            self,
            labels=labelling.labels,
            table=instance_table(labelling, self.field, parameters["spacing_known"]),
            parameters=parameters,
        )


def label_with(
    flow_field: FlowField,
    parameters: dict[str, Any],
    progress: Progress | None = None,
    device: str = "cpu",
) -> Labelling:
    """Label a field with the thresholds of a recipe, on a device."""
    return label_field(
        flow_field,
        probability=parameters["probability"],
        min_size=parameters["min_size"],
        flow_error=parameters["flow_error"],
        device=device,
        progress=progress,
    )
