"""Write labels as a compressed OME-TIFF."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.volume.label_values import as_labels
from napari_cellseg.volume.ome_xml import NAMESPACE

_CLASSIC = 1 << 31  # bytes before compression; beyond this 32-bit offsets may not suffice


def write_tiff(
    path: Path,
    labels: Any,
    *,
    axes: str,
    sizes: Mapping[str, float],
    recipe: Mapping[str, Any],
    check: Callable[[], None],
    name: str,
) -> None:
    """Write `labels` plane by plane to a new OME-TIFF, zlib-compressed.

    Parameters
    ----------
    path : Path
        File to create.
    labels : array of int
        In the order of `axes`; numpy, dask or zarr.
    axes : str
        ``yx``, ``zyx``, ``tyx`` or ``tzyx``.
    sizes : mapping
        Voxel size in µm by axis; empty where unknown.
    recipe : mapping
        JSON-able; stored as a map annotation.
    check : callable
        Called before each plane; may raise to stop.
    name : str
        Title of the image.
    """
    import tifffile

    metadata: dict[str, Any] = {
        "axes": axes.upper(),
        "Name": name,
        "MapAnnotation": {"Namespace": NAMESPACE, "recipe": json.dumps(recipe)},
    }
    for axis, size in sizes.items():
        metadata[f"PhysicalSize{axis.upper()}"] = size
        metadata[f"PhysicalSize{axis.upper()}Unit"] = "µm"
    shape = tuple(int(n) for n in labels.shape)
    large = math.prod(shape) * 4 > _CLASSIC
    # Our own handle: tifffile does not close its own if the header cannot be written.
    with path.open("xb+") as file, tifffile.TiffWriter(file, ome=True, bigtiff=large) as writer:
        writer.write(
            _planes(labels, check),
            shape=shape,
            dtype=np.uint32,
            photometric="minisblack",
            compression="zlib",
            metadata=metadata,
        )


def _planes(labels: Any, check: Callable[[], None]) -> Iterator[NDArray[np.uint32]]:
    for index in np.ndindex(tuple(labels.shape[:-2])):
        check()
        yield as_labels(np.asarray(labels[index]), "the labels")
