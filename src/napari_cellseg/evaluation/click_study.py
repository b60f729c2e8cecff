"""The click table of an image with its truth: what the command line and the benchmarks call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.evaluation.click_answers import basin_answer, predictor_answer
from napari_cellseg.evaluation.clicks import simulate_clicks
from napari_cellseg.evaluation.contingency import contingency
from napari_cellseg.evaluation.matching import overlaps

if TYPE_CHECKING:
    from threading import Event

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from napari_cellseg.flows import FlowField, Segmentation
    from napari_cellseg.networks import FlowNetwork
    from napari_cellseg.prompts.predictor import Predictor
    from napari_cellseg.volume import Volume

    Report = Callable[[float, str], None]

MISSED = 0.5
"""IoU below which the automatic run got an object wrong or missed it."""


def study_basin(
    image: Volume | ArrayLike | str | Path,
    truth: ArrayLike | str | Path,
    *,
    model: str | FlowNetwork = "builtin",
    checkpoint: str | Path | None = None,
    spacing: Sequence[float] | None = None,
    channel: int | str = 0,
    diameter: float | None = None,
    probability: float = 0.5,
    device: str = "auto",
    most: int = 5,
    progress: Report | None = None,
    cancel: Event | None = None,
) -> pd.DataFrame:
    """Segment an image, then click on all its true objects in the flow field.

    Parameters
    ----------
    image : Volume, array or path
        A plane or a volume, without time.
    truth : array of int, or path
        Instance labels of it.
    model, checkpoint, spacing, channel, diameter, probability, device
        As in `segment`.
    most : int
        Clicks on one object at most.
    progress : callable, optional
        Called with a fraction in 0..1 and a message.
    cancel : threading.Event, optional
        Set it to stop.

    Returns
    -------
    pandas.DataFrame
        That of `simulate_clicks`, with ``auto``: the best IoU of an automatic instance. A click
        in a cell that the automatic run found repeats what it found; what clicks are worth
        is told by the rows with ``auto < MISSED``.

    Raises
    ------
    InputError
        If the image or a parameter cannot be used, or the truth does not fit.
    ModelError
        If the network cannot be loaded.
    Cancelled
        If `cancel` was set.
    """
    from napari_cellseg.flows import segment

    labels = _truth(truth)
    found: Segmentation = segment(
        image, model, checkpoint, channel, diameter, probability,
        spacing=spacing, device=device, cancel=cancel,
        progress=None if progress is None else lambda done, what: progress(done / 2, what),
    )  # fmt: skip
    return study_field(
        found.field,
        labels,
        found.labels,
        probability=probability,
        most=most,
        cancel=cancel,
        progress=None if progress is None else lambda done, what: progress(0.5 + done / 2, what),
    )


def study_field(
    field: FlowField,
    truth: ArrayLike | str | Path,
    automatic: ArrayLike,
    *,
    probability: float = 0.5,
    most: int = 5,
    progress: Report | None = None,
    cancel: Event | None = None,
) -> pd.DataFrame:
    """Click on all true objects in a flow field; see `study_basin`.

    Parameters
    ----------
    field : FlowField
        Without time.
    truth : array of int, or path
        Instance labels of its shape.
    automatic : array of int
        Labels that the automatic run gave.
    probability : float
        Cell probability above which a voxel is foreground.
    most, progress, cancel
        As in `study_basin`.
    """
    labels = _truth(truth)
    _require_shape(labels, field.shape)
    spacing = field.spacing[3 - field.ndim :]
    answer = basin_answer(field, probability=probability)
    table = simulate_clicks(labels, answer, spacing, most=most, progress=progress, cancel=cancel)
    table["auto"] = _best(np.asarray(automatic), labels, table["id"].to_numpy())
    return table


def study_predictor(
    image: Volume | ArrayLike | str | Path,
    truth: ArrayLike | str | Path,
    predictor: Predictor,
    *,
    spacing: Sequence[float] | None = None,
    channel: int | str = 0,
    limits: tuple[float, float] | None = None,
    most: int = 5,
    progress: Report | None = None,
    cancel: Event | None = None,
) -> pd.DataFrame:
    """Click on all true objects with a prompt predictor, in the plane where each is largest.

    Parameters
    ----------
    image : Volume, array or path
        A plane or a volume, without time; of a volume xy planes are used.
    truth : array of int, or path
        Instance labels of it.
    predictor : Predictor
        From `load_predictor`.
    spacing : sequence of float, optional
        µm per voxel; overrides the image's own.
    channel : int or str
        Index or name of the channel; ignored for RGB.
    limits : two floats, optional
        Intensities shown to the model as black and white; by default percentiles of each plane.
    most, progress, cancel
        As in `study_basin`.

    Returns
    -------
    pandas.DataFrame
        That of `simulate_clicks`, with ``z``: the plane, 0 for a plane.

    Raises
    ------
    InputError
        If the image or the truth cannot be used, or they do not fit.
    Cancelled
        If `cancel` was set.
    """
    import pandas as pd

    from napari_cellseg.volume import as_volume, read_volume

    if isinstance(image, str | Path):
        volume = read_volume(image, spacing=spacing)
    else:
        volume = as_volume(image, spacing=spacing)
    labels = _truth(truth)
    _require_shape(labels, volume.label_shape)
    stack = labels if labels.ndim == 3 else labels[None]
    largest = _largest_planes(stack)
    if not largest:
        raise InputError("The truth holds no object to click on.")
    planes = sorted(set(largest.values()))
    tables = []
    for done, z in enumerate(planes):
        if progress is not None:
            progress(done / len(planes), f"encoding plane {z}")
        plane = _plane(volume, z, channel)
        embedding = predictor.encode(plane, limits, cancel=cancel)
        table = simulate_clicks(
            stack[z],
            predictor_answer(predictor, embedding),
            volume.spacing[1:],
            most=most,
            ids=[number for number, best in largest.items() if best == z],
            cancel=cancel,
        )
        table["z"] = z
        tables.append(table)
    return pd.concat(tables, ignore_index=True).sort_values("id", ignore_index=True)


def _plane(volume: Volume, z: int, channel: int | str) -> NDArray[Any]:
    """Plane z, (rows, cols) or RGB (rows, cols, 3)."""
    stack = volume.stack(channel)
    return np.asarray(stack[z] if "z" in volume.axes else stack)


def _truth(truth: ArrayLike | str | Path) -> NDArray[np.integer]:
    from napari_cellseg.volume.read_labels import read_labels

    labels = read_labels(truth)[0] if isinstance(truth, str | Path) else np.asarray(truth)
    if labels.ndim not in (2, 3):
        raise InputError(
            f"The truth has shape {labels.shape}, but (y, x) or (z, y, x) is needed for clicks."
        )
    return labels


def _require_shape(labels: NDArray[np.integer], shape: tuple[int, ...]) -> None:
    if labels.shape != tuple(shape):
        raise InputError(f"The truth has shape {labels.shape}, but the image {tuple(shape)}.")


def _largest_planes(stack: NDArray[np.integer]) -> dict[int, int]:
    """For each object the plane in which it has most pixels, the first of equals."""
    best: dict[int, tuple[int, int]] = {}
    for z, plane in enumerate(stack):
        for number, count in zip(*np.unique(plane, return_counts=True), strict=True):
            if number and count > best.get(int(number), (0, 0))[0]:
                best[int(number)] = (int(count), z)
    return {number: z for number, (_, z) in best.items()}


def _best(
    automatic: NDArray[np.integer], truth: NDArray[np.integer], ids: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Best IoU of an automatic instance with each of the true ones."""
    table = contingency(automatic, truth, False)
    rows, _, iou = overlaps(table)
    best = np.zeros(len(table.truth_sizes))
    np.maximum.at(best, rows, iou)
    by_id = dict(zip(table.truth_ids[:, 1].tolist(), best.tolist(), strict=True))
    return np.array([by_id[number] for number in ids.tolist()])
