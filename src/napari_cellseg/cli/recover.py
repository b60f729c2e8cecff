"""`napari-cellseg recover`: what was edited, out of the documents that hold it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from napari_cellseg.cli.convert import check_output, speaking_of_options, tell
from napari_cellseg.errors import InputError
from napari_cellseg.labels import LabelDocument, Shelved, documents_folder, shelved
from napari_cellseg.labels.formats import kind_of, write_label_file
from napari_cellseg.labels.measure_csv import write_csv
from napari_cellseg.labels.provenance import provenance_summary, provenance_table
from napari_cellseg.volume.read import existing_path


def recover(
    folder: Path | None, output: Path | None, *, provenance: bool, overwrite: bool, quiet: bool
) -> str:
    """List the documents of a folder, or write the labels of one.

    Parameters
    ----------
    folder : Path or None
        Of one document, or one that holds documents; None: where the window keeps them.
    output : Path or None
        Label file to write, of any kind that can be written; None: list what is there.
    provenance : bool
        Write a CSV beside the labels, too: how each object came to be.
    overwrite : bool
        Replace what is there.
    quiet : bool
        No notes.

    Returns
    -------
    str
        What is there or what was done, to be printed.

    Raises
    ------
    CellsegError
        There is no such document, or nothing could be written.
    """
    if folder is None:
        folder = documents_folder()
        if folder is None or not folder.is_dir():
            raise InputError("No documents are kept on this computer yet: pass a folder.")
    existing_path(folder)
    found = shelved(folder)
    if not found:
        if any(folder.glob("*.sqlite")):  # a damaged document says what is wrong with it
            LabelDocument.open(folder).close()
        raise InputError(
            f"There is no document in {str(folder)!r}: pass the folder of a document, or the one "
            "that holds them."
        )
    if output is None:
        if provenance:
            raise InputError("--provenance goes with the labels: add -o and the file to write.")
        return _listing(found)
    if len(found) > 1:
        names = ", ".join(repr(one.folder.name) for one in found[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise InputError(
            f"There are {len(found)} documents in {str(folder)!r} ({names}{more}): pass the folder "
            "of one of them."
        )
    return _write(found[0], output, provenance=provenance, overwrite=overwrite, quiet=quiet)


def provenance_path(output: Path) -> Path:
    """CSV beside a label file: ``cells.ome.tif`` gives ``cells_provenance.csv``."""
    name = output.name
    for ending in ("_seg.npy", *reversed(output.suffixes)):
        name = name.removesuffix(ending)
    return output.with_name(f"{name}_provenance.csv")


def _listing(found: Sequence[Shelved]) -> str:
    rows = [("last edit", "image", "changes", "state", "folder")]
    rows += [
        (_local(one.when), one.image, f"{one.steps:,}", _state(one), one.folder.name)
        for one in found
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if k == 2 else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _state(one: Shelved) -> str:
    if one.in_use:
        return "open elsewhere"
    if not one.unsaved:
        return "written to a file"
    return f"{one.steps - one.exported:,} in no file"


def _local(when: datetime | None) -> str:
    return "–" if when is None else when.astimezone().strftime("%Y-%m-%d %H:%M")


def _write(one: Shelved, output: Path, *, provenance: bool, overwrite: bool, quiet: bool) -> str:
    kind_of(output)
    beside = provenance_path(output)
    for path in (output, beside) if provenance else (output,):
        check_output(path, overwrite)
    document = LabelDocument.open(one.folder)
    try:
        notices = list(document.notices)
        if document.read_only:
            notices.append(document.read_only)
        with speaking_of_options():
            write_label_file(
                output,
                document.labels,
                axes=document.axes,
                spacing=document.spacing if document.spacing_known else None,
                original_ids=document.original_ids,
                image=None if one.path is None else str(one.path),
                metadata={"provenance": provenance_summary(document)},
                overwrite=overwrite,
            )
            if provenance:
                write_csv(beside, provenance_table(document), overwrite=overwrite)
        if not document.read_only:
            document.note_exported(output.absolute(), document.number)
        edits, objects = len(document.history), len(document.objects)
        last = _local(document.history[-1].when) if edits else ""
    finally:
        document.close()
    if not quiet:
        tell(one.image, notices)
    number = "1 edit" if edits == 1 else f"{edits:,} edits"
    until = f" (the last of {last})" if last else ""
    done = f"{number} of {one.image!r} recovered{until}: {objects:,} objects written to {output}"
    return f"{done}, how they came to be to {beside}" if provenance else done
