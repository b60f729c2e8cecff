"""What is most likely wrong comes first: ranking, queue and audit of objects and missing cells."""

from napari_cellseg.labels.review.audit import Audit, Estimate
from napari_cellseg.labels.review.evidence import Evidence
from napari_cellseg.labels.review.item import ItemKey, ReviewItem
from napari_cellseg.labels.review.objects import LabelBoxes, Objects
from napari_cellseg.labels.review.queue import Filters, Progress, ReviewQueue
from napari_cellseg.labels.review.ranking import Ranking, rank

__all__ = [
    "Audit",
    "Estimate",
    "Evidence",
    "Filters",
    "ItemKey",
    "LabelBoxes",
    "Objects",
    "Progress",
    "Ranking",
    "ReviewItem",
    "ReviewQueue",
    "rank",
]
