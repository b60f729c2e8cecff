"""Segment an image larger than memory: its field, its labels, a multiscale OME-Zarr store."""

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from napari_cellseg.errors import InputError
from napari_cellseg.flows.blockwise.executor import InProcess
from napari_cellseg.flows.blockwise.source import Source
from napari_cellseg.flows.blockwise.store_run import (
    StoreResult,
    StoreRun,
    executor_for,
    is_stitched,
    version,
)
from napari_cellseg.flows.blockwise.work import Work
from napari_cellseg.flows.channels import Channel, check_channels
from napari_cellseg.flows.field_store import FieldStore, Precision
from napari_cellseg.flows.progress import Progress, Report
from napari_cellseg.flows.request import (
    check_diameter,
    check_flow_error,
    check_fusion,
    check_min_size,
    check_probability,
    default_min_size,
)
from napari_cellseg.networks import FlowNetwork
from napari_cellseg.volume import Volume
from napari_cellseg.volume.read import title

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

__all__ = ["StoreResult", "relabel_store", "segment_store"]

#: Diameter beyond which what a field says of its cells cannot be true.
_LARGEST_CELL = 1e9


def segment_store(
    input: "Volume | ArrayLike | str | Path",
    output: str | Path,
    *,
    model: str | FlowNetwork = "builtin",
    checkpoint: "str | Path | Sequence[str | Path] | None" = None,
    channel: Channel = 0,
    diameter: float | None = None,
    probability: float = 0.5,
    min_size: int | None = None,
    flow_error: float | None = None,
    fusion: str = "mean",
    spacing: Sequence[float] | None = None,
    axes: str | None = None,
    device: str = "auto",
    workers: int | None = None,
    scheduler: str | None = None,
    block: Sequence[int] | None = None,
    field: str | Path | None = None,
    precision: Precision = "float16",
    progress: Report | Progress | None = None,
    cancel: Event | None = None,
    overwrite: bool = False,
    before: "Callable[[pd.DataFrame], None] | None" = None,
) -> StoreResult:
    """Segment an image block by block into a multiscale OME-Zarr store.

    Memory is bounded by the block, whatever the size of the image. A run that was stopped, by
    Ctrl-C, a crash or the power, goes on where it was when it is started again; until it is done
    everything lies in the folder ``output.partial``.

    Parameters
    ----------
    input : path, Volume or array
        Other processes can only open a path (OME-Zarr, zarr, TIFF, .npy), or a `Volume` of one.
    output : path
        ``.zarr``: a store to make, or an OME-Zarr 0.5 image that the labels are added to.
    model : str or FlowNetwork
        A `FlowNetwork` only where all work is done by this process.
    checkpoint, channel, diameter, probability, min_size, flow_error, fusion, spacing, axes, device
        As for `segment`.
    workers : int, optional
        Processes on this machine, by dask.distributed; by default all is done by this one.
    scheduler : str, optional
        Address of a dask scheduler instead, ``tcp://HOST:8786``. Its workers must see the same
        files under the same names.
    block : sequence of int, optional
        Voxels (z, y, x) that are worked on at once; the memory that a worker needs grows with it.
    field : path, optional
        Keep the flow field there; a field that was made there by the same settings is used.
    precision : str
        Of the field: ``"float16"``, or ``"int8"`` at half the size, see `FieldStore`.
    progress : callable or Progress, optional
        ``(fraction, message)``.
    cancel : threading.Event, optional
        Stops the run when set; it can be gone on with.
    overwrite : bool
        Replace labels, and a kept field, that are there, and an unfinished run with other
        settings.
    before : callable, optional
        Given the table just before the labels appear under their name.

    Returns
    -------
    StoreResult

    Raises
    ------
    InputError
        If the image or a parameter cannot be used, or an unfinished run was made with others.
    ModelError
        If the network cannot be loaded.
    StorageError
        If something is there that may not be replaced, or nothing can be written.
    Cancelled
        If ``cancel`` was set.

    Notes
    -----
    The labels are those, voxel for voxel, that the stored field gives in memory. The field itself
    differs from one that is predicted in one piece near the borders of blocks, because a network
    looks further than the halo: by less than the last steps of the flow, see docs/big-volumes.md.
    """
    run = StoreRun(Path(output), progress, cancel, overwrite)
    run.check_output(None if field is None else Path(field))
    source = Source.of(input, spacing, axes)
    try:
        image = source.open()
        asked = {
            "model": model if isinstance(model, str) else model.name,
            "checkpoint": _files(checkpoint),
            "channel": list(check_channels(channel, image)),
            "diameter": check_diameter(diameter, image),
            "probability": check_probability(probability),
            "min_size": check_min_size(min_size),
            "flow_error": check_flow_error(flow_error),
            "fusion": check_fusion(fusion),
            "spacing": list(image.spacing),
            "block": _checked_block(block),
            "precision": precision,
        }
        _check_stitching(fusion, image)
        where = _checked_where(workers, scheduler)
        if not isinstance(where, int) or where > 1:
            if source.in_memory:
                source.release()
                raise InputError(
                    "An image in memory cannot be segmented by other processes: save it as "
                    "OME-Zarr or TIFF, and pass its path."
                )
            if not isinstance(model, str):
                raise InputError("Other processes load the model by its name: pass model as text.")
        with Work(run.output, _recipe(asked, source, image, field), overwrite=overwrite) as work:
            if source.in_memory:  # nothing tells whether it is still the same image
                work.restart()
            return run.segment(work, source, image, model, device, asked, where, before)
    finally:
        if source.in_memory:
            source.release()


