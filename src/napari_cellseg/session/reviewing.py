"""Reviewing: what is most likely wrong comes first, and every answer is one call. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.session.review_audit import ReviewAudit

if TYPE_CHECKING:
    from napari_cellseg.labels import Key
    from napari_cellseg.labels.review import ItemKey, ReviewItem
    from napari_cellseg.session.session import Session

_DONE = "There is nothing left in the list."


class Reviewing(ReviewAudit):
    """Objects and places of a session's document, to be gone through, the most doubtful first.

    `start` ranks in the worker. Edits, whoever makes them, are followed: what the user changes
    needs no further look, what they take back does. What they accept is marked and locked in the
    document, as one step; where they are and what else they decided lies beside it, so that all
    of it survives a crash.
    """

    # -- going -----------------------------------------------------------------------------------

    def next(self) -> ReviewItem | None:
        """Leave the item in hand open and go to the one after it; stays at the last."""
        return self._go(1)

    def previous(self) -> ReviewItem | None:
        """Go to the one before; stays at the first."""
        return self._go(-1)

    def go(self, key: ItemKey) -> ReviewItem:
        """Take an item in hand: `ReviewItem.key`.

        Raises
        ------
        InputError
            If there is no such item.
        """
        with self.session._lock:
            item = self._by_key.get(tuple(key))
            if item is None:
                raise InputError(f"There is no item {tuple(key)} in the review.")
            self._leave_audit()
            self._take(item)
            self._keep()
            self.changed.emit()
            return item

    def _go(self, by: int) -> ReviewItem | None:
        with self.session._lock:
            if self.auditing:
                return self._item  # what is drawn must be answered
            self._advance(by)
            self._keep()
            self.changed.emit()
            return self._item

    def _leave_audit(self) -> None:
        self.auditing, self._drawn = "", None

    # -- deciding --------------------------------------------------------------------------------

    def accept(self) -> None:
        """Say that the cell in hand is right (it is locked), or that none is missing there.

        In the audit, that is the answer, too.

        Raises
        ------
        InputError
            If nothing is in hand.
        """
        item = self._in_hand()
        with self.session._lock:
            drawn = bool(self.auditing) and item.key == self._drawn
            if item.kind == "object":
                self.session.change("accept", [(item.t, item.id)])
            elif self.queue is not None and item.key in self._by_key:
                self.queue.accept(item.key)
            if drawn or self.auditing == "space":
                self.answer(False)
            elif item.kind == "missing" and self.go_on:
                self._advance()
            self._keep()
            self.changed.emit()

    def skip(self) -> None:
        """Put the item in hand off to the end of the list."""
        item = self._in_hand()
        with self.session._lock:
            if self.queue is not None and item.key in self._by_key:
                rank = self._rank
                self.queue.skip(item.key)
                items = self.items
                self._take(items[min(rank, len(items) - 1)] if items else None)
            self._keep()
            self.changed.emit()

    def delete(self) -> None:
        """Delete the cell in hand.

        Raises
        ------
        InputError
            If there is none: a place where a cell may be missing is in hand.
        """
        item = self.cell("delete")
        self.session.change("delete", [item])

    def merge_with_neighbour(self) -> None:
        """Make one cell of the one in hand and the one that it touches most; see `neighbour`.

        Raises
        ------
        InputError
            If it touches none.
        """
        mine = self.cell("merge")
        other = self.neighbour()
        document = self.session.document
        if other is None or document is None:
            raise InputError(f"Cell {mine[1]} touches no other: there is nothing to merge it with.")
        keys = sorted((mine, other), key=lambda key: -document.objects.voxels(key[1], key[0]))
        t = mine[0] if document.timed else None
        self.session.change("merge", [id for _, id in keys], t=t)

    def neighbour(self) -> Key | None:
        """The cell that the one in hand shares the most surface with; None if it touches none."""
        from napari_cellseg.labels.review.contact import surface_of

        item, document = self._item, self.session.document
        if item is None or item.kind != "object" or item.id is None or document is None:
            return None
        if (item.t, item.id) not in document.objects:
            return None
        volume = document.labels[item.t] if document.timed else document.labels
        box = tuple(
            slice(max(0, part.start - 1), min(size, part.stop + 1))
            for part, size in zip(document.objects.box(item.id, item.t), volume.shape, strict=True)
        )
        spacing = np.asarray(document.spacing[3 - volume.ndim :], float)
        found = surface_of(volume[box], item.id, spacing, ()).neighbour
        return (item.t, found) if found else None

    # -- with prompts ----------------------------------------------------------------------------

    def reopen(self) -> None:
        """Take the cell in hand up for prompting, with the prompts that it was made by.

        Raises
        ------
        InputError
            If there is none, or it is locked.
        """
        t, id = self.cell("reopen")
        self.session.prompts.reopen(self._inside(t, id))

    def add(self) -> None:
        """Prompt at the place where a cell may be missing: in 3D where a flow field is.

        Raises
        ------
        InputError
            If nothing is in hand.
        """
        item = self._in_hand()
        prompts, axes = self.session.prompts, self.session.label_axes
        at = dict(zip("tzyx", (item.t, *item.centre), strict=True))
        with self.session._lock:
            prompts.next_object()
            if "z" in axes and not prompts.field.reason:
                prompts.settings.in_3d = True
            prompts.click(tuple(float(at[axis]) for axis in axes))

    # -- inside ----------------------------------------------------------------------------------

    def _in_hand(self) -> ReviewItem:
        if self._item is None:
            raise InputError(_DONE if self.queue is not None else "Start the review first.")
        return self._item

    def cell(self, verb: str) -> Key:
        """Return the cell in hand, (t, id), for something that is to be done with it.

        Raises
        ------
        InputError
            If there is none.
        """
        item = self._in_hand()
        document = self.session.document
        if item.kind != "object" or item.id is None:
            raise InputError(
                f"There is no cell here to {verb}: add one, or accept that none is missing."
            )
        if document is None or (item.t, item.id) not in document.objects:
            raise InputError(f"Cell {item.id} is not there any more: go on to the next.")
        return item.t, item.id

    def _inside(self, t: int, id: int) -> tuple[float, ...]:
        """The voxel of a cell that is nearest to its middle, along the label axes."""
        document = self.session.document
        assert document is not None
        box, middle = document.objects.box(id, t), document.objects.centroid(id, t)
        volume = document.labels[t] if document.timed else document.labels
        start = np.array([part.start for part in box])
        voxels = np.argwhere(volume[box] == id) + start
        nearest = voxels[np.argmin(((voxels - np.asarray(middle)) ** 2).sum(1))]
        return (*((float(t),) if document.timed else ()), *(float(at) for at in nearest))


def review_for(session: Session) -> Reviewing:
    """Return the review that all who work on a session share; it lasts as long as the session."""
    review: Reviewing | None = vars(session).get("review")
    if review is None:
        review = vars(session)["review"] = Reviewing(session)
    return review
