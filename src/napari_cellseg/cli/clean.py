"""`napari-cellseg clean`: the edits that need no eye, on a label file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cellseg.cli.convert import Source, check_output, file_name, speaking_of_options, tell
from napari_cellseg.errors import InputError
from napari_cellseg.labels import LabelDocument
from napari_cellseg.labels.formats import kind_of, write_label_file
from napari_cellseg.labels.select import select

if TYPE_CHECKING:
    from napari_cellseg.labels import Key


@dataclass(frozen=True)
class Cleaning:
    """What is done, in this order.

    Attributes
    ----------
    largest : bool
        Keep the largest piece of each object.
    pieces : bool
        Make an object of each piece.
    fill : bool
        Fill holes.
    smooth : float
        Round objects off, by that width in µm (voxels without a spacing); 0: not.
    min_size, max_size : int or None
        Delete smaller or larger objects, in voxels.
    border : bool
        Delete objects at the border.
    relabel : bool
        Number the objects from 1, at each time point.
    """

    largest: bool = False
    pieces: bool = False
    fill: bool = False
    smooth: float = 0.0
    min_size: int | None = None
    max_size: int | None = None
    border: bool = False
    relabel: bool = False


def clean(
    source: Source, output: Path, wanted: Cleaning, *, overwrite: bool = False, quiet: bool = False
) -> str:
    """Edit the labels of a file, and write them to another.

    Returns
    -------
    str
        What was done, to be printed.

    Raises
    ------
    CellsegError
        Nothing was written.
    """
    if wanted == Cleaning():
        raise InputError(
            "Nothing is to be done: add --min-size, --fill-holes, --relabel or another option."
        )
    if wanted.largest and wanted.pieces:
        raise InputError("--largest-piece and --into-pieces exclude each other: choose one.")
    kind_of(output)
    check_output(output, overwrite)
    file, spacing, _ = source.read()
    document = LabelDocument(file.labels, spacing, file.axes, copy=False)
    before = len(document.objects)
    _shape(document, wanted)
    doomed: set[Key] = set()
    if wanted.min_size is not None:
        doomed.update(select(document.table, voxels=(0, wanted.min_size - 1)))
    if wanted.max_size is not None:
        doomed.update(select(document.table, voxels=(wanted.max_size + 1, float("inf"))))
    if wanted.border:
        doomed.update(select(document.table, touches_border=True))
    if doomed:
        document.delete(sorted(doomed))
    if wanted.relabel:
        for t in sorted({t for t, _ in document.objects.keys()}):  # noqa: SIM118 - no mapping
            document.relabel(t if document.timed else None)
    with speaking_of_options():
        write_label_file(
            output,
            document.labels,
            axes=document.axes,
            spacing=spacing,
            original_ids=None if wanted.relabel else file.original_ids,
            metadata=file.metadata,
            overwrite=overwrite,
        )
    if not quiet:
        tell(file_name(source.path), file.notices)
    after = len(document.objects)
    return f"{before:,} objects became {after:,}, in {_count(document)}, written to {output}"


def _shape(document: LabelDocument, wanted: Cleaning) -> None:
    times = sorted({t for t, _ in document.objects.keys()})  # noqa: SIM118 - no mapping
    for t in times:
        at = t if document.timed else None
        ids = document.objects.ids(t).tolist()
        if wanted.largest:
            document.keep_largest(ids, at)
        if wanted.pieces:
            for one in ids:
                edits = document.keep_largest([one], at, preview=True)
                if edits:  # it has more than one piece
                    document.split_components(one, at)
            ids = document.objects.ids(t).tolist()
        if wanted.fill:
            document.fill_holes(ids, at)
        if wanted.smooth:
            known = document.spacing_known
            document.smooth(
                ids,
                wanted.smooth if known else None,
                voxels=None if known else wanted.smooth,
                t=at,
            )


def _count(document: LabelDocument) -> str:
    steps = len(document.history)
    return "1 step" if steps == 1 else f"{steps} steps"
