"""A tiny engine that stands in for the flows: threshold, then connected components.

It keeps what the session and the CLI rely on (regions, relabelling from what was kept, progress,
cancellation) and needs neither a network nor torch.
"""

from dataclasses import dataclass, replace
from dataclasses import field as field_of
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from skimage.measure import label, regionprops_table

from napari_cellseg.errors import Cancelled
from napari_cellseg.volume import Volume


@dataclass
class FakeNetwork:
    name: str = "builtin"
    nbytes: int = 8


@dataclass(frozen=True)
class FakeSegmentation:
    labels: NDArray[np.uint32]
    field: NDArray[np.float32]
    table: pd.DataFrame
    parameters: dict[str, Any]
    notices: tuple[str, ...] = ()
    timings: dict[str, float] = field_of(default_factory=dict)

    def relabel(self, probability=None, min_size=None, flow_error=None, progress=None):
        parameters = {**self.parameters, "probability": probability, "min_size": min_size or 1}
        labels = components(self.field, parameters)
        return replace(self, labels=labels, table=table_of(labels), parameters=parameters)


def components(image: NDArray[Any], parameters: dict[str, Any]) -> NDArray[np.uint32]:
    labels = label(image > parameters["probability"], connectivity=1).astype(np.uint32)
    sizes = np.bincount(labels.ravel())
    labels[sizes[labels] < parameters["min_size"]] = 0
    return labels


def table_of(labels: NDArray[np.uint32]) -> pd.DataFrame:
    measured = regionprops_table(labels, properties=("label", "area"))
    index = pd.MultiIndex.from_arrays(
        [np.zeros(len(measured["label"]), int), measured["label"]], names=["t", "id"]
    )
    return pd.DataFrame({"voxels": measured["area"].astype(int)}, index=index)


@dataclass
class FakeEngine:
    """Counts its calls; `gate` makes `segment` wait, saying so by `running`."""

    loads: list[str] = field_of(default_factory=list)
    calls: list[dict[str, Any]] = field_of(default_factory=list)
    running: Event = field_of(default_factory=Event)
    gate: Event | None = None
    notices: tuple[str, ...] = ()
    fail: Exception | None = None

    def load_network(self, name="builtin", checkpoint=None, device="auto"):
        self.loads.append(name)
        return FakeNetwork(name)

    def segment(
        self,
        volume: Volume,
        model: Any,
        channel=0,
        diameter=None,
        probability=0.5,
        flow_error=None,
        min_size=None,
        region=None,
        fusion="mean",
        device="auto",
        progress=None,
        cancel=None,
    ):
        volume.channel_index(channel)
        parameters = {
            "model": model.name,
            "channel": channel,
            "diameter": diameter,
            "probability": probability,
            "min_size": min_size or 1,
            "fusion": fusion,
            "spacing": list(volume.spacing),
        }
        self.calls.append({**parameters, "region": region})
        progress(0.25, "xy 1/4")
        self.running.set()
        if self.gate is not None:
            assert self.gate.wait(20)
        if cancel.is_set():
            raise Cancelled("the segmentation was cancelled")
        if self.fail is not None:
            raise self.fail
        image = np.asarray(volume.data, np.float32)
        if "c" in volume.axes:
            image = np.take(image, channel, axis=volume.axes.index("c"))
        kept = image if region is None else image[region]
        labels = components(kept, parameters)
        return FakeSegmentation(labels, kept, table_of(labels), parameters, self.notices)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    monkeypatch.setattr("napari_cellseg.flows.segment", fake.segment, raising=False)
    monkeypatch.setattr("napari_cellseg.networks.load_network", fake.load_network)
    return fake
