"""The flow field of an image that is read block by block, into a store."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cellseg.errors import ModelError
from napari_cellseg.flows.blockwise.executor import (
    Executor,
    check_running,
    job_threads,
    owns_process,
    worker_index,
)
from napari_cellseg.flows.blockwise.plan import Block, plan_blocks
from napari_cellseg.flows.blockwise.source import Source
from napari_cellseg.flows.blockwise.stages import run_stage
from napari_cellseg.flows.channels import Shown
from napari_cellseg.flows.field_store import FieldStore
from napari_cellseg.flows.grid import Grid
from napari_cellseg.flows.limits import limits_of
from napari_cellseg.flows.predict_region import predict_region
from napari_cellseg.flows.progress import Progress
from napari_cellseg.networks import FlowNetwork, diameters_of, load_network
from napari_cellseg.networks.device import worker_device

#: Pixels of the network around a block that are predicted and thrown away. Measured with the
#: built-in network: see docs/big-volumes.md.
HALO = 32
#: Voxels within which the edge of a halo is moved to where network pixels and voxels coincide, so
#: that neighbouring blocks sample the image at the same places.
_SLACK = 16
STAGE = "predict"

Triple = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Prediction:
    """What is predicted, the same for every block.

    Attributes
    ----------
    source : Source
    model, device : str
    checkpoint : tuple of str
        See `load_network`; empty for the model's own.
    channels : tuple of int
    limits : tuple
        Of the whole image; see `intensity_limits`.
    diameter : float or None
        See `predict_region`.
    fusion : str
    """

    source: Source
    model: str
    checkpoint: tuple[str, ...]
    device: str
    channels: tuple[int, ...]
    limits: Any
    diameter: float | None
    fusion: str


@dataclass(frozen=True)
class PredictJob:
    """One block of the field.

    Attributes
    ----------
    key : str
    what : Prediction
    store : Path
    t : int
    core, crop : tuple of slice
        Voxels (z, y, x) that are written, and that are looked at.
    """

    key: str
    what: Prediction
    store: Path
    t: int
    core: Triple
    crop: Triple


def predict_store(
    what: Prediction,
    store: FieldStore,
    network: FlowNetwork,
    executor: Executor,
    work: Path,
    *,
    block: tuple[int, int, int] | None = None,
    progress: Progress | None = None,
) -> None:
    """Predict a field block by block; blocks that are done are skipped.

    Parameters
    ----------
    what : Prediction
    store : FieldStore
        Where the field goes.
    network : FlowNetwork
        The same as the workers will load: tells how the image is sampled.
    executor : Executor
    work : Path
        Folder of the run.
    block : tuple of int, optional
        (z, y, x) of a block.
    progress : Progress, optional

    Raises
    ------
    InputError
        If a block is not a whole number of the store's chunks.
    Cancelled, CellsegError
        What is done stays done.

    Notes
    -----
    Blocks lie on one grid and see the intensity limits and the diameter of the whole image, so
    the result does not depend on which worker does what. It does depend a little on `block`: a
    network looks around further than any halo.
    """
    jobs = predict_jobs(what, store, network, block)
    run_stage(executor, work, STAGE, predict_block, jobs, progress, "running the network")


def predict_jobs(
    what: Prediction,
    store: FieldStore,
    network: FlowNetwork,
    block: tuple[int, int, int] | None = None,
) -> list[PredictJob]:
    """The jobs of `predict_store`."""
    shape = whole_shape(store)
    chunks = (1, *store.chunks) if store.ndim == 2 else store.chunks
    grid = Grid.for_network(shape, store.spacing, what.diameter, diameters_of(network))
    size = block or prediction_block(grid, chunks)
    path = store.path.absolute()
    return [
        PredictJob(f"{t}-{one.key}", what, path, t, one.core, crop_of(one, grid))
        for t in range(store.n_times)
        for one in plan_blocks(shape, (chunks[0], chunks[1], chunks[2]), size)
    ]


def predict_block(job: PredictJob) -> dict[str, NDArray[Any]]:
    """Predict one block and write it; returns how many voxels the network was sure of.

    Raises
    ------
    ModelError
        If the memory does not suffice for the block.
    """
    what = job.what
    image = what.source.open()
    with _reading():
        network = _network(what.model, what.checkpoint, what.device)
        shown = Shown.to(network, image, what.channels)
        crop = job.crop if image.is_3d else job.crop[1:]
        flow, logits, apart = _predicted(network, shown, job, shown.stack(job.t, crop))
    sure = np.abs(logits[:, ::2, ::2]) > 2
    store = FieldStore.open(job.store)
    if store.ndim == 3:
        store.write(job.core, flow, logits, apart, job.t)
    else:  # a single plane has one orientation, which nothing disagrees with
        store.write(job.core[1:], flow[1:, 0], logits[0], None, job.t)
    return {"sure": np.array([np.count_nonzero(sure), sure.size])}


def whole_shape(store: FieldStore) -> tuple[int, int, int]:
    """Shape (z, y, x) of one frame; a plane has z = 1."""
    z, y, x = (1, *store.spatial_shape) if store.ndim == 2 else store.spatial_shape
    return z, y, x


def prediction_block(grid: Grid, chunks: tuple[int, ...]) -> tuple[int, int, int]:
    """Whole chunks; at least ten halos in plane, so that little is predicted twice."""
    z, y, x = (
        max(1, round(wanted * grid.pixel / step / chunk)) * chunk
        for wanted, step, chunk in zip((128, 320, 320), grid.spacing, chunks, strict=True)
    )
    return z, y, x


def crop_of(block: Block, grid: Grid) -> Triple:
    """What is looked at for a block: its core and a halo of `HALO` network pixels.

    The halo ends where a network pixel begins, as near as `_SLACK` voxels allow. Without that a
    block would be sampled up to half a pixel beside its neighbours.
    """
    z, y, x = (
        _wide(core, n, step / grid.pixel)
        for core, n, step in zip(block.core, grid.shape, grid.spacing, strict=True)
    )
    return z, y, x


def _wide(core: slice, n: int, scale: float) -> slice:
    if 0.95 <= scale <= 1.05:  # such an axis is not resampled
        scale = 1.0
    halo = math.ceil(HALO / scale)

    def off(at: int) -> float:
        return abs(at * scale - round(at * scale))

    start, stop = core.start - halo, core.stop + halo
    if start > 0:
        start = min(range(start, max(0, start - _SLACK) - 1, -1), key=off)
    if stop < n:
        stop = min(range(stop, min(n, stop + _SLACK) + 1), key=off)
    return slice(max(0, start), min(n, stop))


def _predicted(
    network: FlowNetwork, shown: Shown, job: PredictJob, stack: Any
) -> tuple[NDArray[np.float16], NDArray[np.float16], NDArray[np.uint8] | None]:
    """Flow, logits and disagreement of the core."""
    what = job.what
    z, y, x = (
        slice(core.start - crop.start, core.stop - crop.start)
        for core, crop in zip(job.core, job.crop, strict=True)
    )

    def predicted(
        network: FlowNetwork,
    ) -> tuple[NDArray[np.float16], NDArray[np.float16], NDArray[np.uint8] | None]:
        return predict_region(
            network, stack, shown.image.spacing, limits_of(what.limits), what.diameter,
            fusion=what.fusion, to_grey=shown.to_grey, core=(z, y, x),
            progress=Progress(lambda *_: check_running()),
        )  # fmt: skip

    try:
        return predicted(network)
    except (torch.OutOfMemoryError, MemoryError) as error:
        if network.device.type == "cpu":
            raise ModelError(
                f"The memory does not suffice for a block of {tuple(stack.shape[:3])} voxels: "
                "choose smaller blocks, or fewer workers."
            ) from error
    return predicted(network.to("cpu"))


Checkpoint = tuple[str, ...]
_networks: dict[tuple[str, Checkpoint, str], FlowNetwork] = {}
_loading = threading.Lock()


def load(model: str, checkpoint: Checkpoint, device: str) -> FlowNetwork:
    """A network from its name and its files; see `load_network`."""
    files = None if not checkpoint else checkpoint[0] if len(checkpoint) == 1 else checkpoint
    return load_network(model, files, device)


def hold_network(network: FlowNetwork, model: str, checkpoint: Checkpoint, device: str) -> None:
    """Let the blocks of this process use a network that is loaded already."""
    with _loading:
        _networks.clear()
        _networks[(model, checkpoint, device)] = network


def _network(model: str, checkpoint: Checkpoint, device: str) -> FlowNetwork:
    """The network of this process, loaded once; of several GPUs each worker takes its own."""
    with _loading:
        key = (model, checkpoint, device)
        if key not in _networks:
            _networks.clear()
            mine = worker_device(worker_index(), device) if owns_process() else device
            _networks[key] = load(model, checkpoint, mine)
        return _networks[key]


@contextmanager
def _reading() -> Iterator[None]:
    """In a worker process, keep torch and dask to the worker's share of the processor."""
    if not owns_process():
        yield
        return
    import dask

    torch.set_num_threads(job_threads())
    # "threads": inside of a worker dask would hand the reading back to the cluster
    with dask.config.set(scheduler="threads", num_workers=job_threads()):
        yield
