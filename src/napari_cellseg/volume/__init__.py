"""Volumes: what an image is, and how images and labels get from and to the disk."""

from napari_cellseg.volume.build import as_volume
from napari_cellseg.volume.lazy import check_dtype
from napari_cellseg.volume.memory import available_memory, check_memory
from napari_cellseg.volume.read import read_volume
from napari_cellseg.volume.read_labels import LabelFile, open_labels, read_label_file, read_labels
from napari_cellseg.volume.spacing import check_spacing, micrometres
from napari_cellseg.volume.volume import Volume
from napari_cellseg.volume.write import write_labels

__all__ = [
    "LabelFile",
    "Volume",
    "as_volume",
    "available_memory",
    "check_dtype",
    "check_memory",
    "check_spacing",
    "micrometres",
    "open_labels",
    "read_label_file",
    "read_labels",
    "read_volume",
    "write_labels",
]
