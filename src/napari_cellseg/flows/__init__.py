"""From images to flow fields to instances."""

from typing import TYPE_CHECKING, Any

from napari_cellseg.flows.field import FlowField
from napari_cellseg.flows.label import REASONS, Labelling, Rejected, instances, label_field
from napari_cellseg.flows.label_flows import fused_label_flows, label_flows
from napari_cellseg.flows.progress import Progress

if TYPE_CHECKING:
    from napari_cellseg.flows.mediar3d import segment
    from napari_cellseg.flows.segmentation import Segmentation

__all__ = [
    "REASONS",
    "FlowField",
    "Labelling",
    "Progress",
    "Rejected",
    "Segmentation",
    "fused_label_flows",
    "instances",
    "label_field",
    "label_flows",
    "segment",
]


def __getattr__(name: str) -> Any:
    # these two need torch, which labelling a field does not
    if name == "segment":
        from napari_cellseg.flows.mediar3d import segment

        return segment
    if name == "Segmentation":
        from napari_cellseg.flows.segmentation import Segmentation

        return Segmentation
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
