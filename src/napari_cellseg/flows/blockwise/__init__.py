"""Segmentation of volumes larger than memory, block by block, on one machine or many."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_cellseg.flows.blockwise.executor import Distributed, Executor, InProcess
from napari_cellseg.flows.blockwise.label_store import StoreLabels, label_store

if TYPE_CHECKING:
    from napari_cellseg.flows.blockwise.driver import (
        StoreResult,
        relabel_store,
        segment_store,
    )

__all__ = [
    "Distributed",
    "Executor",
    "InProcess",
    "StoreLabels",
    "StoreResult",
    "label_store",
    "relabel_store",
    "segment_store",
]

_NEED_TORCH = ("StoreResult", "relabel_store", "segment_store")


def __getattr__(name: str) -> Any:
    # labelling a field does not need torch, so what does is imported on use
    if name not in _NEED_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.driver"), name)
