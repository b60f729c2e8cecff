"""Dock widgets: thin, and the only part that sees Qt and napari."""

from napari_cellseg.widgets.prompt import PromptDock
from napari_cellseg.widgets.segment import SegmentDock

__all__ = ["PromptDock", "SegmentDock"]
