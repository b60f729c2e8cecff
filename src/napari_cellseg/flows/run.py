"""One segmentation under way: what happens in which order, and what the user is told."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cellseg.errors import ModelError
from napari_cellseg.flows import advice
from napari_cellseg.flows.channels import Shown
from napari_cellseg.flows.diameter import (
    estimate_diameter,
    show_planes,
    takes_a_range,
    typical_diameter,
)
from napari_cellseg.flows.field import FlowField
from napari_cellseg.flows.grid import Grid
from napari_cellseg.flows.integrate import LOOSEST
from napari_cellseg.flows.label import label_field
from napari_cellseg.flows.limits import intensity_limits, limits_of
from napari_cellseg.flows.predict_region import predict_on_device
from napari_cellseg.flows.progress import Progress
from napari_cellseg.flows.request import Region, default_min_size
from napari_cellseg.flows.segmentation import Segmentation, label_with
from napari_cellseg.flows.table import instance_table
from napari_cellseg.networks import FlowNetwork, diameters_of, intensities_of
from napari_cellseg.volume import Volume

if TYPE_CHECKING:
    from napari_cellseg.flows.device_integration import DeviceIntegration
    from napari_cellseg.flows.fuse import Fused

#: Devices that follow the flow themselves; it then need not leave them.
_INTEGRATE = {"cuda"}
#: Smallest instance, in voxels, that has a say in what the cells' diameter is.
_TELLING = 15


@dataclass
class Clock:
    """Seconds that each stage took."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Measure what is done within, as part of a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            self.seconds[stage] = self.seconds.get(stage, 0.0) + spent


@dataclass(frozen=True)
class _Frame:
    """What is kept of one time point."""

    flow: NDArray[np.float16]
    logits: NDArray[np.float16]
    disagreement: NDArray[np.uint8] | None
    trajectories: "DeviceIntegration | None"


