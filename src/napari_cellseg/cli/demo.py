"""The main job on the stack that comes with the package, without a window."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_cellseg.cli.plan import make_folder
from napari_cellseg.cli.progress import progress_bar
from napari_cellseg.cli.scores import as_text
from napari_cellseg.cli.table import CellTable
from napari_cellseg.errors import ModelError
from napari_cellseg.session import Session


@dataclass(frozen=True, eq=False)
class DemoReport:
    """What the demo made and how good it is.

    Attributes
    ----------
    tiff, zarr, table : Path
        Labels as OME-TIFF and OME-Zarr, and the table of instances.
    image : Path
        The stack.
    shape : tuple of int
        Of the stack.
    count : int
        Instances found.
    scores : dict
        `napari_cellseg.evaluate` against the bundled truth.
    seconds : dict of str to float
        Time per step: open, segment (also by stage), write.
    """

    image: Path
    shape: tuple[int, ...]
    tiff: Path
    zarr: Path
    table: Path
    count: int
    scores: dict[str, Any]
    seconds: dict[str, float]

    def __str__(self) -> str:
        times = ", ".join(f"{name} {value:.1f} s" for name, value in self.seconds.items())
        return "\n".join(
            [
                as_text(self.scores),
                "",
                f"image       {self.image.name}, {' × '.join(map(str, self.shape))} voxels",
                f"times       {times}",
                f"labels      {self.zarr}",
                f"            {self.tiff}",
                f"table       {self.table}",
            ]
        )


def run_demo(output: str | Path, device: str = "auto", quiet: bool = True) -> DemoReport:
    """Segment the bundled stack, write labels and table, and compare with the bundled truth.

    Parameters
    ----------
    output : path
        Folder; ``cells.ome.zarr``, ``cells.tif`` and ``table.csv`` in it are replaced.
    device : str
        See `napari_cellseg.segment`.
    quiet : bool
        No progress bar.

    Returns
    -------
    DemoReport

    Raises
    ------
    InputError
        A ``table.csv`` of another program is there.
    """
    from napari_cellseg.evaluation import evaluate
    from napari_cellseg.sample import sample_path
    from napari_cellseg.volume import read_label_file

    folder = Path(output)
    make_folder(folder)
    table = folder / "table.csv"
    cells = CellTable(table)
    files = sample_path("embryo")
    session = Session()
    seconds: dict[str, float] = {}
    try:
        with progress_bar(session, "demo", quiet):
            started = time.perf_counter()
            session.open(files.image).wait()
            session.parameters.device = device
            seconds["open"] = time.perf_counter() - started
            started = time.perf_counter()
            session.segment().wait()
            seconds["segment"] = time.perf_counter() - started
            result, labels = session.result, session.labels
            if result is None or labels is None:
                raise ModelError("The demo gave no labels.")
            seconds.update({f"({stage})": spent for stage, spent in result.timings.items()})
            started = time.perf_counter()
            cells.put(files.image.name, result.table)
            tiff = session.save(folder / "cells.tif", overwrite=True).wait()
            zarr = session.save(folder / "cells.ome.zarr", overwrite=True).wait()
            seconds["write"] = time.perf_counter() - started
        truth = read_label_file(files.truth)
        scores = evaluate(labels, truth.labels, spacing=truth.spacing, axes=truth.axes)
    finally:
        session.close()
    return DemoReport(
        files.image,
        labels.shape,
        tiff,
        zarr,
        table,
        len(result.table),
        scores,
        seconds,
    )
