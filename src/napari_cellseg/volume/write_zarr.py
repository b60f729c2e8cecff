"""Write labels as OME-Zarr 0.5, under labels/cells of a store of their own or of an image's."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_cellseg.errors import StorageError
from napari_cellseg.volume.atomic import replacing
from napari_cellseg.volume.ome_xml import NAMESPACE
from napari_cellseg.volume.ome_zarr import CELLS, LABELS, find_image, label_names
from napari_cellseg.volume.pyramid import (
    VERSION,
    LabelImage,
    Level,
    levels_of,
    multiscale,
    write_cells_group,
    write_group,
    write_level,
)
from napari_cellseg.volume.zarr_store import attributes, is_array, is_zarr, zarr_format


def write_zarr(
    path: Path, image: LabelImage, *, overwrite: bool, check: Callable[[], None]
) -> None:
    """Write labels to the store `path`; see `place_cells`.

    Parameters
    ----------
    path : Path
        Store to create, or the store of an image.
    image : LabelImage
        What to write.
    overwrite : bool
        Whether labels that are there already may be replaced.
    check : callable
        Called before each block; may raise to stop.

    Raises
    ------
    StorageError
        If it cannot be written, or `path` holds something that is not ours to replace.
    """

    def make(folder: Path) -> Sequence[Level]:
        return _write_cells(folder, image, check)

    place_cells(path, image, make, overwrite=overwrite)


#: Makes the group of the cells in a folder that does not exist yet, and tells its levels.
Make = Callable[[Path], Sequence[Level]]


def place_cells(path: Path, image: LabelImage, make: Make, *, overwrite: bool) -> None:
    """Put the labels that `make` writes into the store `path`, whole or not at all.

    A new store holds only labels; its root describes the same arrays as an image, so that any
    OME-Zarr reader shows them. If `path` is an OME-Zarr 0.5 image, the labels are added inside it
    and its image is not touched.

    Parameters
    ----------
    path : Path
        Store to create, or the store of an image.
    image : LabelImage
        What is written.
    make : callable
        Makes the group in the folder that it is given.
    overwrite : bool
        Whether labels that are there already may be replaced.

    Raises
    ------
    StorageError
        If it cannot be written, or `path` holds something that is not ours to replace.
    """
    if check_target(path, overwrite=overwrite):
        _add_to_image(path, make, overwrite)
    else:
        with replacing(path, overwrite=overwrite) as temporary:
            _write_store(temporary, image, make)


def check_target(path: Path, *, overwrite: bool) -> bool:
    """Whether labels for `path` are added to an image there, instead of being a store of their own.

    Raises
    ------
    StorageError
        If `path` holds something that is not ours to replace, or may not be replaced.
    """
    if not path.exists():
        return False
    if not overwrite and not _is_image(path):
        raise StorageError(f"{str(path)!r} exists: pass overwrite=True to replace it.")
    if _is_ours(path):
        others = [name for name in label_names(path) if name != CELLS]
        if others:
            raise StorageError(
                f"{str(path)!r} also holds the labels {', '.join(others)}, so it is not replaced: "
                "choose another name."
            )
        return False
    if not _is_image(path):
        raise StorageError(
            f"{str(path)!r} is not a label store that napari-cellseg wrote, so it is not replaced: "
            "choose another name."
        )
    if zarr_format(path) != 3:
        raise StorageError(
            f"{str(path)!r} is an OME-Zarr 0.4 image, which cannot hold labels of version "
            f"{VERSION}: choose another name."
        )
    if not overwrite and (path / LABELS / CELLS).exists():
        raise StorageError(
            f"{str(path / LABELS / CELLS)!r} exists: pass overwrite=True to replace it."
        )
    return True


def _is_ours(path: Path) -> bool:
    return path.is_dir() and is_zarr(path) and NAMESPACE in attributes(path)


def _is_image(path: Path) -> bool:
    if not path.is_dir() or not is_zarr(path) or is_array(path) or _is_ours(path):
        return False
    found = find_image(path, f"zarr store {path.name!r}")
    return found is not None and found.group == path and not found.is_labels


def _write_store(folder: Path, image: LabelImage, make: Make) -> None:
    levels = _write_labels_group(folder / LABELS, make)
    ome = {"version": VERSION, "multiscales": [multiscale(image, levels, f"{LABELS}/{CELLS}/")]}
    write_group(folder, {"ome": ome, NAMESPACE: dict(image.recipe)})


def _add_to_image(path: Path, make: Make, overwrite: bool) -> None:
    labels = path / LABELS
    if not is_zarr(labels):
        with replacing(labels, overwrite=False) as temporary:
            _write_labels_group(temporary, make)
        return
    with replacing(labels / CELLS, overwrite=overwrite) as temporary:
        make(temporary)
    found = attributes(labels)
    ome = found.get("ome", {})
    names = [*ome.get("labels", [])]
    if CELLS not in names:
        document = json.loads((labels / "zarr.json").read_text(encoding="utf-8"))
        document["attributes"] = {
            **found,
            "ome": {**ome, "version": VERSION, "labels": [*names, CELLS]},
        }
        with replacing(labels / "zarr.json", overwrite=True) as temporary:
            temporary.write_text(json.dumps(document, indent=2), encoding="utf-8")


def _write_labels_group(folder: Path, make: Make) -> Sequence[Level]:
    folder.mkdir(parents=True)
    levels = make(folder / CELLS)
    write_group(folder, {"ome": {"version": VERSION, "labels": [CELLS]}})
    return levels


def _write_cells(folder: Path, image: LabelImage, check: Callable[[], None]) -> list[Level]:
    levels = list(levels_of(image))
    folder.mkdir(parents=True)
    previous: Any = None
    for level in levels:
        previous = write_level(folder / level.name, image, level, previous, check)
    write_cells_group(folder, image, levels)
    return levels
