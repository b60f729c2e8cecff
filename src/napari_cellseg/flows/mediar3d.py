"""Mediar3D: the whole way from an image to instances."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cellseg.errors import ModelError
from napari_cellseg.flows.diameter import estimate_diameter, show_planes
from napari_cellseg.flows.field import FlowField
from napari_cellseg.flows.fuse import predict_field
from napari_cellseg.flows.grid import Grid
from napari_cellseg.flows.limits import ToGrey, intensity_limits, luminance
from napari_cellseg.flows.progress import Progress
from napari_cellseg.flows.request import (
    Region,
    check_diameter,
    check_flow_error,
    check_min_size,
    check_probability,
    check_region,
    default_min_size,
)
from napari_cellseg.flows.resample import enlarge_volume, reduce_volume
from napari_cellseg.flows.segmentation import Segmentation, label_with
from napari_cellseg.flows.table import instance_table
from napari_cellseg.networks import FlowNetwork, load_network
from napari_cellseg.volume import Volume, as_volume, read_volume
from napari_cellseg.volume.memory import check_memory

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: Share of voxels that must be clearly inside or outside a cell (|logit| > 2): held-out images that
#: the network is meant for have 0.7 and more, noisy stacks 0.4, an electron micrograph 0.2.
_SURE = 0.3
#: Bytes per voxel, measured: the field (fp16 flow and logit), trajectories, labels, scratch.
_BYTES_PER_VOXEL = 50


def segment(
    volume: "Volume | ArrayLike | str | Path",
    model: str | FlowNetwork = "builtin",
    checkpoint: str | Path | None = None,
    channel: int | str = 0,
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
) -> Segmentation:
    """Segment cells in 2D, 3D or 3D+t.

    A 2D network runs on xy, xz and yz reslices of the volume; their flows are averaged into one
    3D field, along which every foreground voxel moves to its sink; sinks become instances.

    Parameters
    ----------
    volume : Volume or array, (y, x), (z, y, x) or (t, z, y, x), or path
        The image, or the file that it is in. A `Volume` may also have channels, or be RGB.
    model : str or FlowNetwork
        Name of a network, or one from `load_network`.
    checkpoint : path, optional
        Weights of your own for that network.
    channel : int or str
        Index or name of the channel to segment; ignored for RGB.
    diameter : float, optional
        Typical diameter of the cells in µm where the spacing is known, else in voxels of y.
        Estimated from the image by default.
    probability : float
        Cell probability, between 0 and 1, from which a voxel is foreground.
    flow_error : float, optional
        Drop instances whose flow differs more than this from the flow that their mask gives.
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
        "channel": 0 if image.rgb else image.channel_index(channel),
        "spacing": list(image.spacing),
        "spacing_known": image.spacing_known,
        "region": None if region is None else [[part.start, part.stop] for part in where],
    }
    voxels = int(np.prod([part.stop - part.start for part in where]))
    check_memory(voxels * _BYTES_PER_VOXEL, f"Segmenting {voxels:,} voxels of {image.name!r}")
    steps = Progress(progress, cancel)
    clock = _Clock()
    with clock("load model"):
        steps(0.0, "loading the model")
        network = load_network(model, checkpoint, device) if isinstance(model, str) else model
    run = _Run(image, network, recipe, where, steps, clock, list(image.notices))
    return run.segmentation()


@dataclass
class _Clock:
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            self.seconds[stage] = self.seconds.get(stage, 0.0) + spent


