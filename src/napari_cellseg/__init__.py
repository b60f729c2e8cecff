"""Interactive and automatic cell segmentation in 2D, 3D and 3D+t.

Every public name is resolved on first use, so importing the package stays fast and loads neither
torch, Qt nor napari.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from napari_cellseg.errors import Cancelled, CellsegError, InputError, ModelError, StorageError

if TYPE_CHECKING:
    from napari_cellseg.evaluation import evaluate
    from napari_cellseg.flows import (
        FieldStore,
        FlowField,
        Segmentation,
        instances,
        label_store,
        segment,
        segment_store,
    )
    from napari_cellseg.labels import Edit, LabelDocument, Mark
    from napari_cellseg.networks import load_network
    from napari_cellseg.prompts import Prompt, load_predictor
    from napari_cellseg.session import Session
    from napari_cellseg.volume import Volume, read_volume, write_labels

try:
    __version__ = version("napari-cellseg")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

_HOME = {
    "Edit": "labels",
    "FieldStore": "flows",
    "FlowField": "flows",
    "LabelDocument": "labels",
    "Mark": "labels",
    "Prompt": "prompts",
    "Segmentation": "flows",
    "Session": "session",
    "Volume": "volume",
    "evaluate": "evaluation",
    "instances": "flows",
    "label_store": "flows",
    "load_network": "networks",
    "load_predictor": "prompts",
    "read_volume": "volume",
    "segment": "flows",
    "segment_store": "flows",
    "write_labels": "volume",
}

__all__ = [
    "Cancelled",
    "CellsegError",
    "Edit",
    "FieldStore",
    "FlowField",
    "InputError",
    "LabelDocument",
    "Mark",
    "ModelError",
    "Prompt",
    "Segmentation",
    "Session",
    "StorageError",
    "Volume",
    "evaluate",
    "instances",
    "label_store",
    "load_network",
    "load_predictor",
    "read_volume",
    "segment",
    "segment_store",
    "write_labels",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
