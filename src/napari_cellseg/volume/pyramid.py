"""The arrays of a label image as OME-Zarr 0.5: a pyramid of levels, and what is said about it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_cellseg.volume.label_values import as_labels
from napari_cellseg.volume.ome_xml import NAMESPACE
from napari_cellseg.volume.ome_zarr import CELLS

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


@dataclass(frozen=True)
class Level:
    """One resolution of a label image."""

    name: str
    shape: tuple[int, ...]
    step: tuple[int, ...]  # from the level before
    factor: tuple[int, ...]  # from the finest


def levels_of(image: LabelImage) -> Iterator[Level]:
    """Halve y and x, and z once its spacing is no longer the coarser, until a plane is small."""
    shape = tuple(int(n) for n in image.labels.shape)
    factor = step = (1,) * len(shape)
    for index in itertools.count():
        yield Level(str(index), shape, step, factor)
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


def level_chunks(axes: str, shape: Sequence[int]) -> tuple[int, ...]:
    """Chunks of a level of that shape."""
    chunk = _CHUNK if "z" in axes else _CHUNK_2D
    return tuple(min(chunk[axis], n) for axis, n in zip(axes, shape, strict=True))


def create_level(folder: Path, axes: str, shape: Sequence[int], dtype: DTypeLike) -> Any:
    """Make the zarr array of a level; nothing is written into it yet."""
    import zarr
    from zarr.codecs import BloscCodec

    return zarr.create_array(
        folder,
        shape=tuple(shape),
        dtype=dtype,
        chunks=level_chunks(axes, shape),
        compressors=BloscCodec(cname="zstd", clevel=5, shuffle="shuffle"),
        fill_value=0,
        zarr_format=3,
        dimension_names=tuple(axes),
    )


def reduced(source: Any, target: Sequence[slice], step: Sequence[int]) -> NDArray[Any]:
    """Part `target` of a level from the level before.

    Every second voxel, never an average: an average of two ids would be a third.
    """
    origin = tuple(
        slice(part.start * s, part.stop * s, s) for part, s in zip(target, step, strict=True)
    )
    return np.asarray(source[origin])


def write_level(
    folder: Path, image: LabelImage, level: Level, previous: Any, check: Callable[[], None]
) -> Any:
    """Write a level from the one before, or the first from the labels; return its array."""
    array = create_level(folder, image.axes, level.shape, np.uint32)
    source = image.labels if previous is None else previous
    # Whole rows of chunks at a time, so that no chunk is written twice.
    blocks = (*level_chunks(image.axes, level.shape)[:-1], level.shape[-1])
    for start in itertools.product(*map(range, (0,) * len(blocks), level.shape, blocks)):
        check()
        stop = [min(a + b, n) for a, b, n in zip(start, blocks, level.shape, strict=True)]
        target = tuple(map(slice, start, stop))
        array[target] = as_labels(reduced(source, target, level.step), "the labels")
    return array


def multiscale(image: LabelImage, levels: Sequence[Level], prefix: str) -> dict[str, Any]:
    """Entry of ``multiscales`` for arrays that lie in the folder `prefix`."""
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


def write_cells_group(folder: Path, image: LabelImage, levels: Sequence[Level]) -> None:
    """Say what the levels in `folder` are."""
    ome = {
        "version": VERSION,
        "multiscales": [multiscale(image, levels, "")],
        "image-label": {"version": VERSION, "source": {"image": "../../"}},
    }
    write_group(folder, {"ome": ome, NAMESPACE: dict(image.recipe)})


def write_group(folder: Path, found: dict[str, Any]) -> None:
    """Make a zarr group with these attributes."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {"zarr_format": 3, "node_type": "group", "attributes": found}
    (folder / "zarr.json").write_text(json.dumps(document, indent=2), encoding="utf-8")
