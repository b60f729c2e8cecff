"""Operations on regions of label stores; importing this module registers them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cellseg.errors import InputError
from napari_cellseg.worker import JobContext, operation

if TYPE_CHECKING:
    from napari_cellseg.labels import LabelDocument
    from napari_cellseg.labels.region_document import WrittenBack
    from napari_cellseg.session.records import Region


@operation("open region")
def open_region(
    context: JobContext,
    *,
    store: Path,
    region: Region,
    shape: tuple[int, ...],
    axes: str,
    meta: dict[str, Any],
) -> LabelDocument:
    """Read a box of a label store that must be as large as its image."""
    from napari_cellseg.labels.region_document import open_region as run
    from napari_cellseg.volume.patch_store import open_label_store

    context.progress(0.0, "reading")
    opened = open_label_store(store)
    if (opened.shape, opened.axes) != (shape, axes):
        raise InputError(
            f"The labels of {store.name} have shape {opened.shape} ({', '.join(opened.axes)}) and "
            f"the image has {shape} ({', '.join(axes)}): choose the labels of this image."
        )
    context.check()
    return run(store, region, meta=meta)


@operation("write region back")
def write_region_back(context: JobContext, *, document: LabelDocument) -> WrittenBack:
    """Put the labels of a region back into their store, all or none."""
    from napari_cellseg.labels.region_document import write_back

    def check(fraction: float) -> None:
        context.check()
        context.progress(fraction, "into the store")

    return write_back(document, check)