@dataclass
class _Run:
    """One segmentation under way."""

    image: Volume
    network: FlowNetwork
    recipe: dict[str, Any]
    region: Region
    progress: Progress
    clock: _Clock
    notices: list[str]

    def segmentation(self) -> Segmentation:
        self._settle()
        fields = self._fields()
        self.progress(0.9, "finding cells")
        with self.clock("integrate"):
            flow_field = self._joined(fields)
            self._tell_doubt(flow_field)
            flow_field.prepare(clicks=False, progress=self.progress.part(0.9, 0.95))
        with self.clock("label"):
            labelling = label_with(flow_field, self.recipe, self.progress.part(0.95, 0.99))
            table = instance_table(labelling, flow_field, self.image.spacing_known)
        self.progress(1.0, f"{len(table):,} cells")
        return Segmentation(
            labels=labelling.labels,
            field=flow_field,
            table=table,
            parameters=self.recipe,
            notices=tuple(self.notices),
            region=None if self.recipe["region"] is None else self.region,
            timings=dict(self.clock.seconds),
        )

    def _settle(self) -> None:
        """Fill in what the user left open: limits, diameter, smallest size."""
        from napari_cellseg import __version__

        image, recipe, network = self.image, self.recipe, self.network
        with self.clock("load image"):
            self.progress(0.01, "reading the image")
            stacks = [image.stack(recipe["channel"], t) for t in range(image.n_times)]
            limits = intensity_limits(stacks, network.percentiles, repr(image.name), self._grey)
            recipe["limits"] = list(limits)
        stack = self._stack(self._times()[0])
        if recipe["diameter"] is None:
            with self.clock("estimate diameter"):
                self.progress(0.02, "estimating the diameter of the cells")
                found = estimate_diameter(
                    stack, image.spacing, network, limits, self._grey, self.progress.check
                )
                self._take_diameter(found)
        with self.clock("estimate diameter"):
            zoom = network.diameter * image.spacing[1] / recipe["diameter"]
            strange = network.strangeness(
                show_planes(stack, image.spacing, network, limits, self._grey, zoom)
            )
        if strange is not None and strange > 1:
            self.notices.append(
                f"{image.name!r} looks unlike the images that the model "
                f"“{network.title}” was trained on: look at the result with care."
            )
        if recipe["min_size"] is None:
            recipe["min_size"] = default_min_size(recipe["diameter"], image.spacing, image.is_3d)
        recipe["model"] = network.name
        recipe["version"] = __version__

    def _tell_doubt(self, flow_field: FlowField) -> None:
        """Say so where the network is unsure nearly everywhere: the wrong model, or diameter."""
        logits = flow_field.logits[..., ::2, ::2]
        share = float((np.abs(logits) > 2).mean())
        if share < _SURE:
            self.notices.append(
                f"The model “{self.network.title}” is sure of only {share:.0%} of "
                f"{self.image.name!r}: check the diameter, or use another model."
            )

    def _take_diameter(self, found: float | None) -> None:
        unit = "µm" if self.image.spacing_known else "voxels"
        if found is None:
            found = 20.0 * self.image.spacing[1]
            self.notices.append(
                f"No cells were found from which to estimate the diameter; {found:.3g} {unit} "
                "is assumed: measure a cell and enter its diameter."
            )
        else:
            self.notices.append(f"The diameter of the cells was estimated as {found:.3g} {unit}.")
        self.recipe["diameter"] = found

    def _times(self) -> range:
        if "t" not in self.image.label_axes:
            return range(1)
        return range(self.region[0].start, self.region[0].stop)

    def _space(self) -> Region:
        return self.region[1:] if "t" in self.image.label_axes else self.region

    def _stack(self, t: int) -> Any:
        """The region at one time point, lazily: ([z,] y, x[, 3])."""
        return self.image.stack(self.recipe["channel"], t)[self._space()]

    @property
    def _grey(self) -> ToGrey | None:
        return luminance if self.image.rgb else None

    def _fields(self) -> list[tuple[NDArray[np.float16], NDArray[np.float16]]]:
        space = self._space()
        sizes = [part.stop - part.start for part in space]
        shape = (sizes[0] if self.image.is_3d else 1, sizes[-2], sizes[-1])
        grid = Grid.for_cells(
            shape, self.image.spacing, self.recipe["diameter"], self.network.diameter
        )
        times = self._times()
        fields = []
        for index, t in enumerate(times):
            span = self.progress.part(
                0.05 + 0.85 * index / len(times), 0.05 + 0.85 * (index + 1) / len(times)
            )
            try:
                fields.append(self._field(grid, t, span))
            except (torch.OutOfMemoryError, MemoryError) as error:
                if self.network.device.type == "cpu":
                    raise ModelError(
                        f"the memory does not suffice to segment {self.image.name!r}: "
                        "choose a smaller region."
                    ) from error
                fields.append(self._on_cpu(grid, t, span))
        return fields

    def _on_cpu(
        self, grid: Grid, t: int, span: Progress
    ) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
        self.notices.append(
            f"The memory of {self.network.device} did not suffice; the rest ran on the CPU."
        )
        self.network = self.network.to("cpu")
        return self._field(grid, t, span)

    def _field(
        self, grid: Grid, t: int, span: Progress
    ) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
        stack = self._stack(t)
        if not self.image.is_3d:
            stack = stack[None]
        limits = (self.recipe["limits"][0], self.recipe["limits"][1])
        with self.clock("load image"):
            span(0.0, "reading the image")
            working = reduce_volume(
                stack, grid.working_shape, limits, self.network.device, self._grey
            )
        total, done = grid.network_pixels(), 0

        def advance(pixels: int) -> None:
            nonlocal done
            done += pixels
            span(0.97 * done / total, "running the network")

        with self.clock("predict"):
            flow, logits = predict_field(self.network, working, grid, advance)
        with self.clock("fuse"):
            span(0.98, "fusing orientations")
            axes = range(3) if self.image.is_3d else range(1, 3)
            wide = np.stack([enlarge_volume(flow[axis], grid.shape) for axis in axes])
            return wide, enlarge_volume(logits, grid.shape)

    def _joined(
        self, fields: list[tuple[NDArray[np.float16], NDArray[np.float16]]]
    ) -> FlowField:
        flows = [flow if self.image.is_3d else flow[:, 0] for flow, _ in fields]
        logits = [logit if self.image.is_3d else logit[0] for _, logit in fields]
        if "t" in self.image.label_axes:
            return FlowField(np.stack(flows), np.stack(logits), self.image.spacing)
        return FlowField(flows[0], logits[0], self.image.spacing)
