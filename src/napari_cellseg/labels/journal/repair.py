"""Going on behind damage: the intact records in a new file, the damaged file kept aside."""

from __future__ import annotations

import os
from pathlib import Path

from napari_cellseg.labels.journal.database import NAME, Database, build
from napari_cellseg.labels.journal.disk import sync_folder, sync_path
from napari_cellseg.labels.journal.survey import Survey, companions, intact

#: Complete, and to be put into the place of the damaged one.
READY = f"{NAME}.new"
BUILDING = f"{NAME}.building"


def repair(folder: Path, database: Database, found: Survey) -> Path:
    """Put the intact records into a new database and move the damaged one aside, whole.

    Parameters
    ----------
    folder : Path
        The journal's.
    database : Database
        Connection to the damaged file; it is closed.
    found : Survey
        What is intact.

    Returns
    -------
    Path
        The folder where the damaged files lie now.
    """
    building = folder / BUILDING
    try:
        building.unlink(missing_ok=True)
        build(building, intact(database), found.meta)
        sync_path(building)
    except BaseException:
        building.unlink(missing_ok=True)
        raise
    finally:
        database.close()
    os.replace(building, folder / READY)
    sync_folder(folder)
    aside = finish(folder)
    assert aside is not None
    return aside


def finish(folder: Path) -> Path | None:
    """Put a repaired database into place, also where a process was killed while doing so.

    Returns
    -------
    Path or None
        Where the damaged files lie now; None where there was nothing to do.
    """
    if not (folder / READY).is_file():
        return None
    aside = new_aside(folder)
    # SQLite would replay a log of the old file onto the new one, so the old one goes away first
    move_aside(companions(folder), aside)
    os.replace(folder / READY, folder / NAME)
    sync_folder(folder)
    return aside


def move_aside(paths: list[Path], aside: Path) -> None:
    """Move files into a folder beside them; both folders reach the disk."""
    for path in paths:
        os.replace(path, aside / path.name)
    sync_folder(aside)
    sync_folder(aside.parent)


def new_aside(folder: Path) -> Path:
    """Create the next folder for what is damaged."""
    number = 1
    while True:
        aside = folder / f"damaged-{number}"
        try:
            aside.mkdir()
        except FileExistsError:
            number += 1
        else:
            return aside


def clean(folder: Path) -> None:
    """Remove what a killed process had not finished writing."""
    (folder / BUILDING).unlink(missing_ok=True)
    (folder / f"{BUILDING}-journal").unlink(missing_ok=True)
    for path in folder.glob("base-*.labels.part"):
        path.unlink(missing_ok=True)
