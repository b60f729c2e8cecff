"""Write labels as OME-Zarr 0.5, under labels/cells of a store of their own or of an image's."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellseg.errors import StorageError
from napari_cellseg.volume.atomic import replacing
from napari_cellseg.volume.label_values import as_labels
from napari_cellseg.volume.ome_xml import NAMESPACE
from napari_cellseg.volume.ome_zarr import CELLS, LABELS, find_image, label_names
from napari_cellseg.volume.zarr_store import attributes, is_array, is_zarr, zarr_format

VERSION = "0.5"
_CHUNK = {"t": 1, "z": 64, "y": 128, "x": 128}
_CHUNK_2D = {"t": 1, "y": 512, "x": 512}
_SMALLEST_LEVEL = 256  # a level whose planes fit into this square is the last


@dataclass(frozen=True)
class LabelImage:
    """Labels to be written, with what is said about them.

    Attributes
    ----------
    labels : array of int
        numpy, dask or zarr, in the order of `axes`.
    axes : str
        ``yx``, ``zyx``, ``tyx`` or ``tzyx``.
    spacing : mapping
        Voxel size by spatial axis, in µm or relative.
    known : bool
        Whether `spacing` is in µm.
    recipe : mapping
        JSON-able; stored under ``napari-cellseg``.
    name : str
        Title.
    """

    labels: Any
    axes: str
    spacing: Mapping[str, float]
    known: bool
    recipe: Mapping[str, Any]
    name: str


def write_zarr(
    path: Path, image: LabelImage, *, overwrite: bool, check: Callable[[], None]
) -> None:
    """Write labels to the store `path`.

    A new store holds only labels; its root describes the same arrays as an image, so that any
    OME-Zarr reader shows them. If `path` is an OME-Zarr 0.5 image, the labels are added inside it
    and its image is not touched.

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
    if not path.exists():
        with replacing(path, overwrite=overwrite) as temporary:
            _write_store(temporary, image, check)
        return
    if not overwrite and not _is_image(path):
        raise StorageError(f"{str(path)!r} exists: pass overwrite=True to replace it.")
    if _is_ours(path):
        others = [name for name in label_names(path) if name != CELLS]
        if others:
            raise StorageError(
                f"{str(path)!r} also holds the labels {', '.join(others)}, so it is not replaced: "
                "choose another name."
            )
        with replacing(path, overwrite=overwrite) as temporary:
            _write_store(temporary, image, check)
    elif not _is_image(path):
        raise StorageError(
            f"{str(path)!r} is not a label store that napari-cellseg wrote, so it is not replaced: "
            "choose another name."
        )
    elif zarr_format(path) != 3:
        raise StorageError(
            f"{str(path)!r} is an OME-Zarr 0.4 image, which cannot hold labels of version "
            f"{VERSION}: choose another name."
        )
    else:
        _add_to_image(path, image, overwrite, check)


def _is_ours(path: Path) -> bool:
    return path.is_dir() and is_zarr(path) and NAMESPACE in attributes(path)


def _is_image(path: Path) -> bool:
    if not path.is_dir() or not is_zarr(path) or is_array(path) or _is_ours(path):
        return False
    found = find_image(path, f"zarr store {path.name!r}")
    return found is not None and found.group == path and not found.is_labels


def _write_store(folder: Path, image: LabelImage, check: Callable[[], None]) -> None:
    paths = _write_labels_group(folder / LABELS, image, check)
    ome = {"version": VERSION, "multiscales": [_multiscale(image, paths, f"{LABELS}/{CELLS}/")]}
    _write_group(folder, {"ome": ome, NAMESPACE: dict(image.recipe)})


def _add_to_image(
    path: Path, image: LabelImage, overwrite: bool, check: Callable[[], None]
) -> None:
    labels = path / LABELS
    if not is_zarr(labels):
        with replacing(labels, overwrite=False) as temporary:
            _write_labels_group(temporary, image, check)
        return
    with replacing(labels / CELLS, overwrite=overwrite) as temporary:
        _write_cells(temporary, image, check)
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


def _write_labels_group(folder: Path, image: LabelImage, check: Callable[[], None]) -> list[_Level]:
    levels = _write_cells(folder / CELLS, image, check)
    _write_group(folder, {"ome": {"version": VERSION, "labels": [CELLS]}})
    return levels


