"""`napari-cellseg measure`: a table of all objects of a label file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from napari_cellseg.cli.convert import (
    Source,
    check_output,
    file_name,
    speaking_of_options,
    tell,
)
from napari_cellseg.cli.plausible import looks_like_image
from napari_cellseg.errors import InputError
from napari_cellseg.labels.formats import restore_ids
from napari_cellseg.labels.measure import measure
from napari_cellseg.labels.measure_csv import write_csv


def measure_file(source: Source, output: Path, *, gap: float, overwrite: bool, quiet: bool) -> str:
    """Measure the objects of a label file, and write a CSV with a row for each.

    Parameters
    ----------
    source : Source
        Where it has an image, intensities are measured in all its channels.
    output : Path
        ``.csv``.
    gap : float
        See `napari_cellseg.labels.measure.measure`.
    overwrite : bool
        Replace the CSV if it is there.
    quiet : bool
        No notes.

    Returns
    -------
    str
        What was done, to be printed.

    Raises
    ------
    CellsegError
        Nothing was written.
    """
    if output.suffix.lower() != ".csv":
        raise InputError(f"The table is CSV: end the name {str(output)!r} in .csv.")
    check_output(output, overwrite)
    file, spacing, volume = source.read()
    # labels with a recipe were written by napari-cellseg
    if not file.metadata and looks_like_image(file.labels):
        print(
            f"Warning: {source.path} looks like an image rather than labels, so the table may mean "
            "nothing: pass a file with one number per object.",
            file=sys.stderr,
        )
    table = measure(file.labels, spacing, file.axes, volume, gap=gap)
    if file.original_ids is not None:
        ids = table.index.get_level_values("id").to_numpy(np.uint32)
        table.insert(0, "original_id", restore_ids(ids, file.original_ids))
    with speaking_of_options():
        write_csv(output, table, overwrite=overwrite)
    if not quiet:
        notices = [t for t in file.notices if spacing is None or not t.startswith("Spacing ")]
        tell(file_name(source.path), notices)
        if spacing is None:
            print("Lengths are in voxels: add --spacing Z Y X for µm.", file=sys.stderr)
    return f"{len(table):,} objects measured: {output}"
