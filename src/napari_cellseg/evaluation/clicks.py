"""How many clicks a user needs: simulated from the truth, for whatever answers clicks.

The user is the one of the literature on interactive segmentation (Sofiiuk et al., "Reviving
iterative training with mask guidance", ICIP 2022; the same in Segment Anything's evaluation):
the first click goes to the middle of the object, each next one to the middle of the largest error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import Cancelled, InputError

if TYPE_CHECKING:
    from threading import Event

    import pandas as pd

#: What answers clicks: points (n, D) in voxels and their labels (1 in the object, 0 not) to a mask,
#: bool of the truth's shape, or to a region of slices and the mask in it.
Answer = Callable[[NDArray[np.float64], NDArray[np.int64]], Any]

LEVELS = (0.8, 0.9)
"""IoU at which a user would stop."""

_SHOWN = (1, 2, 3, 5)


def simulate_clicks(
    truth: Any,
    answer: Answer,
    spacing: Sequence[float] | None = None,
    *,
    most: int = 5,
    ids: Sequence[int] | None = None,
    progress: Callable[[float, str], None] | None = None,
    cancel: Event | None = None,
) -> pd.DataFrame:
    """Click on every object of `truth` as a user would who wants exactly this object.

    The first click goes to the deepest point of the object, by physical distance to its border;
    each next one to the deepest point of the largest error, a connected region that is missing
    (a positive click) or too much (a negative one). The border of the image counts as a border.

    Parameters
    ----------
    truth : array of int, (y, x) or (z, y, x)
        Instance labels, 0 is background.
    answer : callable
        ``answer(points, labels)`` with all clicks on one object so far; see `Answer`.
    spacing : sequence of float, optional
        µm per voxel, one per axis; 1 by default.
    most : int
        Clicks on one object at most.
    ids : sequence of int, optional
        Objects to click; all by default.
    progress : callable, optional
        Called with a fraction in 0..1 and a message.
    cancel : threading.Event, optional
        Set it to stop.

    Returns
    -------
    pandas.DataFrame
        A row per object: its ``id``; ``voxels``; ``iou_1`` to ``iou_<most>``, the IoU after so
        many clicks (the last one repeated if a click made it perfect); ``clicks_80`` and
        ``clicks_90``, the clicks to an IoU of 0.8 and 0.9, `most` where it was not reached
        (``reached_80``, ``reached_90``); and ``ms``, the median time of an answer.

    Raises
    ------
    InputError
        If the truth holds no objects, or not those asked for, or an answer has another shape.
    Cancelled
        If `cancel` was set.
    """
    import pandas as pd

    labels, steps = _checked(truth, spacing)
    if most < 1:
        raise InputError(f"most={most!r} is out of range: give 1 click or more.")
    boxes = _boxes(labels)
    wanted = sorted(boxes) if ids is None else [int(number) for number in ids]
    unknown = [number for number in wanted if number not in boxes]
    if unknown:
        raise InputError(f"The truth holds no object {unknown[0]}.")
    if not wanted:
        raise InputError("The truth holds no object to click on.")
    rows = []
    for done, number in enumerate(wanted):
        if cancel is not None and cancel.is_set():
            raise Cancelled("the simulated clicks were cancelled")
        if progress is not None:
            progress(done / len(wanted), f"clicking on object {number}")
        ious, spent = _click(labels, number, boxes[number], answer, steps, most)
        row: dict[str, Any] = {"id": number, "voxels": int((labels[boxes[number]] == number).sum())}
        row |= {f"iou_{k}": iou for k, iou in enumerate(ious, 1)}
        for level in LEVELS:
            reached = [k for k, iou in enumerate(ious, 1) if iou >= level]
            row[f"clicks_{level:.0%}".rstrip("%")] = reached[0] if reached else most
            row[f"reached_{level:.0%}".rstrip("%")] = bool(reached)
        rows.append(row | {"ms": 1000 * float(np.median(spent))})
    return pd.DataFrame(rows)


def summarise_clicks(clicks: pd.DataFrame) -> pd.Series[Any]:
    """Means over the objects of a table that `simulate_clicks` gave.

    Returns
    -------
    pandas.Series
        ``objects``; ``iou_1``, ``iou_2``, ``iou_3``, ``iou_5``, as far as so many clicks were
        made; ``clicks_80`` and ``clicks_90``, with failures counted as the most clicks allowed;
        ``failed_80`` and ``failed_90``, the objects that never got there; ``ms``, a median.
    """
    import pandas as pd

    out: dict[str, float] = {"objects": len(clicks)}
    for k in _SHOWN:
        if f"iou_{k}" in clicks:
            out[f"iou_{k}"] = float(clicks[f"iou_{k}"].mean())
    for level in ("80", "90"):
        out[f"clicks_{level}"] = float(clicks[f"clicks_{level}"].mean())
        out[f"failed_{level}"] = int((~clicks[f"reached_{level}"]).sum())
    return pd.Series(out | {"ms": float(clicks["ms"].median())})


def deepest(mask: NDArray[np.bool_], spacing: Sequence[float]) -> tuple[int, ...]:
    """Voxel of `mask` that is farthest from its border in µm; the first of several."""
    from scipy import ndimage

    used = np.argwhere(mask)
    low, high = used.min(0), used.max(0) + 1
    inner = mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    depth = ndimage.distance_transform_edt(np.pad(inner, 1), sampling=spacing)
    place = np.unravel_index(int(depth.argmax()), depth.shape)
    return tuple(int(a + b - 1) for a, b in zip(place, low, strict=True))


def _click(
    labels: NDArray[np.integer],
    number: int,
    box: tuple[slice, ...],
    answer: Answer,
    steps: tuple[float, ...],
    most: int,
) -> tuple[list[float], list[float]]:
    """IoU after each click on one object, and the seconds that each answer took."""
    inside = labels[box] == number
    low = tuple(part.start for part in box)
    points = [tuple(a + b for a, b in zip(deepest(inside, steps), low, strict=True))]
    kinds = [1]
    ious: list[float] = []
    spent: list[float] = []
    for k in range(most):
        start = time.perf_counter()
        given = answer(np.array(points, np.float64), np.array(kinds, np.int64))
        spent.append(time.perf_counter() - start)
        region, mask = _placed(given, labels.shape)
        frame = _around(box, region)
        wanted = labels[frame] == number
        found = np.zeros(wanted.shape, np.bool_)
        found[
            tuple(slice(r.start - f.start, r.stop - f.start) for r, f in _pairs(region, frame))
        ] = mask
        missing, extra = wanted & ~found, found & ~wanted
        ious.append(float((wanted & found).sum() / (wanted | found).sum()))
        if not (missing.any() or extra.any()):
            return ious + [1.0] * (most - k - 1), spent
        errors = [(_largest(region_), kind) for region_, kind in ((missing, 1), (extra, 0))]
        error, kind = max(errors, key=lambda item: int(item[0].sum()))
        place = deepest(error, steps)
        points.append(tuple(a + f.start for a, f in zip(place, frame, strict=True)))
        kinds.append(kind)
    return ious, spent


def _pairs(a: tuple[slice, ...], b: tuple[slice, ...]) -> Any:
    return zip(a, b, strict=True)


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Largest connected region (by faces); the first of equals."""
    from scipy import ndimage

    pieces, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(pieces == sizes.argmax())


