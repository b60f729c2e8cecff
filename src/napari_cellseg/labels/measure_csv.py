"""Tables as CSV files, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cellseg.errors import InputError
from napari_cellseg.volume.atomic import replacing

if TYPE_CHECKING:
    import pandas as pd


def write_csv(
    path: str | os.PathLike[str], table: pd.DataFrame, *, overwrite: bool = False
) -> Path:
    """Write a table with its index as RFC 4180 asks: commas, decimal dots, CRLF, UTF-8.

    Numbers have all the digits that they need to be read back as they are, whatever the language
    of the computer.

    Parameters
    ----------
    path : path-like
        Ends in ``.csv``.
    table : pandas.DataFrame
        The names of its index become columns.
    overwrite : bool
        Replace what is there.

    Raises
    ------
    InputError
        Another ending.
    StorageError
        It cannot be written; what was there before is untouched.
    """
    target = Path(path)
    if target.suffix.lower() != ".csv":
        raise InputError(f"The table is CSV: end the name {str(target)!r} in .csv.")
    with replacing(target, overwrite=overwrite) as part:
        table.to_csv(part, lineterminator="\r\n", encoding="utf-8")
    return target
