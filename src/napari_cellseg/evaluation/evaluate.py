"""The one call that compares predicted with true instances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.evaluation.contingency import Contingency, contingency
from napari_cellseg.evaluation.information import adapted_rand, variation_of_information
from napari_cellseg.evaluation.matching import count_matches, count_splits, match, overlaps
from napari_cellseg.evaluation.surface import surface_distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

MATCH = 0.5
"""IoU from which a pair is matched in `iou`, `pq` and `surface`, whatever the thresholds."""

_AXES = {2: "yx", 3: "zyx", 4: "tzyx"}


def evaluate(
    predicted: Any,
    truth: Any,
    thresholds: Sequence[float] = (0.5, 0.75, 0.9),
    spacing: Sequence[float] | None = None,
    axes: str | None = None,
) -> dict[str, Any]:
    """Compare predicted with true instance labels.

    Parameters
    ----------
    predicted, truth : array of int, (y, x), (z, y, x) or (t, z, y, x)
        Instance labels of equal shape, 0 is background; numpy, dask or zarr. With t, an
        instance is an id at one time: nothing is said about tracks.
    thresholds : sequence of float
        Of the intersection over union (IoU), each in (0, 1]; a pair matches if its IoU is at
        least the threshold.
    spacing : sequence of float, optional
        (z, y, x) in µm, or (y, x) for 2D; surface distances are in voxels without it.
    axes : str, optional
        "yx", "zyx", "tyx" or "tzyx"; three axes are (z, y, x) by default.

    Returns
    -------
    dict
        ``ap``, ``tp``, ``fp``, ``fn`` : dict by threshold
            Matches are one to one and as many as possible; ``ap`` is TP / (TP + FP + FN).
        ``iou`` : float
            Mean IoU of the pairs matched at 0.5 (0 if none).
        ``dice`` : float
            Of the foreground: 2 |P ∩ T| / (|P| + |T|), whatever the ids. ``foreground_iou``
            likewise, and ``matched_dice`` is the mean over the pairs matched at 0.5.
        ``pq``, ``sq``, ``rq`` : float
            Panoptic quality, segmentation quality (mean matched IoU) and recognition quality
            TP / (TP + FP/2 + FN/2), at 0.5; ``pq = sq × rq`` [1]_.
        ``splits``, ``merges`` : int
            A true instance into which k ≥ 2 predicted ones fall, each with more than half of
            itself and covering at least a tenth of it, is split k - 1 times; merges are the
            same with the roles swapped.
        ``vi`` : dict
            Variation of information in bits, ``split``, ``merge`` and ``total``.
        ``adapted_rand`` : dict
            ``error``, ``precision``, ``recall`` over the voxels that truth labels.
        ``surface`` : dict
            ``mean`` and ``p95`` symmetric surface distance, averaged over the pairs matched
            at 0.5 (None if there are none), and their ``unit``.
        ``counts`` : dict
            ``predicted`` and ``truth``.

        If both sides are empty, everything agrees: scores are 1 and distances None. If one is,
        scores are 0.

    Raises
    ------
    InputError
        Shapes differ, an array is empty or holds no whole numbers or negative ones, or a
        threshold or the spacing is impossible.

    References
    ----------
    .. [1] A. Kirillov et al., "Panoptic segmentation", CVPR 2019.
    """
    mine, true = _labels(predicted, "The prediction"), _labels(truth, "The truth")
    if tuple(mine.shape) != tuple(true.shape):
        raise InputError(
            f"The prediction has shape {tuple(mine.shape)} and the truth {tuple(true.shape)}."
        )
    letters = _axes(axes, len(true.shape))
    levels = _thresholds(thresholds)
    lengths = _spacing(spacing, letters)
    timed = letters[0] == "t"

    table = contingency(mine, true, timed)
    rows, columns, iou = overlaps(table)
    n_true, n_mine = len(table.truth_sizes), len(table.predicted_sizes)
    tp = {level: count_matches(rows, columns, iou, level) for level in levels}
    matched = match(rows, columns, iou, MATCH)
    both_empty = n_true == n_mine == 0
    return {
        "ap": {k: _ratio(n, n_mine + n_true - n) for k, n in tp.items()},
        "tp": tp,
        "fp": {level: n_mine - n for level, n in tp.items()},
        "fn": {level: n_true - n for level, n in tp.items()},
        **_matched_scores(iou[matched], n_mine, n_true),
        **_foreground_scores(table),
        **_splits_and_merges(table),
        "vi": variation_of_information(table),
        "adapted_rand": (
            {"error": 0.0, "precision": 1.0, "recall": 1.0} if both_empty else adapted_rand(table)
        ),
        "surface": {
            **_surface(mine, true, table, rows[matched], columns[matched], lengths, timed),
            "unit": "voxels" if spacing is None else "µm",
        },
        "counts": {"predicted": n_mine, "truth": n_true},
    }


def _ratio(part: float, whole: float) -> float:
    """Return part / whole, and 1 where there is nothing to find and nothing was found."""
    return part / whole if whole else 1.0


def _matched_scores(iou: NDArray[np.float64], n_mine: int, n_true: int) -> dict[str, float]:
    quality = float(iou.mean()) if len(iou) else float(n_mine == n_true == 0)
    dice = float((2 * iou / (1 + iou)).mean()) if len(iou) else quality
    recognition = _ratio(len(iou), (n_mine + n_true) / 2)
    return {
        "iou": quality,
        "matched_dice": dice,
        "pq": quality * recognition,
        "sq": quality,
        "rq": recognition,
    }


def _foreground_scores(table: Contingency) -> dict[str, float]:
    shared = int(table.instances[2].sum())
    sizes = int(table.truth_sizes.sum() + table.predicted_sizes.sum())
    return {"dice": _ratio(2 * shared, sizes), "foreground_iou": _ratio(shared, sizes - shared)}


def _splits_and_merges(table: Contingency) -> dict[str, int]:
    truth, predicted, shared = table.instances
    sizes = table.truth_sizes, table.predicted_sizes
    return {
        "splits": count_splits(truth, predicted, shared, sizes[0], sizes[1]),
        "merges": count_splits(predicted, truth, shared, sizes[1], sizes[0]),
    }


def _surface(
    mine: Any,
    true: Any,
    table: Contingency,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    lengths: tuple[float, ...],
    timed: bool,
) -> dict[str, float | None]:
    if not len(rows):
        return {"mean": None, "p95": None}
    truth_ids, predicted_ids = table.truth_ids[rows], table.predicted_ids[columns]
    found = []
    for time in np.unique(truth_ids[:, 0]):
        now = truth_ids[:, 0] == time
        ids = np.column_stack([predicted_ids[now, 1], truth_ids[now, 1]])
        pairs = [(int(p), int(t)) for p, t in ids]
        frame = (mine[int(time)], true[int(time)]) if timed else (mine, true)
        found.append(surface_distances(*frame, pairs, lengths))
    mean, p95 = np.concatenate(found).mean(axis=0)
    return {"mean": float(mean), "p95": float(p95)}


def _labels(array: Any, what: str) -> Any:
    if not (hasattr(array, "shape") and hasattr(array, "dtype")):
        array = np.asarray(array)
    dtype = np.dtype(array.dtype)
    if dtype.kind not in "uib":
        raise InputError(f"{what} holds {dtype} and instance labels must be whole numbers.")
    if len(array.shape) not in _AXES or 0 in array.shape:
        raise InputError(
            f"{what} has shape {tuple(array.shape)}: labels have 2 to 4 axes, none empty."
        )
    return array


def _axes(axes: str | None, ndim: int) -> str:
    letters = _AXES[ndim] if axes is None else axes.lower()
    if letters not in ("yx", "zyx", "tyx", "tzyx") or len(letters) != ndim:
        raise InputError(
            f"axes={axes!r} do not fit {ndim} dimensions; use 'yx', 'zyx', 'tyx' or 'tzyx'."
        )
    return letters


def _thresholds(thresholds: Sequence[float]) -> tuple[float, ...]:
    try:
        levels = tuple(float(level) for level in np.atleast_1d(np.asarray(thresholds, float)))
    except (TypeError, ValueError):
        levels = (math.nan,)
    if not all(0 < level <= 1 for level in levels):
        raise InputError(f"Thresholds must lie above 0 and up to 1, not {thresholds!r}.")
    return levels


def _spacing(spacing: Sequence[float] | None, axes: str) -> tuple[float, ...]:
    """Return the length of a voxel along each spatial axis."""
    n = len(axes.replace("t", ""))
    if spacing is None:
        return (1.0,) * n
    try:
        lengths = tuple(float(length) for length in spacing)
    except (TypeError, ValueError):
        lengths = ()
    if len(lengths) not in (n, 3) or not all(0 < length < math.inf for length in lengths):
        raise InputError(
            f"spacing={spacing!r} must be positive lengths in µm, one for each of {axes[-n:]!r}."
        )
    return lengths[-n:]
