"""From a field on disk to labels in a multiscale OME-Zarr store."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.flows.blockwise.executor import Executor
from napari_cellseg.flows.blockwise.label_store import StoreLabels, label_store
from napari_cellseg.flows.blockwise.plan import plan_blocks
from napari_cellseg.flows.blockwise.stages import results, run_stage
from napari_cellseg.flows.blockwise.work import CELLS, Work
from napari_cellseg.flows.field_store import FieldStore
from napari_cellseg.flows.progress import Progress
from napari_cellseg.volume.pyramid import (
    LabelImage,
    Level,
    create_level,
    level_chunks,
    levels_of,
    reduced,
    write_cells_group,
)
from napari_cellseg.volume.write_zarr import place_cells
from napari_cellseg.volume.zarr_store import is_array

if TYPE_CHECKING:
    import pandas as pd

#: A block size is met by chunks of this many voxels at least, along each axis.
_SMALLEST_CHUNK = 16


@dataclass(frozen=True)
class LabelSettings:
    """Thresholds, see `label_field`."""

    probability: float
    min_size: int
    flow_error: float | None


@dataclass(frozen=True)
class _LevelJob:
    """One block of a level of the pyramid."""

    key: str
    source: Path
    target: Path
    part: tuple[slice, ...]
    step: tuple[int, ...]


@dataclass(frozen=True)
class _ApartJob:
    """One block whose disagreement is summed over instances."""

    key: str
    field: Path
    labels: Path
    part: tuple[slice, ...]
    t: int


def write_labelled(
    field: FieldStore,
    output: Path,
    work: Work,
    settings: LabelSettings,
    image: LabelImage,
    executor: Executor,
    *,
    block: Sequence[int] | None,
    progress: Progress,
    overwrite: bool,
    before: "Callable[[pd.DataFrame], None] | None" = None,
) -> "pd.DataFrame":
    """Label a field, build the pyramid, and put both into the store `output`.

    Parameters
    ----------
    field : FieldStore
    output : Path
    work : Work
    settings : LabelSettings
    image : LabelImage
        What is said about the labels; its array is not used.
    executor : Executor
    block : sequence of int or None
        (z, y, x).
    progress : Progress
    overwrite : bool
    before : callable, optional
        Given the table just before the labels appear.

    Returns
    -------
    pandas.DataFrame
        One row per instance, see `store_table`.
    """
    finest = work.folder / CELLS / "0"
    if not is_array(finest):  # then nothing that says that it was written is true
        work.drop(CELLS)
        (work.folder / CELLS).mkdir(parents=True)
    chunks = label_chunks(image.axes, field.spatial_shape, block)
    if block is not None and field.ndim == 2:
        block = block[-2:]
    labels = label_store(
        field,
        finest,
        probability=settings.probability,
        min_size=settings.min_size,
        flow_error=settings.flow_error,
        block=block,
        chunks=chunks,
        executor=executor,
        work=work.folder / "labels",
        progress=progress.part(0.0, 0.87),
    )
    apart = _disagreement(work, field, labels, image.axes, executor, progress.part(0.87, 0.9))
    levels = _write_levels(work, image, field.shape, executor, progress.part(0.9, 0.98))
    table = store_table(labels, field, image.known, apart)
    progress(0.98, f"writing {output.name}")
    if before is not None:
        before(table)

    def make(folder: Path) -> Sequence[Level]:
        write_cells_group(work.folder / CELLS, image, levels)
        _move(work.folder / CELLS, folder)
        return levels

    place_cells(output, image, make, overwrite=overwrite)
    return table


def label_chunks(axes: str, shape: Sequence[int], block: Sequence[int] | None) -> tuple[int, ...]:
    """Chunks ``([z,] y, x)`` of the labels, of which a block is a whole number.

    Raises
    ------
    InputError
        If a block can only be met by tiny chunks.
    """
    space = axes.replace("t", "")
    usual = level_chunks(space, shape)
    if block is None:
        return usual
    sizes = tuple(block)[-len(space) :]
    return tuple(
        fitting_chunk(axis, int(size), chunk, n)
        for axis, size, chunk, n in zip(space, sizes, usual, shape, strict=True)
    )


def fitting_chunk(axis: str, block: int, usual: int, length: int) -> int:
    """Chunk of about the usual size, of which a block is a whole number."""
    if block >= length:
        return usual
    if block <= usual:
        return block
    divisors = [n for n in range(1, min(block, 2 * usual) + 1) if block % n == 0]
    best = min(divisors, key=lambda n: abs(np.log(n / usual)))
    if best < _SMALLEST_CHUNK:
        near = round(block / usual) * usual
        raise InputError(
            f"A block of {block} voxels along {axis} cannot be stored in chunks of a usual size: "
            f"choose {near}."
        )
    return best


def store_table(
    labels: StoreLabels,
    field: FieldStore,
    spacing_known: bool,
    disagreement: NDArray[np.float32] | None = None,
) -> "pd.DataFrame":
    """Measures of every instance, in the columns of `instance_table`."""
    import pandas as pd

    planar = field.ndim == 2
    axes = "yx" if planar else "zyx"
    skip = int(planar)
    spacing = np.asarray(field.spacing[skip:])
    size = labels.voxels * float(np.prod(spacing))
    diameter = np.sqrt(4 / np.pi * size) if planar else np.cbrt(6 / np.pi * size)
    columns: dict[str, NDArray[Any]] = {"voxels": labels.voxels}
    if spacing_known:
        columns["area_um2" if planar else "volume_um3"] = size
    columns["diameter_um" if spacing_known else "diameter"] = diameter
    for k, axis in enumerate(axes):
        scale = spacing[k] if spacing_known else 1.0
        columns[f"centroid_{axis}"] = labels.centroid[:, skip + k] * scale
    low, high = labels.box[:, skip:3], labels.box[:, 3 + skip :]
    for k, axis in enumerate(axes):
        columns[f"bbox_{axis}0"] = low[:, k]
        columns[f"bbox_{axis}1"] = high[:, k]
    columns["probability"] = 1 / (1 + np.exp(-labels.logit.astype(float)))
    columns["agreement"] = labels.agreement
    if disagreement is not None:
        columns["disagreement"] = disagreement
    if labels.flow_error is not None:
        columns["flow_error"] = labels.flow_error
    columns["touches_border"] = ((low == 0) | (high == np.asarray(field.spatial_shape))).any(1)
    index = pd.MultiIndex.from_arrays([labels.t, labels.id], names=["t", "id"])
    return pd.DataFrame(columns, index=index)


def described(field: FieldStore, name: str, known: bool, recipe: Mapping[str, Any]) -> LabelImage:
    """What is said about labels of a field."""
    axes = "t" * field.has_time + "zyx"[3 - field.ndim :]
    size = dict(zip("zyx", field.spacing, strict=True))
    spacing = {axis: size[axis] for axis in axes if axis != "t"}
    return LabelImage(None, axes, spacing, known, recipe, name)


def disagreement_sums(job: _ApartJob) -> dict[str, NDArray[Any]]:
    """Sum the disagreement of a block over the voxels of each instance."""
    import zarr

    values = FieldStore.open(job.field).read_disagreement(job.part, job.t)
    array = zarr.open_array(job.labels, mode="r")
    lead = (job.t,) if array.ndim > len(job.part) else ()
    found = np.asarray(array[(*lead, *job.part)])
    inside = found > 0
    ids, which = np.unique(found[inside], return_inverse=True)
    apart = np.zeros(found.shape, np.uint8) if values is None else values
    return {"id": ids.astype(np.int64), "sum": np.bincount(which, apart[inside], len(ids))}


def _disagreement(
    work: Work,
    field: FieldStore,
    labels: StoreLabels,
    axes: str,
    executor: Executor,
    progress: Progress,
) -> NDArray[np.float32] | None:
    """Mean disagreement of the orientations in every instance, 0 to 1."""
    if not field.has_disagreement:
        return None
    flat = field.ndim == 2
    z, y, x = (1, *field.spatial_shape) if flat else field.spatial_shape
    chunks = level_chunks(axes, field.shape)[field.has_time :]
    a, b, c = (1, *chunks) if flat else chunks
    jobs = [
        _ApartJob(f"{t}-{one.key}", field.path, labels.path, one.core[flat:], t)
        for t in range(field.n_times)
        for one in plan_blocks((z, y, x), (a, b, c))
    ]
    stage = "disagreement"
    run_stage(executor, work.folder, stage, disagreement_sums, jobs, progress, "measuring cells")
    first = np.searchsorted(labels.t, np.arange(field.n_times))  # rows are in the order of t and id
    total = np.zeros(len(labels), np.float64)
    for job, found in results(work.folder, stage, jobs):
        total[first[job.t] + found["id"] - 1] += found["sum"]
    return (total / np.maximum(labels.voxels, 1) / 255).astype(np.float32)


def _write_levels(
    work: Work,
    image: LabelImage,
    shape: Sequence[int],
    executor: Executor,
    progress: Progress,
) -> list[Level]:
    levels = list(levels_of(replace(image, labels=np.broadcast_to(np.uint8(0), tuple(shape)))))
    folder = work.folder / CELLS
    for index, level in enumerate(levels[1:], 1):
        before, target = folder / levels[index - 1].name, folder / level.name
        if not is_array(target):
            import zarr

            shutil.rmtree(target, ignore_errors=True)
            work.drop(f"level-{index}")
            create_level(target, image.axes, level.shape, zarr.open_array(before, mode="r").dtype)
        run_stage(
            executor,
            work.folder,
            f"level-{index}",
            reduce_block,
            _level_jobs(image.axes, level, before, target),
            progress.part((index - 1) / len(levels), index / len(levels)),
            "writing smaller copies",
        )
    return levels


def _level_jobs(axes: str, level: Level, source: Path, target: Path) -> list[_LevelJob]:
    timed = "t" in axes
    space = level.shape[timed:]
    flat = len(space) == 2
    chunks = level_chunks(axes, level.shape)[timed:]
    z, y, x = (1, *space) if flat else space
    a, b, c = (1, *chunks) if flat else chunks
    return [
        _LevelJob(
            f"{t}-{one.key}",
            source,
            target,
            (*([slice(t, t + 1)] if timed else []), *one.core[flat:]),
            level.step,
        )
        for t in range(level.shape[0] if timed else 1)
        for one in plan_blocks((z, y, x), (a, b, c))
    ]


def reduce_block(job: _LevelJob) -> dict[str, NDArray[Any]]:
    """Write one block of a level from the level before."""
    import zarr

    source, target = zarr.open_array(job.source, mode="r"), zarr.open_array(job.target, mode="r+")
    target[job.part] = reduced(source, job.part, job.step)
    return {}


def _move(source: Path, target: Path) -> None:
    try:
        os.replace(source, target)
    except OSError as error:
        raise StorageError(
            f"{str(target)!r} cannot be written ({error.strerror or error}): choose an output on "
            "the disk of its own folder."
        ) from error