def relabel_store(
    field: str | Path,
    output: str | Path,
    *,
    probability: float = 0.5,
    min_size: int | None = None,
    flow_error: float | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    block: Sequence[int] | None = None,
    progress: Report | Progress | None = None,
    cancel: Event | None = None,
    overwrite: bool = False,
    before: "Callable[[pd.DataFrame], None] | None" = None,
) -> StoreResult:
    """Label a field that was kept, with other thresholds; the network does not run.

    Parameters
    ----------
    field : path
        What `segment_store` kept, or `FlowField.save` wrote.
    output, probability, min_size, flow_error, workers, scheduler, block, progress, cancel,
    overwrite, before
        As for `segment_store`; `min_size` is by default that of the field's cells, or 15.

    Returns
    -------
    StoreResult

    Raises
    ------
    InputError, StorageError, Cancelled
        As for `segment_store`.
    """
    run = StoreRun(Path(output), progress, cancel, overwrite)
    run.check_output(None)
    store = FieldStore.open(Path(field).absolute())
    made = store.recipe
    asked: dict[str, Any] = {
        **{name: made[name] for name in ("model", "fusion", "diameter") if name in made},
        "probability": check_probability(probability),
        "min_size": check_min_size(min_size),
        "flow_error": check_flow_error(flow_error),
        "block": _checked_block(block),
        "field": str(store.path),
    }
    if asked["min_size"] is None:
        cells = made.get("cells")
        asked["min_size"] = (
            default_min_size(cells, store.spacing, store.ndim == 3)
            if isinstance(cells, int | float) and 0 < cells < _LARGEST_CELL
            else 15
        )
    where = _checked_where(workers, scheduler)
    recipe = {**asked, "version": version(), "recipe of the field": made}
    with Work(run.output, recipe, overwrite=overwrite) as work, executor_for(where) as executor:
        name = str(made.get("image", title(store.path)))
        return run.label(work, store, asked, executor, name, store.path, before)


def _files(checkpoint: "str | Path | Sequence[str | Path] | None") -> list[str]:
    if checkpoint is None:
        return []
    files = [checkpoint] if isinstance(checkpoint, str | Path) else checkpoint
    return [str(Path(file).absolute()) for file in files]


def _checked_where(workers: int | None, scheduler: str | None) -> int | str:
    if scheduler is not None:
        if workers is not None:
            raise InputError("scheduler and workers exclude each other: its workers are used.")
        return scheduler
    if workers is None:
        return 1
    return InProcess(workers).workers


def _checked_block(block: Sequence[int] | None) -> list[int] | None:
    if block is None:
        return None
    if len(block) != 3 or any(int(n) != n or n < 1 for n in block):
        raise InputError(f"block={tuple(block)!r} must be three whole numbers (z, y, x) above 0.")
    return [int(n) for n in block]


def _check_stitching(fusion: str, image: Volume) -> None:
    if is_stitched(fusion, image):
        raise InputError(
            "fusion='xy' joins planes of the whole image, which is not done block by block: "
            "choose fusion='mean', or segment a region in memory."
        )


def _recipe(
    asked: dict[str, Any], source: Source, image: Volume, field: str | Path | None
) -> dict[str, Any]:
    """All that the result depends on."""
    return {
        **asked,
        "image": source.path or "in memory",
        "shape": list(image.shape),
        "axes": image.axes,
        "field": None if field is None else str(Path(field).absolute()),
        "version": version(),
    }
