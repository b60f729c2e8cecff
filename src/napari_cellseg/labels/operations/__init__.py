"""Operations on labels: from the labels as they are to the edits that change them.

Each looks only at the boxes that it is given (and a margin where an object grows), writes nothing,
and works in 2D, in 3D, and in a 3D box of one plane, which it treats as 2D.
"""

from napari_cellseg.labels.operations.claims import first_come
from napari_cellseg.labels.operations.cutting import cut_line, cut_plane
from napari_cellseg.labels.operations.drawn import ball, disc, erase, paint, polygon
from napari_cellseg.labels.operations.joining import delete, merge, new_object, relabel, transfer
from napari_cellseg.labels.operations.parts import keep_largest, split_components
from napari_cellseg.labels.operations.preview import preview
from napari_cellseg.labels.operations.seeding import compile_kernel, split_seeds
from napari_cellseg.labels.operations.shaping import fill_holes, grow, shrink, smooth
from napari_cellseg.labels.operations.slices import interpolate, replace_slice

__all__ = [
    "ball",
    "compile_kernel",
    "cut_line",
    "cut_plane",
    "delete",
    "disc",
    "erase",
    "fill_holes",
    "first_come",
    "grow",
    "interpolate",
    "keep_largest",
    "merge",
    "new_object",
    "paint",
    "polygon",
    "preview",
    "relabel",
    "replace_slice",
    "shrink",
    "smooth",
    "split_components",
    "split_seeds",
    "transfer",
]
