"""HDF5: a dataset of labels, as ilastik and PlantSeg name it, with its voxel size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels.formats.label_file import LabelFile
from napari_cellseg.labels.formats.values import to_ids
from napari_cellseg.volume.axes import UNKNOWN
from napari_cellseg.volume.build import assemble
from napari_cellseg.volume.memory import check_memory
from napari_cellseg.volume.spacing import StatedSpacing

if TYPE_CHECKING:
    import h5py

MAGIC = b"\x89HDF\r\n\x1a\n"
SUFFIXES = (".h5", ".hdf5", ".hdf")
NAME = "label"
_USUAL = (NAME, "labels", "segmentation", "exported_data", "masks")
_SPACING = "element_size_um"
_RECIPE = "napari_cellseg"


def read_hdf5(path: Path, dataset: str | None = None, axes: str | None = None) -> LabelFile:
    """Read one dataset of labels.

    Parameters
    ----------
    path : Path
    dataset : str, optional
        Its name inside the file; by default the only one of whole numbers, or else the one
        that is called ``label``, ``labels``, ``segmentation``, ``exported_data`` or ``masks``.
    axes : str, optional
        One letter of ``tzyx`` per dimension; by default what ``axistags`` (ilastik) or the names
        of the dimensions say.

    Raises
    ------
    InputError
        There is no such dataset, it could be any of several, its values are no ids, or it lies
        in another file.
    """
    import h5py

    where = f"file {path.name!r}"
    try:
        with h5py.File(path, "r") as file:
            found, notices = _choose(file, dataset, where)
            return _read(found, path, axes, notices)
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        text = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{where} is no HDF5 file that can be read ({text}).") from error


def _choose(file: h5py.File, name: str | None, where: str) -> tuple[h5py.Dataset, tuple[str, ...]]:
    import h5py

    found: dict[str, Any] = {}

    def visit(path: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim > 1:
            found[path] = item

    file.visititems(visit)  # follows no link to another file
    if name is not None:
        wanted = name.strip("/")
        if wanted not in found:
            names = ", ".join(map(repr, found)) or "none"
            raise InputError(f"{where} has no dataset {name!r}: choose one of {names}.")
        return found[wanted], ()
    whole = {path: item for path, item in found.items() if item.dtype.kind in "iub"}
    if len(whole) == 1:
        return next(iter(whole.values())), ()
    for usual in _USUAL:
        # by the last part of the name; whole numbers before others
        for group in (whole, found):
            chosen = [path for path in group if path.rpartition("/")[2] == usual]
            if len(chosen) == 1:
                text = f"Dataset {chosen[0]!r} was read; there are {len(found)} in the file."
                return group[chosen[0]], (text,) if len(found) > 1 else ()
    names = ", ".join(map(repr, whole or found)) or "none"
    raise InputError(
        f"{where} has {len(whole)} datasets of whole numbers ({names}): pass the name of the one "
        "to read as dataset."
    )


def _read(
    dataset: h5py.Dataset, path: Path, axes: str | None, notices: tuple[str, ...]
) -> LabelFile:
    where = f"dataset {str(dataset.name)!r} of {path.name!r}"
    if dataset.is_virtual or dataset.external:
        raise InputError(f"{where} lies in other files: copy it into one file first.")
    if dataset.dtype.kind not in "iufb":
        raise InputError(f"{where} is of type {dataset.dtype}: choose one with whole numbers.")
    check_memory(2 * int(dataset.size) * max(4, dataset.dtype.itemsize), f"Reading {where}")
    letters = _axes(dataset)
    volume = assemble(
        dataset[()],
        letters,
        _spacing(dataset),
        spacing=None,
        axes=axes,
        name=path.stem,
        where=where,
        source=path,
        notices=notices,
    )
    if "c" in volume.axes:
        raise InputError(
            f"{where} has {volume.n_channels} channels (axes {volume.axes}): choose a dataset "
            "with one number per voxel."
        )
    labels, original, more = to_ids(np.asarray(volume.data), where, volume.axes)
    return LabelFile(
        labels=labels,
        axes=volume.axes,
        spacing=volume.spacing if volume.spacing_known else None,
        notices=(*volume.notices, *more),
        original_ids=original,
        metadata=_recipe(dataset),
    )


def _axes(dataset: h5py.Dataset) -> str:
    tags = dataset.attrs.get("axistags")
    if isinstance(tags, str | bytes):
        try:
            keys: str = "".join(str(one["key"]) for one in json.loads(tags)["axes"])
        except (ValueError, KeyError, TypeError):
            keys = ""
        if len(keys) == dataset.ndim and set(keys) <= set("tczyx"):
            return keys
    names = "".join(str(dimension.label).lower() or UNKNOWN for dimension in dataset.dims)
    if len(names) == dataset.ndim and set(names) <= set("tczyx"):
        return names
    return UNKNOWN * (int(dataset.ndim) - 2) + "yx"


def _spacing(dataset: h5py.Dataset) -> StatedSpacing:
    stated = dataset.attrs.get(_SPACING, dataset.file.attrs.get(_SPACING))
    if stated is None:
        return StatedSpacing()
    values = np.atleast_1d(np.asarray(stated))
    if values.dtype.kind not in "iuf" or len(values) not in (2, 3):
        return StatedSpacing()
    # three numbers are z, y, x, and two are y, x, whatever the order of the dimensions
    sizes = {axis: float(v) for axis, v in zip("zyx"[-len(values) :], values, strict=True)}
    return StatedSpacing(sizes, dict.fromkeys(sizes, "um"))


def _recipe(dataset: h5py.Dataset) -> dict[str, Any]:
    text = dataset.attrs.get(_RECIPE)
    if not isinstance(text, str):
        return {}
    try:
        recipe = json.loads(text)
    except ValueError:
        return {}
    return recipe if isinstance(recipe, dict) else {}


def write_hdf5(
    path: Path,
    labels: NDArray[np.unsignedinteger[Any]],
    axes: str,
    spacing: Sequence[float] | None,
    metadata: dict[str, Any],
    dataset: str = NAME,
) -> None:
    """Write labels, compressed, with the names of their axes and ``element_size_um``.

    Parameters
    ----------
    path : Path
        Where; the caller makes the write atomic.
    labels : ndarray of int
        ([t,] [z,] y, x).
    axes : str
        Their axes.
    spacing : sequence of float or None
        (z, y, x) in µm; None where it is not known.
    metadata : dict
        JSON-able recipe.
    dataset : str
        Name of the dataset.
    """
    import h5py

    with h5py.File(path, "w") as file:
        made = file.create_dataset(
            dataset, data=labels, compression="gzip", compression_opts=4, shuffle=True
        )
        for dimension, axis in zip(made.dims, axes, strict=True):
            dimension.label = axis
        if spacing is not None:
            made.attrs[_SPACING] = np.asarray(spacing, np.float64)
        if metadata:
            made.attrs[_RECIPE] = json.dumps(metadata, allow_nan=False)
