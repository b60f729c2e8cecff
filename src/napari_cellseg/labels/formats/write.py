"""write_label_file: labels to any known kind of file, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.labels.formats.hdf5 import NAME, write_hdf5
from napari_cellseg.labels.formats.rois import write_rois
from napari_cellseg.labels.formats.seg_npy import ENDING, write_seg_npy
from napari_cellseg.labels.formats.values import restore_ids
from napari_cellseg.volume.atomic import replacing
from napari_cellseg.volume.axes import DEFAULTS
from napari_cellseg.volume.spacing import check_spacing
from napari_cellseg.volume.write import write_labels

KINDS = {
    ".ome.zarr": "zarr", ".zarr": "zarr", ".tif": "tiff", ".tiff": "tiff", ENDING: "seg.npy",
    ".zip": "roi", ".h5": "hdf5", ".hdf5": "hdf5",
}  # fmt: skip
"""What the end of a name asks for."""

_TYPES: dict[int, type[np.unsignedinteger[Any]]] = {8: np.uint8, 16: np.uint16, 32: np.uint32}


def kind_of(path: str | os.PathLike[str]) -> str:
    """What kind of file a name asks for.

    Returns
    -------
    str
        "zarr", "tiff", "seg.npy", "roi" or "hdf5".

    Raises
    ------
    InputError
        None that labels can be written as.
    """
    name = Path(path).name.lower()
    for ending, kind in KINDS.items():
        if name.endswith(ending):
            return kind
    raise InputError(
        f"Labels cannot be written as {Path(path).name!r}: end the name in .tif, .ome.zarr, "
        f"{ENDING} (Cellpose), .zip (ImageJ ROIs) or .h5."
    )


def write_label_file(
    path: str | os.PathLike[str],
    labels: NDArray[np.unsignedinteger[Any]],
    *,
    axes: str | None = None,
    spacing: Sequence[float] | None = None,
    bits: int | None = None,
    original_ids: NDArray[np.integer[Any]] | None = None,
    image: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write labels as what the end of the name asks for.

    Parameters
    ----------
    path : path-like
        ``.tif``, ``.ome.zarr``, ``…_seg.npy`` (Cellpose), ``.zip`` (ImageJ's ROIs, one per object
        and plane) or ``.h5``.
    labels : ndarray of uint32
        Shape ``([t,] [z,] y, x)``.
    axes : str, optional
        Their axes; by default yx, zyx or tzyx.
    spacing : sequence of float, optional
        (z, y, x) in µm, or (y, x); kept in TIFF, OME-Zarr and HDF5.
    bits : int, optional
        8, 16 or 32 per voxel in ``_seg.npy`` and HDF5, 32 by default; TIFF and OME-Zarr always
        take 32.
    original_ids : ndarray of int, optional
        Of `LabelFile`: write the ids that the file had. HDF5 alone can hold them; elsewhere the
        mapping goes into the metadata where there is any.
    image : str, optional
        File of the image, for Cellpose's window.
    metadata : mapping, optional
        JSON-able recipe or provenance, for TIFF, OME-Zarr and HDF5.
    overwrite : bool
        Replace what is there.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    InputError
        The kind of file cannot hold these labels.
    StorageError
        It cannot be written; what was there before is untouched.
    """
    kind = kind_of(path)
    target = Path(path)
    labels = np.asarray(labels)
    letters = axes or DEFAULTS.get(labels.ndim, "")
    if labels.dtype.kind not in "iu" or len(letters) != labels.ndim or letters[-2:] != "yx":
        raise InputError(
            f"Labels of type {labels.dtype} and shape {labels.shape} cannot be written: pass "
            "whole numbers, ordered as (t, z, y, x)."
        )
    recipe = dict(metadata or {})
    if original_ids is not None and kind in ("tiff", "zarr"):
        recipe["original_ids"] = [int(number) for number in original_ids]
    if kind in ("tiff", "zarr"):
        if bits not in (None, 32):
            raise InputError(f"{target.name!r} is written with 32 bits per voxel: leave bits out.")
        return write_labels(
            target, labels, spacing=spacing, axes=letters, overwrite=overwrite, metadata=recipe
        )
    size = None if spacing is None else check_spacing(spacing, "z" in letters)
    packed: NDArray[Any] = _packed(labels, bits, target)
    if target.is_dir():
        raise StorageError(f"{str(target)!r} is a folder: choose the name of a file.")
    with replacing(target, overwrite=overwrite) as part:
        if kind == "seg.npy":
            write_seg_npy(part, packed, letters, image)
        elif kind == "roi":
            write_rois(part, packed, letters)
        else:
            if original_ids is not None:
                packed = restore_ids(np.asarray(labels, np.uint32), original_ids)
            write_hdf5(part, packed, letters, size, recipe, NAME)
    return target


def _packed(
    labels: NDArray[Any], bits: int | None, target: Path
) -> NDArray[np.unsignedinteger[Any]]:
    if bits not in (None, *_TYPES):
        raise InputError(f"bits={bits!r} cannot be: pass 8, 16 or 32.")
    dtype = _TYPES[bits or 32]
    largest, most = int(labels.max(initial=0)), int(np.iinfo(dtype).max)
    if int(labels.min(initial=0)) < 0 or largest > most:
        raise InputError(
            f"Labels up to {largest} do not fit {bits or 32} bits in {target.name!r}: use more "
            "bits or renumber the objects."
        )
    return labels.astype(dtype, order="C")
