"""Read a region of a label store, and write it back: every chunk of it together, or none."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import CellsegError, InputError, StorageError
from napari_cellseg.volume.memory import check_memory
from napari_cellseg.volume.patch_commit import commit, writing
from napari_cellseg.volume.patch_store import (
    Box,
    LabelStore,
    Level,
    describe,
    label_root,
    open_label_store,
)

Values = NDArray[np.integer[Any]]
Check = Callable[[float], None]
"""Told how far the work is, from 0 to 1; may raise to stop it."""


def _go_on(fraction: float) -> None:
    """Stop nothing."""


def check_box(region: Sequence[slice], shape: Sequence[int]) -> Box:
    """Return a region as slices with plain bounds inside a shape.

    Raises
    ------
    InputError
        It has another number of axes, a step, or no voxel.
    """
    if len(region) != len(shape):
        raise InputError(
            f"The region has {len(region)} slices and the labels {len(shape)} axes: give one each."
        )
    bounds = [part.indices(int(n)) for part, n in zip(region, shape, strict=True)]
    if any(stop <= start or step != 1 for start, stop, step in bounds):
        raise InputError(f"The region {tuple(region)} is empty or has a step: choose another.")
    return tuple(slice(start, stop) for start, stop, _ in bounds)


def region_digest(labels: Values) -> str:
    """Hash of labels' shape and values, whatever their type and byte order."""
    found = hashlib.sha256(repr(labels.shape).encode())
    for part in labels if labels.ndim > 2 else (labels,):
        found.update(np.ascontiguousarray(part, "<u8").tobytes())
    return found.hexdigest()


def read_region(path: str | os.PathLike[str] | LabelStore, region: Sequence[slice]) -> Values:
    """Read a box of the finest level of a label store.

    Parameters
    ----------
    path : path-like or LabelStore
        See `open_label_store`.
    region : sequence of slice
        One per axis of the labels, in voxels.

    Returns
    -------
    ndarray of integers
        In the store's type and native byte order.

    Raises
    ------
    InputError
        A region outside, or one that memory does not hold.
    StorageError
        A store that cannot be read.
    """
    store = path if isinstance(path, LabelStore) else open_label_store(path)
    box = check_box(region, store.shape)
    array = store.levels[0].array
    count = int(np.prod([part.stop - part.start for part in box]))
    check_memory(2 * count * array.dtype.itemsize, f"Reading {count:,} voxels of {store.root.name}")
    return _read(array, box, store.root)


def largest_id(store: LabelStore, check: Check = _go_on) -> int:
    """Return the largest id of a label store; reads all of it, chunk by chunk."""
    level = store.levels[0]
    boxes = list(_cells(level, tuple(slice(0, n) for n in store.shape)))
    largest = 0
    for done, (_, whole) in enumerate(boxes):
        check(done / len(boxes))
        largest = max(largest, int(_read(level.array, whole, store.root).max(initial=0)))
    return largest


def write_region(
    path: str | os.PathLike[str],
    region: Sequence[slice],
    labels: Values | Callable[[LabelStore], Values],
    *,
    expected: str | None = None,
    check: Check = _go_on,
) -> Values:
    """Replace a box of a label store, and what its coarser levels show of it, in one step.

    Whenever the process ends, the store holds either all of the former labels or all of the new
    ones for whoever opens it by `open_label_store` or `napari_cellseg.open_labels` next; until
    then another program may see some chunks of each. Voxels outside the box stay as they are.

    Parameters
    ----------
    path : path-like
        See `open_label_store`.
    region : sequence of slice
        One per axis of the labels, in voxels.
    labels : array of integers, or callable
        Of the box. A callable is given the store, which nobody else writes meanwhile.
    expected : str, optional
        `region_digest` of what the box must hold now.
    check : callable, optional
        Told how far the work is; may raise to stop it, and nothing is changed then.

    Returns
    -------
    ndarray of integers
        What was written.

    Raises
    ------
    InputError
        The labels do not fit the region or the store's type.
    StorageError
        The box holds something else than expected, or the store cannot be written.
    """
    root = label_root(path)
    with writing(root) as staging:
        store = describe(path)
        box = check_box(region, store.shape)
        values = np.asarray(labels(store) if callable(labels) else labels)
        if expected is not None:
            found = region_digest(read_region(store, box))
            if found == region_digest(values):
                return values  # an interrupted write of the same was finished just now
            if found != expected:
                raise StorageError(
                    f"The region of {str(root)!r} was changed by somebody else since it was "
                    "opened: open it again; nothing was written."
                )
        typed = _typed(values, box, store)
        try:
            names = list(_staged(store, box, typed, staging, check))
        except (OSError, ValueError, RuntimeError) as error:
            if isinstance(error, CellsegError):
                raise
            reason = getattr(error, "strerror", None) or error
            raise StorageError(
                f"{str(root)!r} cannot be written ({reason}): free space; nothing was changed."
            ) from error
        if names:
            commit(root, names)
        return values


