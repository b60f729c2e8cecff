"""Taking up work that was left unfinished: by a crash, or because nobody saved it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.labels import Shelved, shelved
from napari_cellseg.session.described import SessionRecipes
from napari_cellseg.worker import Job, Priority

if TYPE_CHECKING:
    from napari_cellseg.labels import LabelDocument

KEPT = timedelta(days=30)
"""How long the journal of labels that were saved to a file is kept."""


class SessionRecovery(SessionRecipes):
    """The part of a session that finds documents and takes them up."""

    def unfinished(self) -> list[Shelved]:
        """Return the documents with steps that no file has and that nobody has open, newest first.

        May take a while where there are many: call it away from a window's thread.
        """
        if self.documents is None:
            return []
        return [one for one in shelved(self.documents) if one.unsaved and not one.in_use]

    def recover(self, folder: str | Path) -> Job:
        """Take up a document where it was left, history included.

        It belongs to the image that is open: where that has another shape, nothing changes and it
        is said. The labels that were there can come back by `undo`.

        Parameters
        ----------
        folder : path
            Of the document.
        """
        self._need("adopt")

        def land(document: LabelDocument) -> None:
            shape, axes = self.label_shape, self.label_axes
            fits = (document.labels.shape, document.axes) == (shape, axes)
            if not fits and not self._made_room(document):
                found = f"{document.labels.shape} ({', '.join(document.axes)})"
                image = document.meta.get("image") or "another image"
                document.close()
                self._fail(
                    InputError(
                        f"The unfinished cells of {image} have shape {found} and the open image "
                        f"has {shape} ({', '.join(axes)}): open their image first."
                    )
                )
                return
            self._set_proposal(None)
            self._set_document(document, None, None)
            self._told_edited, self._source = True, None
            self._count = len(document.objects)
            self._set_saved(None, True)
            steps = len(document.history)
            self._idle_text = f"recovered, with {steps} step{'' if steps == 1 else 's'}"
            field = document.meta.get("field")
            kept = (
                f"The flow field of these cells was saved as {field}: open it to move the sliders "
                "again."
                if field and Path(field).is_dir()
                else ""
            )
            for sentence in (document.read_only, *document.notices, kept):
                if sentence:
                    self._notice(sentence)

        return self._submit(
            "recover",
            "open document",
            {"folder": Path(folder)},
            land,
            lane="files",
            priority=Priority.VIEW,
        )

    def _made_room(self, document: LabelDocument) -> bool:
        """Turn to the part of the image that a document is of; see `SessionRegions`."""
        return False

    def forget(self, folder: str | Path) -> None:
        """Delete a document for good.

        Raises
        ------
        InputError
            It is no document, or one that is open.
        StorageError
            It cannot be deleted.
        """
        target = Path(folder)
        known = [one for one in shelved(target) if one.folder == target]
        if not known:
            raise InputError(f"There is no document in {str(target)!r}: choose another folder.")
        if known[0].in_use:
            raise InputError(f"{str(target)!r} is open: close its window first.")
        _delete(target)

    def tidy_documents(self, now: datetime | None = None) -> int:
        """Delete documents whose every step has long been in a file; return how many."""
        if self.documents is None:
            return 0
        before = (now or datetime.now(UTC)) - KEPT
        old = [
            one
            for one in shelved(self.documents)
            if not (one.unsaved or one.in_use)
            and one.steps
            and one.when is not None
            and one.when < before
        ]
        for one in old:
            _delete(one.folder)
        return len(old)


def _delete(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise StorageError(
            f"{str(folder)!r} cannot be deleted ({error.strerror}): delete it by hand."
        ) from error
