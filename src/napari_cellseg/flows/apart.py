"""What is sound in an instance that fails the flow check: its basins, each by itself.

One cell whose flow is wrong can be united with a good neighbour, since a border says nothing where
one side points anywhere. The union then fails the check, and the good cell would fall with it. So
what fails is taken apart along its own flow, nothing is united, and every part is checked alone.

Only the instance's own voxels are looked at, so the result is the same wherever the instance lies,
and for a crop of the volume.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_cellseg.flows.field import FlowField

_LEAST = -3e38  # below any logit: all voxels of the instance take part


@dataclass(frozen=True)
class Parts:
    """Sound parts of instances; row i is a part, in the order of instances, then of first voxels.

    Attributes
    ----------
    whole : numpy.ndarray, int64, shape (n,)
        Id of the instance that each is a part of.
    voxels, first, sink : numpy.ndarray, int64, shape (n,)
        Size; raster index, in the frame, of the first voxel and of the sink.
    logit, agreement, flow_error : numpy.ndarray, float32, shape (n,)
        See `Labelling`.
    where, part : numpy.ndarray, int64, shape (m,)
        Raster index of every voxel of every part, and the row of the part.
    """

    whole: NDArray[np.int64]
    voxels: NDArray[np.int64]
    first: NDArray[np.int64]
    sink: NDArray[np.int64]
    logit: NDArray[np.float32]
    agreement: NDArray[np.float32]
    flow_error: NDArray[np.float32]
    where: NDArray[np.int64]
    part: NDArray[np.int64]


def parts_of(
    field: "FlowField",
    labels: NDArray[np.integer],
    boxes: NDArray[np.integer],
    limit: float,
    min_size: int,
    threads: int | None = None,
) -> Parts:
    """Take instances apart, and keep the parts that pass the flow check alone.

    Parameters
    ----------
    field : FlowField
        One frame.
    labels : array of int, shape (z, y, x)
        A plane has one z.
    boxes : array of int, shape (k, 7)
        Rows ``(id, z0, y0, x0, z1, y1, x1)``, half open, of the instances.
    limit : float
        Largest flow error of a part.
    min_size : int
        Smallest part, in voxels.
    threads : int, optional
        Number of threads; by default one per core. The result does not depend on it.

    Returns
    -------
    Parts
    """
    from napari_cellseg.flows._jit import run_chunks
    from napari_cellseg.flows.field import FlowField

    def take(row: NDArray[np.integer]) -> Parts:
        box = tuple(slice(int(a), int(b)) for a, b in zip(row[1:4], row[4:], strict=True))
        part = box[1:] if field.ndim == 2 else box
        crop = FlowField(field.flow[(slice(None), *part)], field.logits[part], field.spacing)
        return _apart(crop, labels[box] == row[0], row, labels.shape, limit, max(1, min_size))

    found = [_none(), *run_chunks(take, list(boxes), threads)]
    starts = np.cumsum([0, *(len(one.whole) for one in found)])
    columns = {
        name: np.concatenate([getattr(one, name) for one in found])
        for name in Parts.__dataclass_fields__
    }
    columns["part"] += np.repeat(starts[:-1], [one.part.size for one in found])
    return Parts(**columns)


def paint_parts(canvas: NDArray[np.int32], parts: Parts, ids: NDArray[np.integer]) -> None:
    """Write the parts into `canvas` (z, y, x), each with its id."""
    canvas.reshape(-1)[parts.where] = ids[parts.part]


def _none() -> Parts:
    whole, real = np.zeros(0, np.int64), np.zeros(0, np.float32)
    return Parts(whole, whole, whole, whole, real, real, real, whole, whole)


def _apart(
    field: "FlowField",
    mask: NDArray[np.bool_],
    row: NDArray[np.integer],
    shape: tuple[int, ...],
    limit: float,
    min_size: int,
) -> Parts:
    """Sound parts of one instance; `field` and `mask` are of its box, `shape` is of the frame."""
    from napari_cellseg.flows.flow_error import flow_errors
    from napari_cellseg.flows.frame_labels import FrameLabels
    from napari_cellseg.flows.integrate import integrate, reach, voxel_ratio

    planar = field.ndim == 2
    # background all around, so that it does not matter whether the box lies at a border
    pad = np.asarray(reach(voxel_ratio(np.asarray(field.spacing), planar)))
    if planar:
        pad[0] = 0
    inside = tuple(slice(int(n), int(n) + size) for n, size in zip(pad, mask.shape, strict=True))
    widths = [(int(n), int(n)) for n in pad]
    flow = np.asarray(field.flow, np.float32).reshape(-1, *mask.shape)
    wide = np.pad(flow, [(0, 0), *widths])
    logits = np.full(wide.shape[1:], -np.inf, np.float32)
    logits[inside] = np.where(mask, field.logits.reshape(mask.shape), -np.inf)
    if planar:
        wide, logits = wide[:, 0], logits[0]
    trajectories = integrate(wide, logits, field.spacing, floor=_LEAST, threads=1)
    canvas = np.zeros(logits.shape, np.uint32)
    frame = FrameLabels(trajectories, canvas, _LEAST, min_size, 1, unite=False)
    labels = canvas.reshape(frame.shape)[inside].astype(np.int32)
    labels[~mask] = 0  # what was filled may belong to another instance
    errors = flow_errors(field, labels, threads=1)
    kept = np.flatnonzero(errors[1:] <= limit) + 1

    def place(index: NDArray[np.integer], size: tuple[int, ...], by: Any) -> NDArray[np.int64]:
        """Raster index in the frame of one in an array of that size, shifted by `by`."""
        at = np.stack(np.unravel_index(index, size)) + np.asarray(by)[:, None]
        return np.asarray(np.ravel_multi_index(tuple(at), shape), np.int64)

    corner = np.asarray(row[1:4])
    new = np.full(frame.voxels.size, -1, np.int64)
    new[kept] = np.arange(kept.size)
    part = new[labels.ravel()]
    where = np.flatnonzero(part >= 0)
    part = part[where]
    return Parts(
        whole=np.full(kept.size, row[0], np.int64),
        voxels=np.bincount(part, minlength=kept.size),
        first=place(frame.first[kept], frame.shape, corner - pad),
        sink=place(frame.sink[kept], frame.shape, corner - pad),
        logit=frame.logit[kept],
        agreement=frame.agreement[kept],
        flow_error=errors[kept],
        where=place(where, mask.shape, corner),
        part=part,
    )
