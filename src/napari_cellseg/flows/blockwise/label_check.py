"""Flow errors of the instances of a frame: the field against the flow of the mask itself."""

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows.blockwise import label_parts
from napari_cellseg.flows.blockwise.label_job import BlockJob, Frame
from napari_cellseg.flows.blockwise.stages import Result

_VOXELS = 1 << 21  # that are measured at once, if one instance is not larger


def errors(job: BlockJob) -> Result:
    """Flow error of each instance of this job's rows; the box of one must fit into memory.

    Also the parts of those above the limit that pass alone, see `label_parts`.
    """
    table = np.asarray(job.frame.table("instances")[slice(*job.rows)])
    error = np.zeros(len(table), np.float32)
    parts = []
    for rows in _groups(table, np.arange(len(table))):
        error[rows], found = _measured(job.frame, table[rows])
        parts.append(found)
    return {"id": table[:, 0], "error": error, **label_parts.kept_parts(job, parts)}


def _groups(table: NDArray[np.int64], rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows in groups whose boxes lie in a region of about `_VOXELS`, or single ones."""
    low, high = table[rows, 1:4], table[rows, 4:]
    extent = high.max(0) - low.min(0)
    if rows.size == 1 or extent.prod() <= _VOXELS:
        return [rows]
    along = int(np.argmax(high.max(0) - low.min(0)))
    order = np.argsort(low[:, along], kind="stable")
    halves = np.sort(order[: rows.size // 2]), np.sort(order[rows.size // 2 :])
    return [part for half in halves for part in _groups(table, rows[half])]


def _measured(
    frame: Frame, table: NDArray[np.int64]
) -> tuple[NDArray[np.float32], label_parts.Found]:
    """Flow error of each instance of a table (id, box), and the parts of those above the limit."""
    import zarr

    from napari_cellseg.flows.field import FlowField
    from napari_cellseg.flows.field_store import FieldStore
    from napari_cellseg.flows.flow_error import flow_errors

    low, high = table[:, 1:4].min(0), table[:, 4:].max(0)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    array = zarr.open_array(frame.output, mode="r")
    labels = np.asarray(array[frame.place((z, y, x))]).reshape(tuple(high - low))
    at = np.searchsorted(table[:, 0], labels)
    at[at == len(table)] = 0
    own = np.where(table[at, 0] == labels, at + 1, 0).astype(np.int32)
    part = (y, x) if frame.planar else (z, y, x)
    flow, logits = FieldStore.open(frame.field).read(part, frame.t or 0)
    field = FlowField(flow, logits, frame.spacing)
    found = flow_errors(field, own, threads=1)
    error = np.zeros(len(table), np.float32)
    error[: found.size - 1] = found[1:]
    bad = np.flatnonzero(error > frame.limit)
    boxes = np.column_stack([bad + 1, table[bad, 1:4] - low, table[bad, 4:] - low])
    parts = label_parts.taken_apart(frame, field, own, boxes, (z, y, x))
    return error, parts._replace(whole=table[parts.whole - 1, 0])
