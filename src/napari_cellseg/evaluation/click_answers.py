"""What can answer simulated clicks: a prompt predictor on a plane, and the basins of a field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_cellseg.evaluation.clicks import Answer
    from napari_cellseg.flows import FlowField
    from napari_cellseg.prompts.embedding import Embedding
    from napari_cellseg.prompts.predictor import Predictor


def predictor_answer(predictor: Predictor, embedding: Embedding) -> Answer:
    """Clicks on an encoded plane, answered by the best mask of the predictor.

    Parameters
    ----------
    predictor : Predictor
    embedding : Embedding
        What it made of the plane.
    """
    from napari_cellseg.prompts.prompt import Prompt

    def answer(points: NDArray[np.float64], labels: NDArray[np.int64]) -> Any:
        return predictor.decode(embedding, Prompt(points=points, labels=labels)).region(0)

    return answer


def basin_answer(field: FlowField, t: int = 0, probability: float = 0.5) -> Answer:
    """Clicks in a field, answered by its basins; works in planes and volumes.

    Parameters
    ----------
    field : FlowField
    t : int
        Frame.
    probability : float
        Cell probability above which a voxel is foreground.
    """
    from napari_cellseg.flows.basin import basin_region

    def answer(points: NDArray[np.float64], labels: NDArray[np.int64]) -> Any:
        positive, negative = points[labels == 1], points[labels == 0]
        found = basin_region(field, positive, negative, t=t, probability=probability)
        return found.region, found.mask

    return answer