@dataclass
class Run:
    """One segmentation under way.

    Attributes
    ----------
    image : Volume
    network : FlowNetwork
    shown : Shown
        What of the image the network sees.
    recipe : dict
        What the user asked for; what was left open is filled in.
    region : tuple of slice
        Over the label axes.
    progress : Progress
    clock : Clock
    notices : list of str
        What the user is told, a sentence each.
    """

    image: Volume
    network: FlowNetwork
    shown: Shown
    recipe: dict[str, Any]
    region: Region
    progress: Progress
    clock: Clock
    notices: list[str] = field(default_factory=list)

    def segmentation(self) -> Segmentation:
        """Do it all."""
        self.notices.extend(self.image.notices)
        self._settle()
        frames = self._frames()
        self.progress(0.9, "finding cells")
        with self.clock("integrate"):
            flow_field = self._joined(frames)
            self._tell(advice.doubt(flow_field, self.network, self.image))
            flow_field.prepare(clicks=False, progress=self.progress.part(0.9, 0.95))
        with self.clock("label"):
            device = "cpu" if frames[0].trajectories is None else f"torch-{self.network.device}"
            if self.recipe["diameter"] is None:
                self._take_diameter(self._found_diameter(flow_field, device))
            self._settle_size()
            labelling = label_with(flow_field, self.recipe, self.progress.part(0.95, 0.99), device)
            flow_field.hand_over(None)
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

    def _tell(self, sentence: str | None) -> None:
        if sentence is not None:
            self.notices.append(sentence)

    def _settle(self) -> None:
        """Fill in what the user left open: limits, and the diameter if it must be known now."""
        from napari_cellseg import __version__

        image, recipe, network, shown = self.image, self.recipe, self.network, self.shown
        with self.clock("load image"):
            self.progress(0.01, "reading the image")
            limits = intensity_limits(
                [shown.stack(t) for t in range(image.n_times)],
                intensities_of(network),
                repr(image.name),
                shown.to_grey,
                channels=shown.several,
            )
            recipe["limits"] = [list(one) if isinstance(one, tuple) else one for one in limits]
        stack = self._stack(self._times()[0])
        if recipe["diameter"] is None and not takes_a_range(network):
            with self.clock("estimate diameter"):
                self.progress(0.02, "estimating the diameter of the cells")
                found = estimate_diameter(
                    stack,
                    image.spacing,
                    network,
                    limits,
                    shown.to_grey,
                    self.progress.check,
                    sections=image.is_3d,
                )
                self._take_diameter(found)
        with self.clock("estimate diameter"):
            zoom = image.spacing[1] / self._grid(stack).pixel
            strange = network.strangeness(
                show_planes(stack, image.spacing, network, limits, shown.to_grey, zoom)
            )
        self._tell(advice.strangeness(strange, network, image))
        recipe["model"] = network.name
        recipe["version"] = __version__

    def _settle_size(self) -> None:
        """Fill in the smallest size, now that the diameter is known."""
        recipe, image = self.recipe, self.image
        if recipe["min_size"] is None:
            recipe["min_size"] = default_min_size(recipe["diameter"], image.spacing, image.is_3d)
        depth = self.region[-3].stop - self.region[-3].start if image.is_3d else 1
        self._tell(advice.coarseness(recipe["fusion"], recipe["diameter"], image, depth))

    def _found_diameter(self, flow_field: FlowField, device: str) -> float | None:
        """Diameter of the cells that were found in planes shown as they are sampled."""
        labelling = label_field(flow_field, self.recipe["probability"], _TELLING, device=device)
        found = typical_diameter(labelling, self.image.spacing, not self.image.is_3d)
        if found is not None:
            self._tell(advice.size_range(found, self.network, self.image))
        return found

    def _take_diameter(self, found: float | None) -> None:
        unit = advice.unit_of(self.image)
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

    def _stack(self, t: int) -> Any:
        """The region at one time point, lazily: (z, y, x[, c])."""
        space = self.region[1:] if "t" in self.image.label_axes else self.region
        return self.shown.stack(t, space)

    def _grid(self, stack: Any) -> Grid:
        shape = (int(stack.shape[0]), int(stack.shape[1]), int(stack.shape[2]))
        diameters = diameters_of(self.network)
        return Grid.for_network(shape, self.image.spacing, self.recipe["diameter"], diameters)

    def _frames(self) -> list[_Frame]:
        times = self._times()
        frames = []
        for index, t in enumerate(times):
            span = self.progress.part(
                0.05 + 0.85 * index / len(times), 0.05 + 0.85 * (index + 1) / len(times)
            )
            try:
                frames.append(self._frame(t, span))
            except (torch.OutOfMemoryError, MemoryError) as error:
                if self.network.device.type == "cpu":
                    raise ModelError(
                        f"the memory does not suffice to segment {self.image.name!r}: "
                        "choose a smaller region."
                    ) from error
                frames.append(self._on_cpu(t, span))
        return frames

    def _on_cpu(self, t: int, span: Progress) -> _Frame:
        self.notices.append(
            f"The memory of {self.network.device} did not suffice; the rest ran on the CPU."
        )
        self.network = self.network.to("cpu")
        return self._frame(t, span)

    def _frame(self, t: int, span: Progress) -> _Frame:
        fused = predict_on_device(
            self.network,
            self._stack(t),
            self.image.spacing,
            limits_of(self.recipe["limits"]),
            self.recipe["diameter"],
            fusion=self.recipe["fusion"],
            to_grey=self.shown.to_grey,
            progress=span,
            clock=self.clock,
        )
        with self.clock("integrate"):
            trajectories = self._trajectories(fused, span)
        with self.clock("fuse"):
            planar = not self.image.is_3d
            apart = fused.disagreement
            return _Frame(
                fused.flow[1:, 0].cpu().numpy() if planar else fused.flow.cpu().numpy(),
                fused.logits[0].cpu().numpy() if planar else fused.logits.cpu().numpy(),
                None if apart is None else apart.cpu().numpy(),
                trajectories,
            )

    def _trajectories(self, fused: "Fused", span: Progress) -> "DeviceIntegration | None":
        """Follow the flow where it is; None where that is left to the CPU."""
        flat = self.recipe["fusion"] == "xy" or not self.image.is_3d
        if flat or len(self._times()) > 1 or self.network.device.type not in _INTEGRATE:
            return None
        from napari_cellseg.flows.device_integration import integrate_on_device

        probability = self.recipe["probability"]
        threshold = float(np.float32(np.log(probability / (1 - probability))))
        try:
            return integrate_on_device(
                fused.flow,
                fused.logits,
                self.image.spacing,
                floor=min(LOOSEST, threshold),
                progress=span,
            )
        except torch.OutOfMemoryError:
            self.notices.append(
                f"The memory of {self.network.device} did not suffice to follow the flow there; "
                "the cells were found on the CPU."
            )
            return None

    def _joined(self, frames: list[_Frame]) -> FlowField:
        stitched = self.recipe["fusion"] == "xy" and self.image.is_3d
        spacing, apart = self.image.spacing, frames[0].disagreement
        if "t" not in self.image.label_axes:
            only = frames[0]
            flow_field = FlowField(
                only.flow, only.logits, spacing, disagreement=apart, stitched=stitched
            )
            if only.trajectories is not None:
                flow_field.hand_over(only.trajectories)
            return flow_field
        kept = [one.disagreement for one in frames if one.disagreement is not None]
        return FlowField(
            np.stack([one.flow for one in frames]),
            np.stack([one.logits for one in frames]),
            spacing,
            disagreement=np.stack(kept) if kept else None,
            stitched=stitched,
        )
