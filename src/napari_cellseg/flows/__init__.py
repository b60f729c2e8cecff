"""From images to flow fields to instances."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_cellseg.flows.field import FlowField
from napari_cellseg.flows.label import REASONS, Labelling, Rejected, instances, label_field
from napari_cellseg.flows.label_flows import fused_label_flows, label_flows
from napari_cellseg.flows.progress import Progress

if TYPE_CHECKING:
    from napari_cellseg.flows.blockwise.driver import segment_store
    from napari_cellseg.flows.blockwise.label_store import label_store
    from napari_cellseg.flows.diameter import measure_diameter
    from napari_cellseg.flows.field_store import FieldStore
    from napari_cellseg.flows.mediar3d import segment
    from napari_cellseg.flows.segmentation import Segmentation

__all__ = [
    "REASONS",
    "FieldStore",
    "FlowField",
    "Labelling",
    "Progress",
    "Rejected",
    "Segmentation",
    "fused_label_flows",
    "instances",
    "label_field",
    "label_flows",
    "label_store",
    "measure_diameter",
    "segment",
    "segment_store",
]


_ON_USE = {
    "FieldStore": "field_store",
    "Segmentation": "segmentation",
    "label_store": "blockwise",
    "measure_diameter": "diameter",
    "segment": "mediar3d",
    "segment_store": "blockwise",
}


def __getattr__(name: str) -> Any:
    # labelling a field needs neither torch nor zarr, so what does is imported on use
    if name not in _ON_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ON_USE[name]}"), name)
