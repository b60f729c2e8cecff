"""Choosing objects by what the object table says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels.edit import Key, Slices

if TYPE_CHECKING:
    import pandas as pd

Range: TypeAlias = tuple[float | None, float | None]
"""(lowest, highest), both included; None: no bound."""


def select(
    table: pd.DataFrame,
    *,
    voxels: Range | None = None,
    touches_border: bool | None = None,
    probability: Range | None = None,
    class_name: str | None = None,
    locked: bool | None = None,
    region: Slices | NDArray[np.bool_] | None = None,
    query: str | None = None,
    axis: int = 0,
    t: int | None = None,
) -> list[Key]:
    """Return the objects that all of the conditions hold for.

    Parameters
    ----------
    table : pandas.DataFrame
        Of a `LabelDocument`; indexed by ``t`` and ``id``.
    voxels : (lowest, highest), optional
        Size in voxels.
    touches_border : bool, optional
        Whether it lies at the border of the labels.
    probability : (lowest, highest), optional
        Mean cell probability, 0 … 1; objects without one are not chosen.
    class_name : str, optional
        Class; "" for objects without one.
    locked : bool, optional
    region : tuple of slice, or array of bool, optional
        Spatial box, or mask of all spatial axes or of a plane (a lasso through the depth), that
        the middle of the object's box must lie in.
    query : str, optional
        Condition on the columns, as for ``pandas.DataFrame.query``: ``"voxels < 300 and not
        locked"``.
    axis : int
        Axis that a mask of a plane stands on: 0 for xy, 1 for xz, 2 for yz.
    t : int, optional
        Only this time point.

    Returns
    -------
    list of (t, id)
        In the order of the table.

    Raises
    ------
    InputError
        If the table lacks what a condition is about, or the query cannot be understood.
    """
    keep = np.ones(len(table), np.bool_)
    if t is not None:
        keep &= np.asarray(table.index.get_level_values("t")) == t
    if voxels is not None:
        keep &= _between(_column(table, "voxels"), voxels)
    if touches_border is not None:
        keep &= np.asarray(_column(table, "touches_border"), np.bool_) == touches_border
    if probability is not None:
        keep &= _between(_column(table, "probability"), probability)
    if class_name is not None:
        keep &= np.asarray(_column(table, "class").fillna("") == class_name)
    if locked is not None:
        keep &= np.asarray(_column(table, "locked"), np.bool_) == locked
    if region is not None:
        keep &= _inside(table, region, axis)
    if query:
        keep &= _asked(table, query)
    return [(int(when), int(id)) for when, id in table.index[keep]]


def _column(table: pd.DataFrame, name: str) -> pd.Series[Any]:
    if name not in table.columns:
        raise InputError(f"The object table has no column {name!r}, which the condition is about.")
    return table[name]


def _between(values: pd.Series[Any], bounds: Range) -> NDArray[np.bool_]:
    low, high = bounds
    numbers = values.to_numpy(np.float64, na_value=np.nan)
    keep = ~np.isnan(numbers)
    if low is not None:
        keep &= numbers >= low
    if high is not None:
        keep &= numbers <= high
    return np.asarray(keep)


def _inside(
    table: pd.DataFrame, region: Slices | NDArray[np.bool_], axis: int
) -> NDArray[np.bool_]:
    names = [one for one in "zyx" if f"bbox_{one}0" in table.columns]
    corners = [
        [_column(table, f"bbox_{one}{end}").to_numpy(np.int64) for one in names] for end in (0, 1)
    ]
    middle = (np.array(corners[0]) + np.array(corners[1]) - 1) // 2
    if isinstance(region, np.ndarray):
        if region.ndim == 2 and len(names) == 3:
            middle = np.delete(middle, axis, axis=0)
        if region.dtype != np.bool_ or region.ndim != len(middle):
            raise InputError(
                f"A region of type {region.dtype} with {region.ndim} axes does not fit the "
                "objects: give a mask of bool of a plane or of all spatial axes."
            )
        shape = np.array(region.shape)[:, None]
        keep = ((middle >= 0) & (middle < shape)).all(axis=0)
        keep[keep] = region[tuple(middle[:, keep])]
        return np.asarray(keep)
    if len(region) != len(names):
        raise InputError(f"A region of {len(region)} slices does not fit {len(names)} axes.")
    keep = np.ones(len(table), np.bool_)
    for at, cut in zip(middle, region, strict=True):
        keep &= at >= (0 if cut.start is None else cut.start)
        if cut.stop is not None:
            keep &= at < cut.stop
    return keep


def _asked(table: pd.DataFrame, query: str) -> NDArray[np.bool_]:
    try:
        answer = table.eval(query, engine="python", local_dict={}, global_dict={})
    except Exception as error:  # pandas hands on whatever its parser and the columns raise
        raise InputError(f"The condition {query!r} cannot be understood: {error}.") from error
    chosen = np.asarray(answer)
    if chosen.dtype != np.bool_ or chosen.shape != (len(table),):
        raise InputError(f"The condition {query!r} must say yes or no of each object.")
    return chosen
