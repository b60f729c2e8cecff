"""read_label_file: labels of any file that is known, recognised by content."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels.formats.hdf5 import MAGIC, SUFFIXES, read_hdf5
from napari_cellseg.labels.formats.label_file import LabelFile
from napari_cellseg.labels.formats.rois import read_rois
from napari_cellseg.labels.formats.seg_npy import is_pickled, read_seg_npy
from napari_cellseg.labels.formats.values import to_ids
from napari_cellseg.volume.memory import check_memory
from napari_cellseg.volume.read import existing_path
from napari_cellseg.volume.read_labels import open_labels


def read_label_file(
    path: str | os.PathLike[str],
    shape: Sequence[int] | None = None,
    dataset: str | None = None,
    *,
    axes: str | None = None,
) -> LabelFile:
    """Read labels of napari-cellseg or of another program.

    Parameters
    ----------
    path : path-like
        TIFF (also Cellpose's ``_cp_masks.tif``), OME-Zarr, zarr, ``.npy``, Cellpose's
        ``_seg.npy``, ImageJ's ``.roi`` or ``.zip`` of them, or HDF5. Nothing in a file is run.
    shape : sequence of int, optional
        Of the image without channels; ROI files need it, of others it is checked.
    dataset : str, optional
        Name of the dataset in an HDF5 file; see `read_hdf5`.
    axes : str, optional
        Axes where the file does not say what is true.

    Returns
    -------
    LabelFile

    Raises
    ------
    InputError
        The file is missing, damaged or no label file, its values are no ids, or its shape is
        another one.
    """
    location = existing_path(path)
    wanted = None if shape is None else tuple(int(n) for n in shape)
    try:
        file = _read(location, wanted, dataset, axes)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"file {location.name!r} cannot be read ({reason}).") from error
    if wanted is not None and file.labels.shape != wanted:
        raise InputError(
            f"The labels in {location.name!r} have shape {file.labels.shape} and the image "
            f"{wanted}: they are not of the same image."
        )
    return file


def _read(
    path: Path, shape: tuple[int, ...] | None, dataset: str | None, axes: str | None
) -> LabelFile:
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(8)
        suffix = path.suffix.lower()
        if start == MAGIC or suffix in SUFFIXES:
            return read_hdf5(path, dataset, axes)
        if start.startswith(b"Iout") or suffix in (".roi", ".zip") or zipfile.is_zipfile(path):
            return read_rois(path, shape, axes)
        if is_pickled(path):
            return read_seg_npy(path)
    if dataset is not None:
        raise InputError(f"{path.name!r} is no HDF5 file, so it has no dataset {dataset!r}.")
    return _image(path, axes)


def _image(path: Path, axes: str | None) -> LabelFile:
    volume, metadata = open_labels(path)
    volume = volume.with_axes(axes)
    where = f"the labels in {path.name!r}"
    check_memory(math.prod(volume.shape) * 2 * max(4, volume.dtype.itemsize), f"Reading {where}")
    labels, original, notices = to_ids(np.asarray(volume.data), where, volume.axes)
    return LabelFile(
        labels=labels,
        axes=volume.axes,
        spacing=volume.spacing if volume.spacing_known else None,
        notices=(*volume.notices, *notices),
        original_ids=_kept_ids(metadata) if original is None else original,
        metadata=metadata,
    )


def _kept_ids(metadata: dict[str, Any]) -> NDArray[np.uint64] | None:
    """Ids that the labels had before they were written with 32 bits; see `write_label_file`."""
    kept = metadata.get("original_ids")
    if not isinstance(kept, list) or not kept:
        return None
    if not all(type(one) is int and 0 <= one < 2**64 for one in kept):
        return None
    return np.array(kept, np.uint64)
