"""Mediar3D: the whole way from an image to instances."""

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellseg.flows.channels import Channel, Shown, check_channels
from napari_cellseg.flows.progress import Progress
from napari_cellseg.flows.request import (
    check_diameter,
    check_flow_error,
    check_fusion,
    check_min_size,
    check_probability,
    check_region,
)
from napari_cellseg.flows.run import Clock, Run
from napari_cellseg.flows.segmentation import Segmentation
from napari_cellseg.networks import FlowNetwork, load_network
from napari_cellseg.volume import Volume, as_volume, read_volume
from napari_cellseg.volume.memory import SEGMENTING, check_memory

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def segment(
    volume: "Volume | ArrayLike | str | Path",
    model: str | FlowNetwork = "builtin",
    checkpoint: str | Path | None = None,
    channel: Channel = 0,
    diameter: float | None = None,
    probability: float = 0.5,
    flow_error: float | None = None,
    min_size: int | None = None,
    region: Sequence[slice] | None = None,
    spacing: Sequence[float] | None = None,
    axes: str | None = None,
    device: str = "auto",
    progress: Callable[[float, str], None] | None = None,
    cancel: Event | None = None,
    fusion: str = "mean",
) -> Segmentation:
    """Segment cells in 2D, 3D or 3D+t.

    A 2D network runs on xy, xz and yz reslices of the volume; their flows are fused into one 3D
    field, along which every foreground voxel moves to its sink; sinks become instances.

    Parameters
    ----------
    volume : Volume or array, (y, x), (z, y, x) or (t, z, y, x), or path
        The image, or the file that it is in. A `Volume` may also have channels, or be RGB.
    model : str or FlowNetwork
        Name of a network, or one from `load_network`.
    checkpoint : path, optional
        Weights of your own for that network.
    channel : int or str, or a sequence of them
        Index or name of the channel to segment; several, in the order that the network wants, for
        a network that takes several. Ignored for RGB, which is shown as three channels, or as
        luminance to a network that takes fewer.
    diameter : float, optional
        Typical diameter of the cells in µm where the spacing is known, else in voxels of y. By
        default it is estimated from the image; a network that takes a range of diameters then
        sees the planes as they are sampled, and the diameter is that of what it found.
    probability : float
        Cell probability, between 0 and 1, from which a voxel is foreground.
    flow_error : float, optional
        Drop instances whose flow differs more than this from the flow that their mask gives; parts
        of them that pass alone are kept.
    min_size : int, optional
        Drop instances of fewer voxels; by default ``(0.2 × diameter)³``, in 2D squared.
    region : sequence of slice, optional
        Part to segment, one slice per axis of the labels; intensities are normalised as for the
        whole volume. Labels and table then count from the corner of the region.
    spacing : sequence of float, optional
        (z, y, x) in µm per voxel; overrides the volume's own.
    axes : str, optional
        One letter of ``tczyx`` per dimension of an array, ``s`` for RGB samples (``"yxs"``); by
        default told by the number of dimensions.
    device : str
        ``"auto"`` (CUDA, then MPS, then CPU), or a torch device name.
    progress : callable, optional
        Called with a fraction in 0..1 and a message.
    cancel : threading.Event, optional
        Set it to stop.
    fusion : str
        How the orientations of a volume become one field. ``"mean"``: each component is the mean
        of the two orientations that see it. ``"weighted"``: they count by the length of their flow
        there. ``"xy"``: only xy planes are predicted, labelled one by one, and joined where they
        overlap: for dense stacks of fewer than about 2.5 planes per cell.

    Returns
    -------
    Segmentation

    Raises
    ------
    InputError
        If the image or a parameter cannot be used.
    ModelError
        If the network cannot be loaded.
    Cancelled
        If ``cancel`` was set.

    Notes
    -----
    The flow representation is that of Cellpose (Stringer et al., Nature Methods 18, 100-106,
    2021), the averaging of orientations that of its 3D mode, with flows kept in physical units.
    """
    if isinstance(volume, str | Path):
        image = read_volume(volume, spacing=spacing, axes=axes)
    else:
        image = as_volume(volume, spacing=spacing, axes=axes)
    where = check_region(region, image)
    recipe: dict[str, Any] = {
        "probability": check_probability(probability),
        "flow_error": check_flow_error(flow_error),
        "min_size": check_min_size(min_size),
        "diameter": check_diameter(diameter, image),
        "fusion": check_fusion(fusion),
        "spacing": list(image.spacing),
        "spacing_known": image.spacing_known,
        "region": None if region is None else [[part.start, part.stop] for part in where],
    }
    channels = check_channels(channel, image)
    recipe["channel"] = channels[0] if len(channels) == 1 else list(channels)
    voxels = int(np.prod([part.stop - part.start for part in where]))
    check_memory(voxels * SEGMENTING, f"Segmenting {voxels:,} voxels of {image.name!r}")
    steps = Progress(progress, cancel)
    clock = Clock()
    with clock("load model"):
        steps(0.0, "loading the model")
        network = load_network(model, checkpoint, device) if isinstance(model, str) else model
    shown = Shown.to(network, image, channels)
    return Run(image, network, shown, recipe, where, steps, clock).segmentation()
