"""A label store on disk as its arrays: the finest, and how the coarser ones follow from it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cellseg.errors import StorageError
from napari_cellseg.volume.axes import DEFAULTS
from napari_cellseg.volume.patch_commit import settle
from napari_cellseg.volume.read import existing_path, zarr_where
from napari_cellseg.volume.spacing import settle_spacing
from napari_cellseg.volume.zarr_store import dimension_names, is_array, is_zarr

if TYPE_CHECKING:
    from napari_cellseg.volume.ome_zarr import OmeZarr
    from napari_cellseg.volume.spacing import Spacing

Box = tuple[slice, ...]


@dataclass(frozen=True)
class Level:
    """One array of a label store.

    Attributes
    ----------
    folder : Path
    array : zarr.Array
        Open for reading; without a cache.
    factor : tuple of int
        Voxels of the finest level to one of this, along each axis.
    """

    folder: Path
    array: Any
    factor: tuple[int, ...]

    @property
    def grid(self) -> tuple[int, ...]:
        """Shape of what is stored in one file: a shard, or else a chunk."""
        return tuple(int(n) for n in (self.array.shards or self.array.chunks))

    def part_of(self, box: Box) -> tuple[Box, Box]:
        """Return the voxels of this level in a box of the finest, and where in the box they lie.

        Every factor-th voxel, never an average: an average of two ids would be a third.
        """
        here, there = [], []
        for part, step, n in zip(box, self.factor, self.array.shape, strict=True):
            first = -(-part.start // step)
            last = max(first, min(-(-part.stop // step), int(n)))
            here.append(slice(first, last))
            start = first * step - part.start
            there.append(slice(start, start + (last - first) * step, step))
        return tuple(here), tuple(there)


@dataclass(frozen=True)
class LabelStore:
    """A label store; see `open_label_store`.

    Attributes
    ----------
    root : Path
        Folder of the label image, or of the array where it is no more than that.
    levels : tuple of Level
        The finest first.
    axes : str
    spacing : tuple of float
        (z, y, x) in µm; 1.0 where unknown.
    spacing_known : bool
    """

    root: Path
    levels: tuple[Level, ...]
    axes: str
    spacing: Spacing
    spacing_known: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the finest level."""
        return tuple(int(n) for n in self.levels[0].array.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the finest level in memory."""
        return math.prod(self.shape) * int(self.levels[0].array.dtype.itemsize)


def open_label_store(path: str | os.PathLike[str]) -> LabelStore:
    """Open the labels of a store for reading; an interrupted change of them is finished first.

    Parameters
    ----------
    path : path-like
        An OME-Zarr with labels inside (preferably ``labels/cells``), a label image, or a zarr
        array.

    Raises
    ------
    InputError
        It holds nothing that can be read.
    StorageError
        It holds no labels, its levels do not follow from each other, or an interrupted change
        cannot be finished.
    """
    settle(label_root(path))
    return describe(path)


def label_root(path: str | os.PathLike[str]) -> Path:
    """Return the folder of the label image, or of the array, that `open_label_store` opens."""
    return _find(path)[0]


def describe(path: str | os.PathLike[str]) -> LabelStore:
    """Open a label store as it is now; see `open_label_store`."""
    import zarr

    root, image, where = _find(path)
    if image is None:
        array = zarr.open_array(root, mode="r")
        axes = dimension_names(root, array.ndim) or DEFAULTS.get(array.ndim, "")
        _check(array, axes, where)
        level = Level(root, array, (1,) * array.ndim)
        return LabelStore(root, (level,), axes, (1.0, 1.0, 1.0), False)
    arrays = [zarr.open_array(folder, mode="r") for folder in image.levels]
    _check(arrays[0], image.axes, where)
    factors = _factors(image, arrays, where)
    levels = tuple(map(Level, image.levels, arrays, factors))
    spacing, known, _ = settle_spacing(image.spacing, None, "z" in image.axes)
    return LabelStore(root, levels, image.axes, spacing, known)


def _find(path: str | os.PathLike[str]) -> tuple[Path, OmeZarr | None, str]:
    from napari_cellseg.volume.ome_zarr import find_image
    from napari_cellseg.volume.read_labels import labels_folder

    location = existing_path(path)
    if not (location.is_dir() and is_zarr(location)):
        raise StorageError(
            f"{str(location)!r} is no zarr store: save the labels as .ome.zarr to edit a region."
        )
    where = zarr_where(location)
    if is_array(location):
        above = find_image(location.parent, where) if is_zarr(location.parent) else None
        if above is not None and location in above.levels:
            return above.group, above, where
        return location, None, where
    image = find_image(labels_folder(location), where)
    if image is None:
        raise StorageError(f"{where} holds no labels: choose a label image or an array.")
    return image.group, image, where


def _check(array: Any, axes: str, where: str) -> None:
    if array.dtype.kind not in "iu":
        raise StorageError(f"{where} holds {array.dtype} and not labels: choose a label image.")
    if len(axes) != array.ndim or axes not in ("yx", "zyx", "tyx", "tzyx"):
        raise StorageError(f"{where} has axes {axes or array.ndim} which labels cannot have.")


def _factors(image: OmeZarr, arrays: list[Any], where: str) -> list[tuple[int, ...]]:
    """By how much each level is coarser, by what the metadata say and the shapes confirm."""
    stated = image.attributes.get("ome", image.attributes)["multiscales"][0]["datasets"]
    scales = {str(one["path"]).strip("/"): _scale(one, len(image.axes)) for one in stated}
    names = [folder.relative_to(image.group).as_posix() for folder in image.levels]
    finest = scales[names[0]]
    factors = []
    for name, array in zip(names, arrays, strict=True):
        factor = tuple(max(1, round(a / b)) for a, b in zip(scales[name], finest, strict=True))
        fits = all(
            int(m) in (max(1, n // f), -(-n // f))
            for n, m, f in zip(arrays[0].shape, array.shape, factor, strict=True)
        )
        if not fits or array.dtype != arrays[0].dtype:
            raise StorageError(
                f"The level {name!r} of {where} is no whole subsampling of the finest: "
                "save the labels again as .ome.zarr to edit a region."
            )
        factors.append(factor)
    return factors


def _scale(dataset: Any, ndim: int) -> list[float]:
    for transform in dataset["coordinateTransformations"]:
        if transform["type"] == "scale":
            return [float(one) for one in transform["scale"]]
    return [1.0] * ndim
