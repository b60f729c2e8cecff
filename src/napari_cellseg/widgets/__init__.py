"""Dock widgets: thin, and the only part that sees Qt and napari."""

from napari_cellseg.widgets.cell_table import TableDock
from napari_cellseg.widgets.edit import EditDock
from napari_cellseg.widgets.prompt import PromptDock
from napari_cellseg.widgets.review import ReviewDock
from napari_cellseg.widgets.segment import SegmentDock

__all__ = ["EditDock", "PromptDock", "ReviewDock", "SegmentDock", "TableDock"]
