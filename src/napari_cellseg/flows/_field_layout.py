"""The layout of a flow field on disk: a zarr v3 group, its attributes, its empty arrays."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.flows import _field_codes as codes
from napari_cellseg.flows.label_flows import check_spacing
from napari_cellseg.volume.zarr_store import attributes, is_array, is_zarr

#: Attribute of the group that makes it one of ours.
KEY = "napari-cellseg-field"
VERSION = 1
#: Voxels (z, y, x) that are compressed together: a read of a block with a halo decodes few that
#: it does not need, and a volume of 10⁹ voxels has some thousand files.
_CHUNK = (64, 64, 64)
_CHUNK_2D = (512, 512)


def is_field_store(path: Path) -> bool:
    """Whether the folder holds a flow field."""
    return path.is_dir() and is_zarr(path) and not is_array(path) and KEY in attributes(path)


def array_types(precision: str, disagreement: bool) -> dict[str, tuple[Any, Any]]:
    """Type and fill value of every array of a field."""
    kinds: dict[str, tuple[Any, Any]] = dict(codes.STORED[precision])
    if disagreement:
        kinds["disagreement"] = (np.uint8, 0)
    return kinds


def part_of(region: Sequence[slice], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """`region` with start and stop for each axis; InputError unless it lies in `shape`."""
    inside = tuple(
        slice(one.start or 0, n if one.stop is None else one.stop)
        for one, n in zip(region, shape, strict=False)
        if one.step in (None, 1)
    )
    fits = len(region) == len(inside) == len(shape) and all(
        0 <= one.start < one.stop <= n for one, n in zip(inside, shape, strict=True)
    )
    if not fits:
        raise InputError(f"region={tuple(region)!r} does not lie in a field of {shape} voxels.")
    return inside


def describe(
    shape: Sequence[int],
    spacing: Sequence[float],
    time: bool | None,
    chunks: Sequence[int] | None,
    precision: str,
) -> dict[str, Any]:
    """Check what a field is to be, and put it into attributes.

    Raises
    ------
    InputError
        If a parameter is not usable; see `FieldStore.create`.
    """
    sizes = [int(n) for n in shape]
    has_time = len(sizes) == 4 if time is None else time
    ndim = len(sizes) - has_time
    if ndim not in (2, 3) or min(sizes) < 1:
        raise InputError(f"shape={tuple(shape)} is not ([t,] [z,] y, x) with 1 or more each.")
    space = sizes[has_time:]
    if chunks is None:
        chunks = _CHUNK if ndim == 3 else _CHUNK_2D
    if len(chunks) != ndim or min(chunks) < 1:
        raise InputError(f"chunks={tuple(chunks)} do not fit {ndim} axes: give 1 or more for each.")
    if precision not in ("float16", "int8"):
        raise InputError(f"precision={precision!r} is unknown: choose 'float16' or 'int8'.")
    steps = check_spacing(spacing)
    if ndim == 3 and len(spacing) != 3:
        raise InputError(f"The spacing {spacing!r} of a volume must be three numbers (z, y, x).")
    return {
        "version": VERSION,
        "shape": sizes,
        "has_time": has_time,
        "spacing": steps.tolist(),
        "chunks": [min(int(c), n) for c, n in zip(chunks, space, strict=True)],
        "precision": precision,
        **codes.STATED[precision],
    }


def check_described(described: Mapping[str, Any]) -> Mapping[str, Any]:
    """The attributes of a stored field; ValueError if they cannot be those of one."""
    numbers = [*described["shape"], *described["chunks"]]
    if not all(type(one) is int and one >= 1 for one in numbers):
        raise ValueError(f"sizes {numbers!r} are not whole numbers of 1 or more")
    try:
        check_spacing(described["spacing"])
    except InputError as error:
        raise ValueError(str(error).rstrip(".")) from error
    return described


def write_empty(folder: Path, described: Mapping[str, Any]) -> None:
    """Make the group and its arrays; no chunk is written."""
    import zarr
    from zarr.codecs import BloscCodec

    shape, chunks = described["shape"], described["chunks"]
    frames = shape[: len(shape) - len(chunks)]
    space = shape[len(frames) :]
    axes = [*"tzyx"[: len(frames)], *"zyx"[3 - len(space) :]]
    depth = len(space)
    zarr.create_group(folder, attributes={KEY: dict(described)}, zarr_format=3)
    kinds = array_types(described["precision"], described["disagreement"])
    for name, (kind, fill) in kinds.items():
        middle = [depth] if name == "flow" else []
        zarr.create_array(
            folder / name,
            shape=(*frames, *middle, *space),
            chunks=(*(1 for _ in frames), *middle, *chunks),
            dtype=kind,
            fill_value=fill,
            compressors=BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"),
            dimension_names=(*axes[: len(frames)], *("d" for _ in middle), *axes[len(frames) :]),
            zarr_format=3,
        )
