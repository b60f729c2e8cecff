"""Operations that only a session needs; importing this module registers them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.labels.accept import accept_labels
from napari_cellseg.session.merge import Merged, has_edits, merge_labels
from napari_cellseg.session.records import Region
from napari_cellseg.worker import JobContext, operation
from napari_cellseg.worker import engine as engine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cellseg.flows import Segmentation
    from napari_cellseg.labels import LabelDocument, Replacement
    from napari_cellseg.volume import Volume

    Labels = NDArray[np.uint32]


class Landed(NamedTuple):
    """A finished segmentation, ready to be shown.

    `merged` holds fresh labels to edit; None where a hand has changed the present ones, so that
    this must be a proposal. `prepared` is what the session's document takes, or a new document.
    """

    segmentation: Segmentation
    merged: Merged | None
    prepared: LabelDocument | Replacement | None = None


class Applied(NamedTuple):
    """Merged labels, and what their document needs to know of them."""

    merged: Merged
    prepared: LabelDocument | Replacement


def inside(labels: Labels, region: Region | None) -> Labels:
    """Labels over the region, whether the engine returned the region or the whole volume."""
    if region is None:
        return labels
    shape = tuple(part.stop - part.start for part in region)
    return labels if labels.shape == shape else labels[region]


@operation("segment to edit", uses_torch=True)
def segment_to_edit(
    context: JobContext,
    *,
    current: Labels | None,
    baseline: Labels | None,
    shape: tuple[int, ...],
    timed: bool,
    volume: Volume,
    region: Region | None,
    document: LabelDocument | None,
    make: Callable[[Labels], LabelDocument],
    locked: tuple[int, ...] = (),
    **arguments: Any,
) -> Landed:
    """Segment, and copy the labels for editing here rather than in the GUI's thread."""
    segmentation = engine.segment(context, volume=volume, region=region, **arguments)
    if current is not None and (locked or has_edits(current, baseline)):
        return Landed(segmentation, None)
    merged = merge_labels(None, None, inside(segmentation.labels, region), region, shape, timed)
    return Landed(segmentation, merged, _prepared(document, merged, make))


@operation("save document")
def save_document(
    context: JobContext,
    *,
    path: Path,
    document: LabelDocument,
    like: Volume,
    overwrite: bool,
    metadata: dict[str, Any],
) -> Path:
    """Write the labels of a document as they are now, and remember that they were."""
    context.check()
    labels, number = document.copy_of_labels()  # edits go on meanwhile
    written = engine.write(
        context, path=path, labels=labels, like=like, overwrite=overwrite, metadata=metadata
    )
    document.note_exported(written, number)
    return written


@operation("open document")
def open_document(context: JobContext, *, folder: Path) -> LabelDocument:
    """Open a document from its folder."""
    from napari_cellseg.labels import LabelDocument

    context.check()
    return LabelDocument.open(folder)


@operation("apply")
def apply(
    context: JobContext,
    *,
    current: Labels | None,
    baseline: Labels | None,
    proposed: Labels,
    region: Region | None,
    shape: tuple[int, ...],
    timed: bool,
    document: LabelDocument | None,
    make: Callable[[Labels], LabelDocument],
    locked: tuple[int, ...] = (),
) -> Applied:
    """Merge proposed labels into the present ones; see `napari_cellseg.session.merge`."""
    context.check()
    above = 0 if document is None else document.objects.largest  # an id names one object only
    merged = merge_labels(current, baseline, proposed, region, shape, timed, locked, above)
    return Applied(merged, _prepared(document, merged, make))


def _prepared(
    document: LabelDocument | None, merged: Merged, make: Callable[[Labels], LabelDocument]
) -> LabelDocument | Replacement:
    """Count and compare here rather than in the GUI's thread."""
    return make(merged.labels) if document is None else document.prepare(merged.labels)


class Adopted(NamedTuple):
    """Labels of a file, and what their ids were where those had to change."""

    labels: Labels
    original_ids: NDArray[np.uint64] | None
    notices: tuple[str, ...]
    marks: dict[str, Any]


@operation("read labels to adopt")
def read_labels_to_adopt(
    context: JobContext, *, path: Path, shape: tuple[int, ...], axes: str
) -> Adopted:
    """Read a label file of any format and check that it fits the image."""
    from napari_cellseg.labels.formats import read_label_file

    context.check()
    rois = path.suffix.lower() in (".zip", ".roi")  # they do not say how large their image is
    file = read_label_file(path, shape, axes=axes) if rois else read_label_file(path)
    read = file.labels
    if read.shape != shape and _lengths(read.shape) == _lengths(shape):
        read = read.reshape(shape)
    labels, original = as_labels(read, shape, axes, f"The labels of {path.name}")
    if file.original_ids is not None:
        original = np.asarray(file.original_ids, np.uint64)
    return Adopted(labels, original, file.notices, _marks(file.metadata))


def _lengths(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without its axes of length one, which some programs leave out."""
    return tuple(size for size in shape if size != 1)


def _marks(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the marks of a label file that we wrote; anything else in their place counts not."""
    found = metadata.get("marks")
    if not isinstance(found, dict):
        return {}
    return {
        str(name): [row for row in rows if isinstance(row, list) and len(row) == 3]
        for name, rows in found.items()
        if isinstance(rows, list)
    }


def as_labels(
    labels: Any, shape: tuple[int, ...], axes: str, what: str
) -> tuple[Labels, NDArray[np.uint64] | None]:
    """Check labels from anywhere; what can be edited as it is, is returned itself, not a copy.

    Returns
    -------
    labels : ndarray of uint32
    original_ids : ndarray of uint64 or None
        By id, what it was, where ids do not fit into 32 bits.

    Raises
    ------
    InputError
        Not whole numbers, negative, or not of the image's shape.
    """
    found = tuple(getattr(labels, "shape", np.shape(labels)))
    if found != shape:
        raise InputError(
            f"{what} have shape {found} and the image has {shape} ({', '.join(axes)})."
        )
    return accept_labels(labels, what, copy=False)
