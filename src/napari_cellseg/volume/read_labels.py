"""read_labels: load instance labels from any file that holds them."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.volume.label_values import to_labels
from napari_cellseg.volume.memory import check_memory
from napari_cellseg.volume.ome_xml import NAMESPACE
from napari_cellseg.volume.ome_zarr import CELLS, LABELS, find_image, label_names
from napari_cellseg.volume.patch_commit import settle
from napari_cellseg.volume.read import existing_path, read_volume, volume_of, zarr_where
from napari_cellseg.volume.spacing import Spacing
from napari_cellseg.volume.tiff import recipe_of_tiff
from napari_cellseg.volume.volume import Volume
from napari_cellseg.volume.zarr_store import is_array, is_zarr


@dataclass(frozen=True, eq=False)
class LabelFile:
    """Labels with what their file says about them.

    Attributes
    ----------
    labels : ndarray of uint32
        (y, x), (z, y, x) or (t, z, y, x).
    axes : str
        Their axes.
    spacing : tuple of float
        (z, y, x) in µm; 1.0 where unknown.
    spacing_known : bool
        False if the spacing is a default.
    metadata : dict
        Recipe given to :func:`write_labels`; empty for files of other programs.
    notices : tuple of str
        A sentence for each assumption.
    """

    labels: NDArray[np.uint32]
    axes: str
    spacing: Spacing
    spacing_known: bool
    metadata: dict[str, Any]
    notices: tuple[str, ...]


def read_labels(path: str | os.PathLike[str]) -> tuple[NDArray[np.uint32], Spacing]:
    """Load labels into memory.

    Parameters
    ----------
    path : path-like
        TIFF, OME-Zarr (labels inside an image, preferably ``labels/cells``, or a label image),
        zarr array or ``.npy``.

    Returns
    -------
    labels : ndarray of uint32
        (y, x), (z, y, x) or (t, z, y, x).
    spacing : tuple of float
        (z, y, x) in µm; 1.0 where unknown.

    Raises
    ------
    InputError
        If there are no labels, or more than memory holds.
    """
    file = read_label_file(path)
    return file.labels, file.spacing


def read_label_file(path: str | os.PathLike[str]) -> LabelFile:
    """Like :func:`read_labels`, with axes, recipe and notices."""
    volume, metadata = open_labels(path)
    where = f"the labels in {Path(path).name!r}"
    check_memory(math.prod(volume.shape) * max(4, volume.dtype.itemsize), f"Reading {where}")
    return LabelFile(
        labels=to_labels(np.asarray(volume.data), where),
        axes=volume.axes,
        spacing=volume.spacing,
        spacing_known=volume.spacing_known,
        metadata=metadata,
        notices=volume.notices,
    )


def open_labels(path: str | os.PathLike[str]) -> tuple[Volume, dict[str, Any]]:
    """Labels as a lazy Volume whose values are not checked yet, and their recipe."""
    location = existing_path(path)
    if location.is_dir() and is_zarr(location) and not is_array(location):
        volume, recipe = _from_zarr(location)
    else:
        settle(location)
        volume = read_volume(location)
        recipe = recipe_of_tiff(location) if location.is_file() else None
    if "c" in volume.axes:
        raise InputError(
            f"{location.name!r} has channels or colours (axes {volume.axes}): "
            "choose a label image with one number per voxel."
        )
    metadata = (recipe or {}).get("metadata", {})
    return volume, metadata if isinstance(metadata, dict) else {}


def labels_folder(path: Path) -> Path:
    """Folder of the labels in a zarr group: inside an image, or the group itself.

    Raises
    ------
    InputError
        If the image holds several and none has the usual name.
    """
    names = label_names(path) if path.name != LABELS else []
    if len(names) > 1 and CELLS not in names:
        raise InputError(
            f"{zarr_where(path)} holds the labels {', '.join(map(repr, names))}: "
            "pass the folder of one of them."
        )
    return path / LABELS / (CELLS if CELLS in names else names[0]) if names else path


def _from_zarr(path: Path) -> tuple[Volume, dict[str, Any] | None]:
    where = zarr_where(path)
    image = find_image(labels_folder(path), where)
    if image is None:
        return read_volume(path), None
    settle(image.group)
    return volume_of(image, image.arrays(where)[0], path, None, None), image.attributes.get(
        NAMESPACE
    )
