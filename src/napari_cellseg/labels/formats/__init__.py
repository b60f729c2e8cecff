"""Label files of other programs: what they hold becomes uint32 ids, and goes back to them."""

from napari_cellseg.labels.formats.label_file import LabelFile
from napari_cellseg.labels.formats.read import read_label_file
from napari_cellseg.labels.formats.values import restore_ids
from napari_cellseg.labels.formats.write import KINDS, kind_of, write_label_file

__all__ = [
    "KINDS",
    "LabelFile",
    "kind_of",
    "read_label_file",
    "restore_ids",
    "write_label_file",
]
