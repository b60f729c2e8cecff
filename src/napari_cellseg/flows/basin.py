"""The field answers clicks: the whole cell that flows to where the clicked voxel flows.

No image and no other model is needed, and no more of the volume is touched than the cell.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cellseg.flows.basin_clicks import Clicks, checked_clicks
from napari_cellseg.flows.basin_index import BasinIndex, index_of
from napari_cellseg.flows.basin_local import Part, local_basin
from napari_cellseg.flows.basin_replay import replayed
from napari_cellseg.flows.basin_rim import depths
from napari_cellseg.flows.basin_split import compile_kernel

if TYPE_CHECKING:
    from napari_cellseg.flows.field import FlowField
    from napari_cellseg.flows.progress import Progress

_NEAR = 0.5  # diameters of its cell: so far around it a point has to do with others
_MOSTLY = 0.5  # of its voxels: then a basin lies mostly in a box


@dataclass(frozen=True, eq=False)
class Basin:
    """What a click found.

    Attributes
    ----------
    region : tuple of slice
        Where `mask` lies in the frame, one slice per axis; empty slices where nothing was found.
    mask : numpy.ndarray, bool, shape of `region`
        The object.
    reason : str
        One sentence for every positive point, or the box, at which nothing was found, else empty.
    """

    region: tuple[slice, ...]
    mask: NDArray[np.bool_]
    reason: str = ""

    @property
    def found(self) -> bool:
        """Whether there is any voxel."""
        return bool(self.mask.any())

    def painted(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """The object in a frame of `shape`."""
        out = np.zeros(shape, np.bool_)
        out[self.region] = self.mask
        return out


def basin_region(
    field: "FlowField",
    positive: ArrayLike = (),
    negative: ArrayLike = (),
    box: Sequence[float] | None = None,
    *,
    t: int = 0,
    probability: float = 0.5,
) -> Basin:
    """Find the object that points and a box name; the cost does not depend on the volume's size.

    A positive point in an instance (of `instances` at this probability) gives the instance. One
    below the threshold gives the basin there at a threshold of its own (see
    :func:`.basin_local.local_basin`), which never runs out into the background. Every further
    point near to that object corrects it, as far as it is wrong there (see
    :func:`.basin_replay.replayed`): positive ones unite cells, or push the border out; negative
    ones part cells, or push it in, and do nothing outside. Positive points that are far apart give
    objects of their own, which are united. A box cuts the result; alone it takes the instances of
    which it holds more than half, else the basin at the highest logit in it.

    Parameters
    ----------
    field : FlowField
        With or without time.
    positive, negative : array of float, shape (n, D)
        ``(z, y, x)``, or ``(y, x)`` in planes, in voxels; voxel centres lie at integers.
    box : 2 D floats, optional
        ``(z0, y0, x0, z1, y1, x1)``, or ``(y0, x0, y1, x1)``; voxels on the border are inside.
    t : int
        Frame.
    probability : float
        Cell probability above which a voxel is foreground.

    Returns
    -------
    Basin
        Empty, with a reason, where nothing stands out.

    Raises
    ------
    InputError
        If a point lies outside the field or its box, numbers are not finite, the box holds no
        voxel, there are more than 1,024 points, nothing is positive, or there is no frame `t`.

    Notes
    -----
    The first call on a frame, or at another probability, labels the frame and keeps an index of
    four bytes for each voxel that may be foreground; `FlowField.prepare` does so beforehand.

    What lies far away does not change a result, except that a cell below the threshold is looked
    for at the scale of the typical diameter, the median over all instances of the frame.
    """
    clicks = checked_clicks(positive, negative, box, field.spatial_shape)
    index = index_of(field, t, probability)
    frame = field.frame(t)
    if len(clicks.positive) or clicks.box is None:
        parts, reasons = _clicked(frame, index, clicks)
    else:
        parts, reasons = _in_box(frame, index, clicks.box)
        seeds = np.array([_deepest(part, clicks.box, index) for part in parts])
        if parts and len(clicks.negative):
            whole = _cut(_united(parts), clicks.box)
            parts = [replayed(frame, index, whole, seeds, clicks.negative)]
    if not parts:
        return _empty(field.ndim, reasons)
    whole = _united(parts)
    if clicks.box is not None:
        whole = _cut(whole, clicks.box)
    whole = _trimmed(whole)
    edges, mask = whole.box, whole.mask
    if not mask.size:
        return _empty(field.ndim, reasons or ["The negative points leave nothing of it."])
    region = tuple(slice(int(a), int(b)) for a, b in zip(edges[:3], edges[3:], strict=True))
    flat = mask[0] if field.ndim == 2 else mask
    return Basin(region[3 - field.ndim :], flat, " ".join(reasons))


def prepare_clicks(
    field: "FlowField",
    t: int = 0,
    probability: float = 0.5,
    *,
    threads: int | None = None,
    device: str = "cpu",
    progress: "Progress | None" = None,
) -> None:
    """Make the index of frame `t` and compile what clicks need, so that the first one is fast.

    Raises
    ------
    InputError
        If there is no frame `t`, or the probability is not between 0 and 1.
    Cancelled
        If the user has cancelled.
    """
    index_of(field, t, probability, threads=threads, device=device, progress=progress)
    compile_kernel()


def _empty(ndim: int, reasons: list[str]) -> Basin:
    return Basin((slice(0, 0),) * ndim, np.zeros((0,) * ndim, np.bool_), " ".join(reasons))


def _clicked(frame: "FlowField", index: BasinIndex, clicks: Clicks) -> tuple[list[Part], list[str]]:
    """Objects of the positive points, and why some have none."""
    parts, reasons = [], []
    for group in _groups(index, clicks.positive):
        base = _base(frame, index, group)
        if isinstance(base, str) and len(group) == 1:
            place = tuple(group[0][3 - frame.ndim :].tolist())
            reasons.append(f"Nothing was found at voxel {place}: {base}.")
            continue
        part = None if isinstance(base, str) else base
        if part is not None and clicks.box is not None:
            part = _cut(part, clicks.box)
        held = part is not None and all(part.holds(voxel) for voxel in group)
        if part is None or not held or any(part.holds(voxel) for voxel in clicks.negative):
            part = replayed(frame, index, part, group, clicks.negative)
        parts.append(part)
    return parts, reasons


def _base(frame: "FlowField", index: BasinIndex, group: NDArray[np.int64]) -> Part | str:
    """What the first point gives that is in an instance, else the first that gives anything."""
    for voxel in group:
        number = index.instance(voxel)
        if number:
            return _instance(index, number)
    reason = ""
    for voxel in group:
        found = local_basin(frame, index, voxel)
        if isinstance(found, Part):
            return found
        reason = reason or found
    return reason


def _groups(index: BasinIndex, positive: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Points whose cells are near to each other; far ones do not change each other's objects."""
    boxes = []
    for voxel in positive:
        number = index.instance(voxel)
        size = index.diameter_of(float(index.count[number])) if number else index.diameter
        cell = index.boxes[number].astype(np.int64) if number else np.tile(voxel, 2)
        reach = np.ceil(_NEAR * size / np.array(index.integration.spacing)).astype(np.int64)
        boxes.append(np.concatenate([cell[:3] - reach, cell[3:] + reach]))
    group = np.arange(len(boxes))
    for i, box in enumerate(boxes):
        for j in range(i):
            other = boxes[j]
            if (box[:3] <= other[3:]).all() and (other[:3] <= box[3:]).all():
                group[group == group[i]] = group[j]
    return [positive[group == number] for number in dict.fromkeys(group.tolist())]