def _staged(
    store: LabelStore, box: Box, values: Values, staging: Path, check: Check
) -> Iterator[str]:
    """Write the new content of every file that changes; yield their names under the root."""
    import zarr

    todo = [
        (level, key, whole, *level.part_of(box))
        for level in store.levels
        for key, whole in _cells(level, level.part_of(box)[0])
    ]
    copies: dict[Path, Any] = {}
    for done, (level, key, whole, part, inside) in enumerate(todo):
        check(done / len(todo))
        former = _read(level.array, whole, store.root)
        now = former.copy()
        here, there = _overlap(whole, part)
        now[here] = values[inside][there]
        if np.array_equal(now, former):
            continue
        name = level.folder.relative_to(store.root)
        if level.folder not in copies:
            (staging / name).mkdir(parents=True, exist_ok=True)
            for document in ("zarr.json", ".zarray"):
                if (level.folder / document).is_file():
                    shutil.copyfile(level.folder / document, staging / name / document)
            copies[level.folder] = zarr.open_array(staging / name, mode="r+")
        copies[level.folder][whole] = now
        yield (name / key).as_posix()


def _cells(level: Level, box: Box) -> Iterator[tuple[str, Box]]:
    """Files of a level that a box touches: their keys, and the voxels that they hold."""
    grid = level.grid
    ranges = [
        range(part.start // step, -(-part.stop // step)) if part.stop > part.start else range(0)
        for part, step in zip(box, grid, strict=True)
    ]
    for at in itertools.product(*ranges):
        whole = tuple(
            slice(index * step, min((index + 1) * step, int(n)))
            for index, step, n in zip(at, grid, level.array.shape, strict=True)
        )
        yield str(level.array.metadata.encode_chunk_key(at)), whole


def _overlap(whole: Box, part: Box) -> tuple[Box, Box]:
    """Where two boxes meet, counted from the first corner of each."""
    low = [max(a.start, b.start) for a, b in zip(whole, part, strict=True)]
    high = [min(a.stop, b.stop) for a, b in zip(whole, part, strict=True)]

    def seen_from(box: Box) -> Box:
        return tuple(
            slice(a - one.start, b - one.start) for a, b, one in zip(low, high, box, strict=True)
        )

    return seen_from(whole), seen_from(part)


def _typed(values: Values, box: Box, store: LabelStore) -> Values:
    shape = tuple(part.stop - part.start for part in box)
    dtype = store.levels[0].array.dtype
    if values.shape != shape or values.dtype.kind not in "iu":
        raise InputError(
            f"Labels of shape {values.shape} and type {values.dtype} cannot be written into a "
            f"region of shape {shape}: give integers of that shape."
        )
    largest = int(values.max(initial=0))
    if int(values.min(initial=0)) < 0 or largest > np.iinfo(dtype).max:
        raise InputError(
            f"The id {largest:,} does not fit into {store.root.name!r}, which stores {dtype}: "
            "renumber the labels, or save them in another store."
        )
    return values.astype(dtype.newbyteorder("="), copy=False)


def _read(array: Any, box: Box, root: Path) -> Values:
    try:
        found = np.asarray(array[box])
    except Exception as error:  # decoders raise whatever they like
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StorageError(
            f"{str(root)!r} is damaged: the part {box} cannot be decoded ({reason})."
        ) from error
    return found.astype(found.dtype.newbyteorder("="), copy=False)
