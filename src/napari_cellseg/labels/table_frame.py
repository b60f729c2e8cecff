"""The object table as a data frame."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from napari_cellseg.labels.document import LabelDocument
    from napari_cellseg.labels.edit import Key


def table_frame(
    document: LabelDocument, quality: pd.DataFrame | None, stale: Collection[Key] = ()
) -> pd.DataFrame:
    """Return what is known of every object of a document.

    Parameters
    ----------
    document : LabelDocument
    quality : pandas.DataFrame or None
        Columns to join, indexed by ``t`` and ``id``; left empty for `stale` objects.
    stale : set of (t, id)
        Objects that are not as they were when the quality was found.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``t`` and ``id``. Columns: ``voxels``; ``volume_um3`` (``area_um2`` in 2D) and
        ``diameter_um`` of the ball (disc) of that volume, or ``diameter`` in voxels of y;
        ``centroid_z``, ``_y``, ``_x`` in µm or voxels; ``bbox_z0`` … ``bbox_x1`` in voxels, half
        open; ``touches_border``, ``edited``, ``locked``, ``class`` and other marks.
    """
    import pandas as pd

    columns = document.objects.columns()
    spatial = document.axes.removeprefix("t")
    spacing = np.asarray(document.spacing[-len(spatial) :])
    known = document.spacing_known
    size = columns["voxels"] * float(np.prod(spacing))
    planar = len(spatial) == 2
    wide = np.sqrt(4 / np.pi * size) if planar else np.cbrt(6 / np.pi * size)
    out: dict[str, NDArray[Any] | list[Any]] = {"voxels": columns["voxels"]}
    if known:
        out["area_um2" if planar else "volume_um3"] = size
    out["diameter_um" if known else "diameter"] = wide
    for k, axis in enumerate(spatial):
        out[f"centroid_{axis}"] = columns["centroid"][:, k] * (spacing[k] if known else 1.0)
    low, high = columns["box"][:, 0], columns["box"][:, 1]
    for k, axis in enumerate(spatial):
        out[f"bbox_{axis}0"], out[f"bbox_{axis}1"] = low[:, k], high[:, k]
    shape = np.asarray(document.labels.shape[-len(spatial) :])
    out["touches_border"] = ((low == 0) | (high == shape)).any(1)
    keys = list(zip(columns["t"].tolist(), columns["id"].tolist(), strict=True))
    edited = document.edited_keys()
    out["edited"] = np.array([key in edited for key in keys], np.bool_)
    marks = {"locked": {}, "class": {}, **document.objects.marks}
    for name, column in marks.items():
        if name == "locked":
            out[name] = np.array([bool(column.get(key)) for key in keys], np.bool_)
        elif column or name == "class":
            out[name] = [column.get(key, "" if name == "class" else None) for key in keys]
    index = pd.MultiIndex.from_arrays([columns["t"], columns["id"]], names=["t", "id"])
    frame = pd.DataFrame(out, index=index)
    if quality is None:
        return frame
    joined = quality[[name for name in quality.columns if name not in frame.columns]]
    fresh = np.array([key not in stale for key in joined.index], np.bool_)
    return frame.join(joined.loc[fresh])