def _write_cells(folder: Path, image: LabelImage, check: Callable[[], None]) -> list[_Level]:
    levels = list(_levels(image))
    folder.mkdir(parents=True)
    previous: Any = None
    for level in levels:
        previous = _write_level(folder / level.name, image, level, previous, check)
    ome = {
        "version": VERSION,
        "multiscales": [_multiscale(image, levels, "")],
        "image-label": {"version": VERSION, "source": {"image": "../../"}},
    }
    _write_group(folder, {"ome": ome, NAMESPACE: dict(image.recipe)})
    return levels


@dataclass(frozen=True)
class _Level:
    name: str
    shape: tuple[int, ...]
    step: tuple[int, ...]  # from the level before
    factor: tuple[int, ...]  # from the finest


def _levels(image: LabelImage) -> Iterator[_Level]:
    """Halve y and x, and z once its spacing is no longer the coarser, until a plane is small."""
    shape = tuple(int(n) for n in image.labels.shape)
    factor = step = (1,) * len(shape)
    for index in itertools.count():
        yield _Level(str(index), shape, step, factor)
        if max(shape[-2:]) <= _SMALLEST_LEVEL:
            return
        size = {a: image.spacing.get(a, 1.0) * f for a, f in zip(image.axes, factor, strict=True)}
        fine = 1.5 * min(size["y"], size["x"])
        step = tuple(
            2 if n > 1 and (axis in "yx" or (axis == "z" and size["z"] <= fine)) else 1
            for axis, n in zip(image.axes, shape, strict=True)
        )
        shape = tuple(-(-n // s) for n, s in zip(shape, step, strict=True))
        factor = tuple(f * s for f, s in zip(factor, step, strict=True))


def _write_level(
    folder: Path, image: LabelImage, level: _Level, previous: Any, check: Callable[[], None]
) -> Any:
    import zarr
    from zarr.codecs import BloscCodec

    chunk = _CHUNK if "z" in image.axes else _CHUNK_2D
    chunks = tuple(min(chunk[axis], n) for axis, n in zip(image.axes, level.shape, strict=True))
    array = zarr.create_array(
        folder,
        shape=level.shape,
        dtype=np.uint32,
        chunks=chunks,
        compressors=BloscCodec(cname="zstd", clevel=5, shuffle="shuffle"),
        fill_value=0,
        zarr_format=3,
        dimension_names=tuple(image.axes),
    )
    source = image.labels if previous is None else previous
    # Whole rows of chunks at a time, so that no chunk is written twice.
    blocks = (*chunks[:-1], level.shape[-1])
    for start in itertools.product(*map(range, (0,) * len(blocks), level.shape, blocks)):
        check()
        stop = [min(a + b, n) for a, b, n in zip(start, blocks, level.shape, strict=True)]
        target = tuple(map(slice, start, stop))
        # Every second voxel, never an average: an average of two ids would be a third.
        origin = tuple(
            slice(a * s, b * s, s) for a, b, s in zip(start, stop, level.step, strict=True)
        )
        array[target] = as_labels(np.asarray(source[origin]), "the labels")
    return array


def _multiscale(image: LabelImage, levels: list[_Level], prefix: str) -> dict[str, Any]:
    axes: list[dict[str, str]] = []
    for axis in image.axes:
        entry = {"name": axis, "type": "time" if axis == "t" else "space"}
        if image.known and axis != "t":
            entry["unit"] = "micrometer"
        axes.append(entry)
    datasets = [
        {
            "path": prefix + level.name,
            "coordinateTransformations": [
                {
                    "type": "scale",
                    "scale": [
                        float(image.spacing.get(axis, 1.0) * factor)
                        for axis, factor in zip(image.axes, level.factor, strict=True)
                    ],
                }
            ],
        }
        for level in levels
    ]
    return {"name": CELLS, "axes": axes, "datasets": datasets, "type": "nearest"}


def _write_group(folder: Path, found: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    document = {"zarr_format": 3, "node_type": "group", "attributes": found}
    (folder / "zarr.json").write_text(json.dumps(document, indent=2), encoding="utf-8")
