"""The operations of the main job, by name; importing this module registers them.

Engine modules are imported when an operation runs, so that the worker itself stays light.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cellseg.errors import InputError
from napari_cellseg.worker.registry import JobContext, operation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_cellseg.flows import Segmentation
    from napari_cellseg.volume import Volume


def _network(context: JobContext, model: str, checkpoint: Any, device: str) -> Any:
    """Load a flow network, or take the one that all sessions share."""
    from napari_cellseg.networks import load_network

    return context.models.get(
        "flow", model, checkpoint, device, lambda: load_network(model, checkpoint, device)
    )


@operation("segment", uses_torch=True)
def segment(
    context: JobContext,
    *,
    volume: Volume,
    model: str = "builtin",
    checkpoint: Any = None,
    device: str = "auto",
    **parameters: Any,
) -> Segmentation:
    """Segment a volume or its region; `parameters` are those of `napari_cellseg.segment`.

    The engine halves its own batches; what is left to the worker is to leave the device.
    """
    from napari_cellseg.flows import segment as run

    if context.memory.force_cpu and device != "cpu":
        context.models.clear(device)  # its memory is what ran out
        device = "cpu"
    context.progress(0.0, "loading the model")
    network = _network(context, model, checkpoint, device)
    return run(
        volume,
        model=network,
        device=device,
        progress=context.progress,
        cancel=context.cancel,
        **parameters,
    )


@operation("try", uses_torch=True)
def try_region(
    context: JobContext, *, volume: Volume, region: tuple[slice, ...], **parameters: Any
) -> Segmentation:
    """Segment one region with the intensity limits of its volume, to see what settings do."""
    return segment(context, volume=volume, region=region, **parameters)


@operation("relabel")
def relabel(
    context: JobContext,
    *,
    segmentation: Segmentation,
    probability: float,
    min_size: int | None,
    flow_error: float | None,
) -> Segmentation:
    """Label anew from the kept field, without the network."""
    from napari_cellseg.flows import Progress

    return segmentation.relabel(
        probability=probability,
        min_size=min_size,
        flow_error=flow_error,
        progress=Progress(context.progress, context.cancel),
    )


@operation("read")
def read(
    context: JobContext,
    *,
    path: Path,
    spacing: Sequence[float] | None = None,
    axes: str | None = None,
) -> Volume:
    """Open an image file or store."""
    from napari_cellseg.volume import read_volume

    context.check()
    return read_volume(path, spacing=spacing, axes=axes)


@operation("read_labels")
def read_labels(
    context: JobContext, *, path: Path
) -> tuple[NDArray[np.uint32], tuple[float, float, float] | None]:
    """Read a label file: uint32 labels and their spacing."""
    from napari_cellseg.volume import read_labels as run

    context.check()
    return run(path)


@operation("write")
def write(
    context: JobContext,
    *,
    path: Path,
    labels: NDArray[np.uint32],
    like: Volume | None = None,
    overwrite: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write labels with their recipe, whole or not at all."""
    from napari_cellseg.volume import write_labels

    context.check()
    return write_labels(
        path, labels, like=like, overwrite=overwrite, metadata=metadata, cancel=context.cancel
    )


@operation("estimate_diameter", uses_torch=True)
def estimate_diameter(
    context: JobContext,
    *,
    volume: Volume,
    channel: int = 0,
    model: str = "builtin",
    checkpoint: Any = None,
    device: str = "auto",
) -> float:
    """Estimate the diameter of the cells (µm where spacing is known, else voxels of y).

    Raises
    ------
    InputError
        No cells were found in the first time point.
    """
    from napari_cellseg.flows import measure_diameter

    context.progress(0.0, "loading the model")
    network = _network(context, model, checkpoint, device)
    found = measure_diameter(volume, network, channel, context.check)
    if found is None:
        raise InputError(
            f"No cells were found in {volume.name!r} from which to estimate the diameter: "
            "measure a cell and enter its diameter."
        )
    return found
