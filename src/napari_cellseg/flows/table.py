"""One row per instance: where it is, how large, and how far to trust it."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from napari_cellseg.flows.field import FlowField
from napari_cellseg.flows.label import Labelling

if TYPE_CHECKING:
    import pandas as pd


def instance_table(labelling: Labelling, field: FlowField, spacing_known: bool) -> "pd.DataFrame":
    """Measure every instance of a labelling.

    Parameters
    ----------
    labelling : Labelling
    field : FlowField
        The field that was labelled.
    spacing_known : bool
        Whether the spacing is in µm; lengths are in voxels otherwise.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``t`` and ``id``. Columns: ``voxels``; ``volume_um3`` (``area_um2`` in 2D) and
        ``diameter_um`` of the ball (disc) of that volume, or ``diameter`` in voxels of y;
        ``centroid_z``, ``_y``, ``_x`` in µm or voxels; ``bbox_z0`` … ``bbox_x1`` in voxels, half
        open; ``probability`` (of the mean logit), ``agreement`` (mean length of the flow, 0 to 1),
        ``disagreement`` (mean of the field's, 0 to 1) where orientations were fused,
        ``flow_error`` where it was measured, ``touches_border``.
    """
    import pandas as pd

    planar = field.ndim == 2
    axes = "yx" if planar else "zyx"
    spacing = np.asarray(field.spacing[1:] if planar else field.spacing)
    labels = labelling.labels if field.has_time else labelling.labels[None]
    boxes = np.zeros((len(labelling), 2 * len(axes)), np.int64)
    centroids = np.zeros((len(labelling), len(axes)))
    apart = np.zeros(len(labelling), np.float32)
    for t in range(field.n_times):
        rows = np.flatnonzero(labelling.t == t)
        if len(rows):
            ids, values = labelling.id[rows], field.frame(t).disagreement
            _measure(labels[t], ids, values, rows, boxes, centroids, apart)
    size = labelling.voxels * float(np.prod(spacing))
    diameter = np.sqrt(4 / np.pi * size) if planar else np.cbrt(6 / np.pi * size)
    columns: dict[str, NDArray[np.generic]] = {"voxels": labelling.voxels}
    if spacing_known:
        columns["area_um2" if planar else "volume_um3"] = size
    columns["diameter_um" if spacing_known else "diameter"] = diameter
    # without a known spacing, lengths are in voxels; the scale is then 1 along y
    for k, axis in enumerate(axes):
        columns[f"centroid_{axis}"] = centroids[:, k] * (spacing[k] if spacing_known else 1.0)
    for k, axis in enumerate(axes):
        columns[f"bbox_{axis}0"] = boxes[:, k]
        columns[f"bbox_{axis}1"] = boxes[:, k + len(axes)]
    columns["probability"] = 1 / (1 + np.exp(-labelling.logit.astype(float)))
    columns["agreement"] = labelling.agreement
    if field.disagreement is not None:
        columns["disagreement"] = apart
    if labelling.flow_error is not None:
        columns["flow_error"] = labelling.flow_error
    shape = np.asarray(labels.shape[1:])
    low, high = boxes[:, : len(axes)], boxes[:, len(axes) :]
    columns["touches_border"] = ((low == 0) | (high == shape)).any(1)
    index = pd.MultiIndex.from_arrays([labelling.t, labelling.id], names=["t", "id"])
    return pd.DataFrame(columns, index=index)


def _measure(
    labels: NDArray[np.uint32],
    ids: NDArray[np.int64],
    disagreement: NDArray[np.uint8] | None,
    rows: NDArray[np.int64],
    boxes: NDArray[np.int64],
    centroids: NDArray[np.float64],
    apart: NDArray[np.float32],
) -> None:
    found = ndi.find_objects(labels.view(np.int32))
    for row, number in zip(rows, ids, strict=True):
        box = found[int(number) - 1]
        boxes[row] = [part.start for part in box] + [part.stop for part in box]
    foreground = np.flatnonzero(labels)
    which = labels.ravel()[foreground].astype(np.int64)
    count = np.maximum(np.bincount(which), 1)
    for k, position in enumerate(np.unravel_index(foreground, labels.shape)):
        total = np.bincount(which, position.astype(np.float64))
        centroids[rows, k] = (total / count)[ids]
    if disagreement is not None:
        total = np.bincount(which, disagreement.ravel()[foreground])
        apart[rows] = (total / count / 255)[ids]
