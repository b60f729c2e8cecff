"""Where documents live, and which of them are there."""

from __future__ import annotations

import os
import re
import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from napari_cellseg.errors import StorageError

VARIABLE = "NAPARI_CELLSEG_DOCUMENTS"
"""Environment variable with another folder for documents; empty for none at all."""


@dataclass(frozen=True)
class Shelved:
    """A document on disk.

    Attributes
    ----------
    folder : Path
    image : str
        Name of the image that it belongs to.
    path : Path or None
        The image's file, if it came from one.
    when : datetime or None
        Of the last step, in UTC.
    steps : int
        Records in the journal: steps, and those undone and made again.
    exported : int
        Number of the record up to which the labels were saved to a file.
    in_use : bool
        Whether a process has it open.
    """

    folder: Path
    image: str
    path: Path | None
    when: datetime | None
    steps: int
    exported: int
    in_use: bool

    @property
    def unsaved(self) -> bool:
        """Whether it holds steps that no file has."""
        return self.steps > self.exported


def documents_folder() -> Path | None:
    """Return the folder for documents: of the user's data, or as the environment says.

    None where the environment variable ``NAPARI_CELLSEG_DOCUMENTS`` is set and empty.
    """
    wanted = os.environ.get(VARIABLE)
    if wanted is not None:
        return Path(wanted) if wanted else None
    import platformdirs

    return Path(platformdirs.user_data_dir("napari-cellseg", appauthor=False)) / "documents"


def new_folder(root: Path, name: str) -> Path:
    """Return a folder for a new document, named after its image and the time; not made yet."""
    plain = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60] or "labels"
    stamp = time.strftime("%Y-%m-%d %H.%M.%S")
    return root / f"{plain} {stamp} {secrets.token_hex(4)}"


def shelved(root: Path) -> list[Shelved]:
    """Return the documents in a folder, the newest first; what is no document is passed over.

    Parameters
    ----------
    root : Path
        A folder of documents, or one document's own.
    """
    from napari_cellseg.labels.journal.glance import glance

    if not root.is_dir():
        return []
    try:
        folders = [root, *(one for one in root.iterdir() if one.is_dir())]
    except OSError as error:
        raise StorageError(
            f"{str(root)!r} cannot be read ({error.strerror}): check the folder."
        ) from error
    found = []
    for folder in folders:
        seen = glance(folder)
        if seen is None:
            continue
        meta = seen.meta
        path = meta.get("path")
        found.append(
            Shelved(
                folder,
                str(meta.get("image") or folder.name),
                None if not path else Path(path),
                seen.when,
                seen.last,
                int(meta.get("exported") or 0),
                seen.in_use,
            )
        )
    oldest = datetime.min
    return sorted(
        found,
        key=lambda one: oldest if one.when is None else one.when.replace(tzinfo=None),
        reverse=True,
    )
