"""Labels: objects written into a label array, at the cost of the object and never of the volume."""

from napari_cellseg.labels.paint import Change, Protected, free_id, write_object

__all__ = ["Change", "Protected", "free_id", "write_object"]
