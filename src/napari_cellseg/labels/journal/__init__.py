"""The journal of a label document: edits that survive a kill, a power cut and a full disk."""

from napari_cellseg.labels.journal.disk import file_system, is_network
from napari_cellseg.labels.journal.journal import Journal
from napari_cellseg.labels.journal.saved import Saved

__all__ = ["Journal", "Saved", "file_system", "is_network"]
