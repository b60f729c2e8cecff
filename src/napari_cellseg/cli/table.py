"""One CSV for the cells of many images, complete after every image.

Rows of an image are written before its labels: an image whose labels exist has its rows, and rows
of one whose labels do not (a run that was killed in between) are dropped at the next start.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cellseg.errors import InputError, StorageError

if TYPE_CHECKING:
    import pandas as pd

IMAGE = "image"


class CellTable:
    """A CSV file with the column ``image`` first; appended to where the columns allow it.

    Parameters
    ----------
    path : Path
    keep : set of str
        Images whose rows in an existing file stay.

    Raises
    ------
    InputError
        The existing file is no such table.
    """

    def __init__(self, path: Path, keep: set[str]) -> None:
        import pandas as pd

        self.path = path
        self._frames: dict[str, pd.DataFrame] = {}
        self._columns: list[str] | None = None
        if not path.exists():
            return
        try:
            # Names such as "001" or "NA" are names, not numbers.
            known = pd.read_csv(path, dtype={IMAGE: str}, keep_default_na=False, na_values=[""])
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is no table of cells: move it away.") from error
        if IMAGE not in known.columns:
            raise InputError(f"{path} has no column {IMAGE!r}: move it away.")
        for image, rows in known.groupby(IMAGE, sort=False):
            if image in keep:
                self._frames[str(image)] = rows.dropna(axis="columns", how="all")
        if len(self._frames) < known[IMAGE].nunique():
            self._rewrite()
        else:
            self._columns = list(known.columns)

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
        """Remove the rows of an image."""
        if self._frames.pop(image, None) is not None:
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
        everything = pd.concat(filled) if filled else pd.DataFrame(columns=[IMAGE])
        part = self.path.with_name(f".{self.path.name}.part")
        try:
            everything.to_csv(part, index=False)
            os.replace(part, self.path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise _unwritable(self.path, error) from error
        self._columns = list(everything.columns)


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path} could not be written ({error.strerror or error}).")
