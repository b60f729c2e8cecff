"""Everything in a plane, whatever its size and the shape of its pixels."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows.progress import Report
from napari_cellseg.prompts.everything import Everything, View, everything

if TYPE_CHECKING:
    from napari_cellseg.prompts.embedding import Embedding
    from napari_cellseg.prompts.everything_grid import Place
    from napari_cellseg.prompts.plane_prompter import PlanePrompter


def everything_in(
    prompter: PlanePrompter,
    taken: NDArray[np.bool_] | None = None,
    *,
    diameter: float | None = None,
    min_size: int | None = None,
    max_size: int | None = None,
    progress: Report | None = None,
    cancel: threading.Event | None = None,
    **rules: Any,
) -> Everything:
    """Find everything in a prompter's plane; what is not encoded yet is encoded first.

    Parameters
    ----------
    prompter : PlanePrompter
    taken : array of bool, (rows, cols), optional
        Pixels that stay as they are.
    diameter : float, optional
        Of a cell, in pixels along the finer side of a pixel.
    min_size, max_size : int, optional
        Pixels of the plane.
    progress, cancel
        See `everything`.
    rules
        Further arguments of `everything`.

    Returns
    -------
    Everything
        In pixels of the plane.

    Raises
    ------
    InputError, ModelError, Cancelled
        As `everything`.
    """
    held = prompter.embeddings
    tall, wide = prompter.sampling.factors

    def seen(number: int | None) -> int | None:
        return None if number is None else number * tall * wide

    views = [_view(prompter, tile, cancel) for tile in range(len(prompter.grid))]
    rows, cols = prompter.shape

    def encode(place: Place) -> Embedding:
        down, across = place
        top, left = down.start // tall, across.start // wide
        pixels = prompter.sampling.pixels(
            np.asarray(held.plane[top : -(-down.stop // tall), left : -(-across.stop // wide)])
        )
        shift = top * tall, left * wide
        inside = pixels[
            down.start - shift[0] : down.stop - shift[0],
            across.start - shift[1] : across.stop - shift[1],
        ]
        return held.cache.get(
            prompter.predictor,
            np.ascontiguousarray(inside),
            prompter.limits,
            orientation=held.orientation,
            cancel=cancel,
        )

    found = everything(
        prompter.predictor,
        views,
        shape=(rows * tall, cols * wide),
        taken=None if taken is None else prompter.sampling.mask(taken),
        diameter=diameter,
        min_size=seen(min_size),
        max_size=seen(max_size),
        encode=encode,
        progress=progress,
        cancel=cancel,
        **rules,
    )
    if prompter.sampling.plain:
        return found
    return _in_plane(found, tall, wide)


def _view(prompter: PlanePrompter, tile: int, cancel: threading.Event | None) -> View:
    tall, wide = prompter.sampling.factors
    rows, cols = prompter.grid.place(tile)
    place = (
        slice(rows.start * tall, rows.stop * tall),
        slice(cols.start * wide, cols.stop * wide),
    )
    return View(prompter.embeddings.encode(tile, cancel), place)


def _in_plane(found: Everything, tall: int, wide: int) -> Everything:
    """Each pixel of the plane is what is seen at its centre; objects too thin for one are gone."""
    labels = np.ascontiguousarray(found.labels[(tall - 1) // 2 :: tall, (wide - 1) // 2 :: wide])
    sizes = np.bincount(labels.ravel(), minlength=len(found.table) + 1)[1:]
    stays = sizes > 0
    number = np.zeros(len(found.table) + 1, np.uint32)
    number[1:][stays] = np.arange(1, int(stays.sum()) + 1)
    table = found.table[stays].copy()
    table["id"] = np.arange(1, len(table) + 1)
    table["size"] = sizes[stays]
    for name, factor in (("row0", tall), ("col0", wide)):
        table[name] = table[name] // factor
    for name, factor in (("row1", tall), ("col1", wide)):
        table[name] = -(-table[name] // factor)
    for name, factor in (("point_row", tall), ("point_col", wide)):
        table[name] = (table[name] - (factor - 1) / 2) / factor
    return Everything(number[labels], table)
