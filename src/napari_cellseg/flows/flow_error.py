"""How well a mask explains the field: the field against the flow of the mask itself."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows.label_flows import fused_label_flows, label_flows

if TYPE_CHECKING:
    from napari_cellseg.flows.field import FlowField

_BLOCK_BYTES = 256 << 20


def flow_errors(
    field: "FlowField", labels: NDArray[np.int32], *, threads: int | None = None
) -> NDArray[np.float32]:
    """Mean squared difference between a field and the flow of each mask.

    The mask's flow is made as the field's was: for volumes from 2D flows of three orientations,
    averaged (:func:`fused_label_flows`), since such a flow is not radial: 7° off in the median on
    a sphere, 12° on an ellipsoid of 3:1.

    Parameters
    ----------
    field : FlowField
        One frame.
    labels : array of int, shape (z, y, x)
        Ids from 1; a plane has one z.
    threads : int, optional
        Number of threads; by default one per core.

    Returns
    -------
    numpy.ndarray, float32, shape (highest id + 1,)
        0 to 4 by id; 0 where there is no such instance.
    """
    from napari_cellseg.flows import _regions
    from napari_cellseg.flows._diffusion import instance_boxes

    highest = int(labels.max()) if labels.size else 0
    total = np.zeros(highest + 1)
    count = np.zeros(highest + 1)
    flow = field.flow if field.ndim == 3 else field.flow[:, None]
    boxes = instance_boxes(labels, highest, False)
    # instances are taken by the planes they start in, so that memory stays bounded
    thickness = max(1, _BLOCK_BYTES // (labels[0].size * 40)) if labels.size else 1
    for start in range(0, labels.shape[0], thickness):
        rows = boxes[(boxes[:, 1] >= start) & (boxes[:, 1] < start + thickness)]
        if not len(rows):
            continue
        part = slice(start, int(rows[:, 4].max()))
        chosen = np.zeros(highest + 1, np.int32)
        chosen[rows[:, 0]] = rows[:, 0]
        block = chosen[labels[part]]
        if field.ndim == 2:
            own = label_flows(block[0], field.spacing, threads=threads)[:, None]
        else:
            own = fused_label_flows(block, field.spacing, threads=threads)
        _regions.squared_errors(
            np.ascontiguousarray(flow[:, part], np.float32), own, block, total, count
        )
    return (total / np.maximum(count, 1)).astype(np.float32)
