"""The verbs of a label document."""

from __future__ import annotations

from napari_cellseg.labels.object_verbs import ObjectVerbs
from napari_cellseg.labels.shape_verbs import ShapeVerbs
from napari_cellseg.labels.split_verbs import SplitVerbs


class Verbs(ObjectVerbs, SplitVerbs, ShapeVerbs):
    """All that can be done to objects; see the three groups."""