def _around(box: tuple[slice, ...], region: tuple[slice, ...]) -> tuple[slice, ...]:
    """Smallest box around both; an empty region counts for nothing."""
    if any(part.stop <= part.start for part in region):
        return box
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in _pairs(box, region))


def _placed(given: Any, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], NDArray[np.bool_]]:
    """An answer as a region and the mask in it, which may be empty."""
    if isinstance(given, tuple):
        region, mask = given
        mask = np.asarray(mask, np.bool_)
        fits = len(region) == len(shape) and mask.shape == tuple(p.stop - p.start for p in region)
        if not fits:
            raise InputError(f"The answer's mask of shape {mask.shape} does not fit {region}.")
        return region, mask
    mask = np.asarray(given, np.bool_)
    if mask.shape != shape:
        raise InputError(f"The answer has shape {mask.shape}, but the truth has {shape}.")
    if not mask.any():
        return (slice(0, 0),) * mask.ndim, mask[(slice(0, 0),) * mask.ndim]
    region = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        used = np.flatnonzero(mask.any(axis=others))
        region.append(slice(int(used[0]), int(used[-1]) + 1))
    return tuple(region), mask[tuple(region)]


def _boxes(labels: NDArray[np.integer]) -> dict[int, tuple[slice, ...]]:
    """Bounding box of every object; ids may be large."""
    from scipy import ndimage

    ids, dense = np.unique(labels, return_inverse=True)
    found = ndimage.find_objects(dense.reshape(labels.shape) + int(ids[0] != 0))
    return {int(k): box for k, box in zip(ids[ids > 0], found, strict=True) if box is not None}


def _checked(
    truth: Any, spacing: Sequence[float] | None
) -> tuple[NDArray[np.integer], tuple[float, ...]]:
    labels = np.asarray(truth)
    if labels.ndim not in (2, 3) or labels.dtype.kind not in "iu" or not labels.size:
        raise InputError(
            f"The truth ({labels.dtype}, shape {labels.shape}) must be whole numbers of shape "
            "(y, x) or (z, y, x)."
        )
    if labels.min() < 0:
        raise InputError("The truth holds negative ids, but instance ids start at 1.")
    steps = (1.0,) * labels.ndim if spacing is None else tuple(float(step) for step in spacing)
    if len(steps) == 3 and labels.ndim == 2:
        steps = steps[1:]
    if len(steps) != labels.ndim or not all(np.isfinite(s) and s > 0 for s in steps):
        raise InputError(f"The spacing {spacing!r} must be one positive number per axis.")
    return labels, steps
