"""Which covered voxel is of which instance, so that a click need not look at the volume."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.flows.integrate import LOOSEST, Integration
from napari_cellseg.flows.label import label_field

if TYPE_CHECKING:
    from napari_cellseg.flows.field import FlowField
    from napari_cellseg.flows.progress import Progress

#: Smallest basin in voxels; the default of `instances`.
MIN_SIZE = 15

_UNKNOWN_DIAMETER = 16.0  # finest in-plane voxels, where a field has no instance at all


@dataclass(frozen=True, eq=False)
class BasinIndex:
    """Instances of one frame at one threshold, by voxel and by box.

    Attributes
    ----------
    integration : Integration
        Covered voxels and their trajectories.
    threshold : float
        Logit above which a voxel is foreground.
    label : numpy.ndarray, int32, shape (n,)
        Instance of each covered voxel, 0 outside of all.
    rows : numpy.ndarray, int64, shape (z * y + 1,)
        First covered voxel of each row of the volume.
    boxes : numpy.ndarray, int32, shape (k + 1, 6)
        ``(z0, y0, x0, z1, y1, x1)`` of each instance, the end excluded.
    count : numpy.ndarray, int64, shape (k + 1,)
        Covered voxels of each instance.
    holed : numpy.ndarray, int64
        Instances with filled holes that no trajectory covers.
    """

    integration: Integration
    threshold: float
    label: NDArray[np.int32]
    rows: NDArray[np.int64]
    boxes: NDArray[np.int32]
    count: NDArray[np.int64]
    holed: NDArray[np.int64]

    @property
    def nbytes(self) -> int:
        """Bytes added to the integration's: 4 a covered voxel, 8 a row, 32 an instance."""
        arrays = (self.label, self.rows, self.boxes, self.count, self.holed)
        return sum(array.nbytes for array in arrays)

    @cached_property
    def diameter(self) -> float:
        """Typical diameter of the instances, µm: that of their median size."""
        if self.count.size < 2:
            return _UNKNOWN_DIAMETER * min(self.integration.spacing[1:])
        return self.diameter_of(float(np.median(self.count[1:])))

    def diameter_of(self, voxels: float) -> float:
        """Diameter in µm of the ball, or in planes the disc, of so many voxels."""
        steps = self.integration.spacing
        if self.integration.planar:
            return 2.0 * math.sqrt(voxels * steps[1] * steps[2] / math.pi)
        return float(2.0 * (voxels * math.prod(steps) * 0.75 / math.pi) ** (1 / 3))

    def find(self, voxel: NDArray[np.int64]) -> int:
        """Number of a voxel ``(z, y, x)`` among the covered ones; -1 if it is not."""
        _, height, width = self.integration.shape
        row = int(voxel[0]) * height + int(voxel[1])
        first, last = int(self.rows[row]), int(self.rows[row + 1])
        place = row * width + int(voxel[2])
        at = first + int(np.searchsorted(self.integration.voxels[first:last], place))
        return at if at < last and self.integration.voxels[at] == place else -1

    def instance(self, voxel: NDArray[np.int64]) -> int:
        """Instance at a voxel ``(z, y, x)``; 0 if there is none."""
        at = self.find(voxel)
        if at >= 0:
            return int(self.label[at])
        boxes = self.boxes[self.holed]
        near = ((boxes[:, :3] <= voxel) & (boxes[:, 3:] > voxel)).all(1)
        for number in self.holed[near]:
            box = self.boxes[number].astype(np.int64)
            if self.mask(int(number), box)[tuple(voxel - box[:3])]:
                return int(number)
        return 0

    def ends(self, numbers: NDArray[np.integer]) -> NDArray[np.float64]:
        """Where trajectories of covered voxels end, in µm; shape (n, 3)."""
        whole = self.integration
        last = whole.voxels[whole.terminal[numbers]].astype(np.int64)
        return np.asarray(np.stack(np.unravel_index(last, whole.shape), -1) * whole.spacing)

    def covered(self, box: NDArray[np.int64]) -> NDArray[np.int32]:
        """Number of each voxel of a box among the covered ones, -1 where it is not."""
        from napari_cellseg.flows import _basin_kernels

        _, height, width = self.integration.shape
        out = np.empty(box[3:] - box[:3], np.int32)
        _basin_kernels.covered(self.integration.voxels, self.rows, box, height, width, out)
        return out

    def labels(self, covered: NDArray[np.int32]) -> NDArray[np.int32]:
        """Instance of each voxel of a box of which `covered` is known."""
        if not self.label.size:
            return np.zeros_like(covered)
        return np.where(covered >= 0, self.label[covered], 0)

    def mask(self, number: int, box: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Voxels of an instance within its `box`, enclosed holes filled."""
        from scipy import ndimage

        labels = self.labels(self.covered(box))
        mask: NDArray[np.bool_] = labels == number
        if number in self.holed:
            flat = mask[0] if self.integration.planar else mask
            filled = ndimage.binary_fill_holes(flat).reshape(mask.shape)
            mask |= filled & (labels == 0)
        return mask


def index_of(
    field: "FlowField",
    t: int = 0,
    probability: float = 0.5,
    *,
    threads: int | None = None,
    device: str = "cpu",
    progress: "Progress | None" = None,
) -> BasinIndex:
    """Index of frame `t` at a threshold, made on first use; the last one of a frame is kept.

    Raises
    ------
    InputError
        If there is no frame `t`, or the probability is not between 0 and 1.
    """
    if not 0 < probability < 1:
        raise InputError(f"The probability is {probability}, but it must be between 0 and 1.")
    threshold = float(np.float32(np.log(probability / (1 - probability))))
    with field._indexing:  # two clicks wait for one index instead of making it twice
        kept = field._indexes.get(t)
        if kept is None or kept.threshold != threshold:
            kept = _build(field, t, probability, threshold, threads, device, progress)
            field._indexes[t] = kept
    return kept


def _build(
    field: "FlowField",
    t: int,
    probability: float,
    threshold: float,
    threads: int | None,
    device: str,
    progress: "Progress | None",
) -> BasinIndex:
    """Label frame `t` as `instances` would, and keep what clicks need of it."""
    from napari_cellseg.flows import _basin_kernels

    floor = min(LOOSEST, threshold)
    integration = field.integration(
        t, floor=floor, threads=threads, device=device, progress=progress
    )
    found = label_field(
        field.frame(t), probability, MIN_SIZE, threads=threads, device=device, progress=progress
    )
    depth, height, width = integration.shape
    label = found.labels.reshape(-1)[integration.voxels].astype(np.int32)
    boxes, count = _basin_kernels.bounds(integration.voxels, label, height, width, len(found))
    starts = np.arange(depth * height + 1, dtype=np.int64) * width
    index = BasinIndex(
        integration=integration,
        threshold=threshold,
        label=label,
        rows=np.searchsorted(integration.voxels, starts).astype(np.int64),
        boxes=boxes,
        count=count,
        holed=np.flatnonzero(np.append(0, found.voxels) > count),
    )
    index.covered(np.array([0, 0, 0, 1, 1, 1]))  # compiled now, not when a user waits for a click
    return index