def _in_box(
    frame: "FlowField", index: BasinIndex, box: NDArray[np.int64]
) -> tuple[list[Part], list[str]]:
    """Instances mostly in the box, or else the basin at its highest logit."""
    labels = index.labels(index.covered(box))
    inside = np.bincount(labels.ravel(), minlength=index.count.size)
    numbers = np.flatnonzero(inside > _MOSTLY * index.count)
    numbers = numbers[numbers > 0]
    if numbers.size:
        return [_instance(index, int(number)) for number in numbers], []
    if labels.all():
        return [], ["Nothing was found in the box: the cells there lie mostly outside."]
    part = tuple(slice(a, b) for a, b in zip(box[:3], box[3:], strict=True))
    logits = frame.logits.reshape(index.integration.shape)[part]
    logits = np.where(labels == 0, logits, -np.inf)
    seed = np.array(np.unravel_index(int(logits.argmax()), logits.shape)) + box[:3]
    found = local_basin(frame, index, seed)
    if isinstance(found, str):
        return [], [f"Nothing was found in the box: {found}."]
    return [found], []


def _instance(index: BasinIndex, number: int) -> Part:
    box = index.boxes[number].astype(np.int64)
    return Part(box, index.mask(number, box), index.threshold)


def _deepest(part: Part, bound: NDArray[np.int64], index: BasinIndex) -> NDArray[np.int64]:
    """Voxel of the part, within `bound`, that lies farthest from its border."""
    inner = _cut(part, bound)
    depth = depths(inner.mask, index)
    place = np.unravel_index(int(depth.argmax()), depth.shape)
    return np.asarray(np.array(place) + inner.box[:3], np.int64)


def _united(parts: list[Part]) -> Part:
    if len(parts) == 1:
        return parts[0]
    low = np.min([part.box[:3] for part in parts], axis=0)
    high = np.max([part.box[3:] for part in parts], axis=0)
    out = np.zeros(high - low, np.bool_)
    for part in parts:
        out[_within(part.box, low)] |= part.mask
    return Part(np.concatenate([low, high]), out, min(part.level for part in parts))


def _cut(part: Part, bound: NDArray[np.int64]) -> Part:
    """The part of it that lies in `bound`."""
    low, high = np.maximum(part.box[:3], bound[:3]), np.minimum(part.box[3:], bound[3:])
    box = np.concatenate([low, np.maximum(low, high)])
    return replace(part, box=box, mask=part.mask[_within(box, part.box[:3])])


def _within(box: NDArray[np.int64], origin: NDArray[np.int64]) -> tuple[slice, ...]:
    ends = zip(box[:3] - origin, box[3:] - origin, strict=True)
    return tuple(slice(int(a), int(b)) for a, b in ends)


def _trimmed(part: Part) -> Part:
    """The same with the smallest box."""
    low, high = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        used = np.flatnonzero(part.mask.any(axis=others))
        if used.size:
            low[axis], high[axis] = used[0], used[-1] + 1
    box = np.concatenate([low, high]) + np.tile(part.box[:3], 2)
    return replace(part, box=box, mask=part.mask[_within(box, part.box[:3])])
