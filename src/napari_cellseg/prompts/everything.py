"""Segment everything in a plane, from embeddings that exist already.

After the mask generator of Kirillov et al., Segment Anything, ICCV 2023, appendix
(https://github.com/facebookresearch/segment-anything): a grid of points is asked one by one, and
masks that the model rates low, that depend on the threshold, or that another mask repeats are
dropped. Added are a cell's size, pixels that may not be touched, and labels that do not overlap.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.flows.progress import Progress, Report
from napari_cellseg.prompts.embedding import Embedding
from napari_cellseg.prompts.everything_grid import Place, View, crop_places, point_grid, start
from napari_cellseg.prompts.everything_rules import Rules

if TYPE_CHECKING:
    from napari_cellseg.prompts.everything_view import Candidate
    from napari_cellseg.prompts.predictor import Predictor

__all__ = ["Everything", "View", "everything"]


@dataclass(frozen=True, eq=False)
class Everything:
    """What was found in a plane.

    Attributes
    ----------
    labels : array of uint32, (rows, cols)
        0 is background; objects count from 1, the best rated first, and do not overlap.
    table : structured array, (n,)
        Row i describes the object i + 1: ``id``, ``score`` (predicted intersection over union),
        ``stability``, ``size`` (pixels), ``row0``, ``col0``, ``row1``, ``col1`` (its box; the last
        two are beyond it), ``point_row``, ``point_col`` (what was asked).
    """

    labels: NDArray[np.uint32]
    table: NDArray[np.void]

    def __len__(self) -> int:
        return len(self.table)


def everything(
    predictor: Predictor,
    views: Embedding | Sequence[View],
    *,
    shape: tuple[int, int] | None = None,
    taken: ArrayLike | None = None,
    diameter: float | None = None,
    points_per_side: int | None = None,
    least_score: float = 0.88,
    least_stability: float = 0.95,
    stability_offset: float = 1.0,
    duplicate: float = 0.7,
    min_size: int | None = None,
    max_size: int | None = None,
    crop_layers: int = 0,
    encode: Callable[[Place], Embedding] | None = None,
    batch: int = 32,
    progress: Report | None = None,
    cancel: threading.Event | None = None,
) -> Everything:
    """Segment everything in a plane.

    Parameters
    ----------
    predictor : Predictor
        One that takes points.
    views : Embedding, or sequence of View
        The whole plane, or tiles of it. Tiles should overlap by more than a cell: a mask that
        an inner border of its tile cuts is dropped, for the tile that sees it whole.
    shape : tuple of int, optional
        Rows and columns of the plane; as far as `taken` or the views reach by default.
    taken : array of bool, (rows, cols), optional
        Pixels of locked or committed objects: no point is asked there, and they stay 0.
    diameter : float, optional
        Of a cell, in pixels: sets how dense the points are, which of nested masks is preferred,
        and the sizes unless they are given.
    points_per_side : int, optional
        Along the longer side of each view; by default points are half a `diameter` apart, or 32
        on a side where none is given.
    least_score : float
        Of the intersection over union that the model predicts for a mask.
    least_stability : float
        Of a mask at the logit `stability_offset` as a share of that at minus it.
    stability_offset : float
    duplicate : float
        Masks with a larger intersection over union are the same; 1 keeps all, nested ones too,
        as far as they do not overlap.
    min_size, max_size : int, optional
        Pixels; by default (0.2 × diameter)² and (3 × diameter)², or 0 and half the plane. A mask
        that reaches all four sides of the plane is background, whatever its size.
    crop_layers : int
        Look again at 4 (1), and at 16 (2) more, overlapping crops of each view: finds objects
        that are small in it.
    encode : callable, optional
        ``(row slice, col slice) → Embedding`` of that part of the plane; needed for crops.
    batch : int
        Points between two reports of progress; on a GPU, decoded together.
    progress : callable, optional
        ``(fraction, message)``.
    cancel : threading.Event, optional
        Polled between points, or batches of them on a GPU.

    Returns
    -------
    Everything

    Raises
    ------
    InputError
        If the model takes no points, or an argument does not fit.
    ModelError
        If the model answers NaN.
    Cancelled
        If `cancel` was set.

    References
    ----------
    Kirillov et al., Segment Anything, ICCV 2023, appendix.
    """
    if not predictor.capabilities.points:
        raise InputError(
            f"{predictor.title} takes no points, which finding everything in a plane needs: "
            "choose a model that does, such as SAM or MobileSAM."
        )
    rules = Rules(
        points_per_side=points_per_side,
        diameter=diameter,
        least_score=least_score,
        least_stability=least_stability,
        stability_offset=stability_offset,
        duplicate=duplicate,
        min_size=min_size,
        max_size=max_size,
        crop_layers=crop_layers,
        batch=batch,
    )
    if crop_layers and encode is None:
        raise InputError("Crops are asked for, but not how to encode one: give encode as well.")
    parts = _views(views)
    used = None if taken is None else _taken(taken)
    plane = _plane(parts, shape, used)

    from napari_cellseg.prompts.everything_select import choose, paint, settle

    step = Progress(progress, cancel)
    step(0.0, "placing points")
    found = []
    for candidate in _candidates(predictor, parts, plane, used, rules, encode, step.part(0, 0.95)):
        step.check()
        settled = settle(candidate, plane, used, rules)
        if settled is not None:
            found.append(settled)
    step(0.95, "choosing among masks")
    chosen = choose(found, rules)
    step.check()
    labels, table = paint(chosen, plane, used, rules)
    step(1.0, f"found {len(table):,} objects")
    return Everything(labels, table)


def _views(views: Embedding | Sequence[View]) -> list[View]:
    if isinstance(views, Embedding):
        rows, cols = views.shape
        return [View(views, (slice(0, rows), slice(0, cols)))]
    if not views:
        raise InputError("There is no view of the plane: give its embedding, or tiles of it.")
    return list(views)


def _taken(taken: ArrayLike) -> NDArray[np.bool_]:
    array = np.asarray(taken)
    if array.dtype != bool or array.ndim != 2:
        raise InputError(
            f"taken ({array.dtype}, shape {array.shape}) must be bool (rows, cols) of the plane."
        )
    return array


def _plane(
    views: list[View], shape: tuple[int, int] | None, taken: NDArray[np.bool_] | None
) -> tuple[int, int]:
    reach = tuple(max(view.place[axis].stop for view in views) for axis in (0, 1))
    plane = tuple(shape) if shape is not None else reach
    if taken is not None:
        if shape is None and taken.shape[0] >= reach[0] and taken.shape[1] >= reach[1]:
            plane = taken.shape
        if taken.shape != plane:
            raise InputError(
                f"taken has shape {taken.shape}, but the plane has {plane[0]} × {plane[1]} pixels."
            )
    if reach[0] > plane[0] or reach[1] > plane[1]:
        raise InputError(
            f"A view reaches to ({reach[0]}, {reach[1]}), beyond the plane of {plane[0]} × "
            f"{plane[1]} pixels."
        )
    return int(plane[0]), int(plane[1])


def _candidates(
    predictor: Predictor,
    views: list[View],
    plane: tuple[int, int],
    taken: NDArray[np.bool_] | None,
    rules: Rules,
    encode: Callable[[Place], Embedding] | None,
    step: Progress,
) -> Iterator[Candidate]:
    """Ask every point of every view and crop; the masks of each view come when it is done."""
    from napari_cellseg.prompts.everything_decode import decode_points
    from napari_cellseg.prompts.everything_view import ViewMasks

    places: list[tuple[Place, Embedding | None]] = [(view.place, view.embedding) for view in views]
    places += [
        (crop, None) for view in views for crop in crop_places(view.place, rules.crop_layers)
    ]
    grids = [_free_points(place, taken, rules) for place, _ in places]
    total = sum(len(points) for points in grids)
    done = 0
    for (place, embedding), points in zip(places, grids, strict=True):
        if not len(points):
            continue
        if embedding is None and encode is not None:
            step(done / total, "encoding a crop")
            embedding = View(encode(place), place).embedding
        if embedding is None:
            continue
        blends = getattr(predictor, "blends", "logits")
        masks = ViewMasks(place, plane, embedding.framing, blends, rules)
        for first in range(0, len(points), rules.batch):
            step(done / total, f"asked {done:,} of {total:,} points")
            asked = points[first : first + rules.batch]
            decoded = decode_points(predictor, embedding, asked, rules.least_score, step.check)
            masks.add(decoded, asked)
            done += len(asked)
        yield from masks.best()


def _free_points(
    place: Place, taken: NDArray[np.bool_] | None, rules: Rules
) -> NDArray[np.float64]:
    """Points of a view, (row, col) in it, that lie on no taken pixel."""
    rows, cols = place
    points = point_grid(
        (rows.stop - rows.start, cols.stop - cols.start), rules.points_per_side, rules.diameter
    )
    if taken is None:
        return points
    pixels = np.rint(points).astype(np.int64) + start(place)
    free: NDArray[np.float64] = points[~taken[pixels[:, 0], pixels[:, 1]]]
    return free
