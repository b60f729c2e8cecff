"""What the table needs to be worked out and written, away from the window's thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.worker import JobContext, operation

if TYPE_CHECKING:
    import pandas as pd

    from napari_cellseg.labels import Key, LabelDocument
    from napari_cellseg.labels.edit import Step
    from napari_cellseg.labels.measure_regions import Regions
    from napari_cellseg.volume import Volume

_MARKS = ("class", "locked")


@dataclass(frozen=True, eq=False)
class Measured:
    """Measured cells, and how many lie in each region that was drawn (None: there is none)."""

    table: pd.DataFrame
    counts: pd.DataFrame | None


@dataclass(frozen=True, eq=False)
class KnownObjects:
    """The objects of a document at a moment, and their marks."""

    all: list[Key]
    marks: Mapping[str, Mapping[Key, Any]]

    def keys(self) -> list[Key]:
        """(t, id) of each."""
        return self.all

    def marked(self, name: str) -> Mapping[Key, Any]:
        """What objects are marked with under a name."""
        return self.marks.get(name, {})


@dataclass(frozen=True, eq=False)
class Moment:
    """What a document knew at a moment, so that another thread can read it while edits go on."""

    history: Sequence[Step]
    objects: KnownObjects
    meta: Mapping[str, Any]

    @classmethod
    def of(cls, document: LabelDocument) -> Moment:
        """Take down what a document knows now."""
        objects = document.objects
        marks = {name: objects.marked(name) for name in ("locked", "accepted", "class")}
        known = KnownObjects(objects.keys(), marks)
        return cls(tuple(document.history), known, dict(document.meta))


@operation("measure cells")
def measure_cells(
    context: JobContext,
    *,
    labels: NDArray[np.uint32],
    axes: str,
    spacing: tuple[float, float, float] | None,
    known: bool,
    volume: Volume | None,
    regions: Regions | None,
    marks: Mapping[str, Mapping[Key, Any]],
) -> Measured:
    """Measure every cell; see `napari_cellseg.labels.measure.measure`.

    Parameters
    ----------
    labels : array of uint32
        May be edited meanwhile: what is measured is a copy.
    axes : str
    spacing : tuple of float or None
        (z, y, x).
    known : bool
        Whether `spacing` is in µm.
    volume : Volume or None
        In which intensities are measured.
    regions : mapping or None
    marks : mapping
        By name, of (t, id).
    """
    from napari_cellseg.labels.measure import measure
    from napari_cellseg.labels.measure_regions import count_in_regions

    still = labels.copy()
    context.check()
    table = measure(still, spacing, axes, volume, spacing_known=known, regions=regions)
    keys = table.index.to_list()
    for name in _MARKS:
        marked = marks.get(name, {})
        if marked:
            table[name] = [_shown(marked.get(key)) for key in keys]
    counts = None
    if regions is not None:
        size = spacing if known and spacing is not None else (1.0, 1.0, 1.0)
        shape = labels.shape[axes.startswith("t") :]
        counts = count_in_regions(table, regions, size, shape=shape)
    return Measured(table, counts)


@operation("write table")
def write_table(
    context: JobContext, *, path: Path, table: pd.DataFrame, moment: Moment | None
) -> Path:
    """Write a table as CSV, whole or not at all, with how each cell came to be if asked for."""
    from napari_cellseg.labels.measure_csv import write_csv
    from napari_cellseg.labels.provenance import provenance_table

    if moment is not None:
        history = provenance_table(moment)
        own = [name for name in table.columns if name not in history.columns]
        table = table[own].join(history, how="left")
    return write_csv(path, table, overwrite=True)


def _shown(value: Any) -> Any:
    return "" if value is None or value is False else ("yes" if value is True else value)
