"""Labels: a document of them that is edited in steps, undone without end, and never lost."""

from napari_cellseg.labels.document import LabelDocument
from napari_cellseg.labels.edit import MOST, Change, Edit, Key, Mark, Step
from napari_cellseg.labels.replacement import Replacement
from napari_cellseg.labels.shelf import Shelved, documents_folder, new_folder, shelved

__all__ = [
    "MOST",
    "Change",
    "Edit",
    "Key",
    "LabelDocument",
    "Mark",
    "Replacement",
    "Shelved",
    "Step",
    "documents_folder",
    "new_folder",
    "shelved",
]
