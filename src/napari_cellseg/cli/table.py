"""One CSV for the cells of many images, complete after every image.

Rows of an image are written before its labels: an image whose labels exist has its rows, and rows
of one whose labels do not (a run that was killed in between) are dropped at the next start. Rows of
images that are not part of a run stay, and a file that was not written here is never touched.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cellseg.errors import InputError, StorageError

if TYPE_CHECKING:
    import pandas as pd

IMAGE = "image"
_FIRST = (IMAGE, "t", "id", "voxels")
_FURTHER = frozenset(
    ["volume_um3", "area_um2", "diameter_um", "diameter"]
    + [f"centroid_{axis}" for axis in "zyx"]
    + [f"bbox_{axis}{end}" for axis in "zyx" for end in "01"]
    + ["probability", "agreement", "disagreement", "flow_error", "touches_border"]
)
"""Columns of `napari_cellseg.Segmentation.table`, which differ between 2D and 3D."""


class CellTable:
    """A CSV file with the column ``image`` first; appended to where the columns allow it.

    Parameters
    ----------
    path : Path
    unfinished : set of str
        Images whose rows in an existing file are dropped.

    Raises
    ------
    InputError
        The existing file was not written by napari-cellseg; it is not touched.
    """

    def __init__(self, path: Path, unfinished: Collection[str] = ()) -> None:
        import pandas as pd

        self.path = path
        self._frames: dict[str, pd.DataFrame] = {}
        self._columns: list[str] | None = None
        self._new = not path.exists()
        if self._new:
            return
        foreign = InputError(
            f"{str(path)!r} is not a table that napari-cellseg wrote and is never replaced: "
            "move it away or choose another output."
        )
        try:
            # As text, so that names such as "001" and the digits of numbers stay as they are.
            known = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
        except (OSError, ValueError) as error:
            raise foreign from error
        if not _is_ours(list(known.columns), len(known)):
            raise foreign
        self._columns = list(known.columns)
        for image, rows in known.groupby(IMAGE, sort=False):
            if image not in unfinished:
                self._frames[str(image)] = rows.dropna(axis="columns", how="all")
        if len(self._frames) < known[IMAGE].nunique():
            self._rewrite()

    def put(self, image: str, cells: pd.DataFrame) -> None:
        """Add the rows of an image, or replace them.

        Raises
        ------
        StorageError
            The file cannot be written; it is as it was before.
        """
        rows = cells.reset_index()
        rows.insert(0, IMAGE, image)
        known = image in self._frames
        self._frames[image] = rows
        if not known and list(rows.columns) == self._columns:
            self._append(rows)
        else:
            self._rewrite()

    def drop(self, image: str) -> None:
        """Remove the rows of an image; a file that was made for it alone goes as well."""
        if self._frames.pop(image, None) is None:
            return
        if self._new and not self._frames:
            self.path.unlink(missing_ok=True)
            self._columns = None
        else:
            self._rewrite()

    def _append(self, rows: pd.DataFrame) -> None:
        try:
            with self.path.open("a", encoding="utf-8", newline="") as file:
                rows.to_csv(file, index=False, header=False)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def _rewrite(self) -> None:
        import pandas as pd

        filled = [rows for rows in self._frames.values() if len(rows)] or list(
            self._frames.values()
        )[:1]
        everything = pd.concat(filled) if filled else pd.DataFrame(columns=self._columns or [IMAGE])
        part = self.path.with_name(f".{self.path.name}.part")
        try:
            everything.to_csv(part, index=False)
            os.replace(part, self.path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise _unwritable(self.path, error) from error
        self._columns = list(everything.columns)


def _is_ours(columns: list[str], rows: int) -> bool:
    """Whether exactly the columns that are written here are there."""
    if columns == [IMAGE]:
        return rows == 0
    return tuple(columns[: len(_FIRST)]) == _FIRST and _FURTHER.issuperset(columns[len(_FIRST) :])


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path} could not be written ({error.strerror or error}).")
