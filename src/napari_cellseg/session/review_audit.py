"""The audit of a session's review: random items, answers, an estimate, and when to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_cellseg.errors import InputError
from napari_cellseg.labels.review import Audit, Estimate, ReviewItem
from napari_cellseg.session.review_follow import ReviewFollowing

if TYPE_CHECKING:
    from napari_cellseg.labels import LabelDocument
    from napari_cellseg.labels.review import ItemKey
    from napari_cellseg.labels.review.audit import Stratum
    from napari_cellseg.session.review_work import Again
    from napari_cellseg.session.session import Session

POPULATION, ANSWERS = "review_audit", "review_answers"
"""Where a document's `meta` holds what is drawn from, and what was answered."""
_GIVEN = ("answers", "corrected", "gone")
_AROUND = 8
"""Voxels around a place in empty space that are looked at."""


class ReviewAudit(ReviewFollowing):
    """Adds the audit.

    Attributes
    ----------
    audit : Audit or None
        None until one was begun.
    auditing : {"", "object", "missing", "space"}
        What is drawn now: cells, places where one may be missing, or empty space; "" while the
        list is gone through.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.audit: Audit | None = None
        self.auditing: Stratum | str = ""
        self._drawn: ItemKey | None = None

    def start_audit(self, of: Stratum = "object", accepted: float = 0.05) -> None:
        """Check random items, instead of going through the list; goes on where one was begun.

        Parameters
        ----------
        of : {"object", "missing", "space"}
            Cells, places where one may be missing, or voxels of empty space.
        accepted : float
            Share of wrong cells that is good enough; counts when an audit begins.

        Raises
        ------
        InputError
            If nothing is ranked yet, or a share is not between 0 and 1.
        """
        with self.session._lock:
            if self.queue is None:
                raise InputError("Start the review first: the audit draws from what it ranks.")
            if self.audit is None:
                seed = len(self._by_key)  # of the labels alone: the same ones draw the same cells
                self.audit = Audit(list(self._by_key), seed, accepted)
                self._keep_audit()
            self.auditing = of
            self._draw()
            self.changed.emit()

    def stop_audit(self) -> None:
        """Go back to the list; answers are kept."""
        with self.session._lock:
            if not self.auditing:
                return
            self.auditing, self._drawn = "", None
            items = self.items
            if items and self._item not in items:
                self._take(items[min(self._rank, len(items) - 1)])
            self.changed.emit()

    def forget_audit(self) -> None:
        """Drop all answers; the next audit draws from the cells as they are then."""
        with self.session._lock:
            self.stop_audit()
            self.audit = None
            self._write(POPULATION, None)
            self._write(ANSWERS, None)
            self.changed.emit()

    def answer(self, wrong: bool) -> None:
        """Say whether the item in hand is wrong (a cell is missing there), and draw the next.

        Raises
        ------
        InputError
            If no audit is on, or everything was checked.
        """
        with self.session._lock:
            if self.audit is None or self._drawn is None:
                raise InputError("Nothing is being checked: start the audit first.")
            self.audit.answer(self._drawn, wrong)
            self._keep_audit()
            self._draw()
            self.changed.emit()

    def take_back_answer(self) -> None:
        """Take the last answer back: what it was about is in hand again.

        Raises
        ------
        InputError
            If no audit is on, or nothing was answered yet.
        """
        with self.session._lock:
            state = None if self.audit is None else self.audit.state()
            of = self.auditing
            answers = [] if state is None else [a for a in state["answers"] if a[0][0] == of]
            if state is None or not answers:
                raise InputError("Nothing was answered yet: there is nothing to take back.")
            last = answers[-1]
            state["answers"].remove(last)
            state["corrected"] = [key for key in state["corrected"] if key != last[0]]
            self.audit = Audit.restored(state)
            self._keep_audit()
            if of == "space":  # the same place again, not another one
                self._drawn = tuple(last[0])
                assert self._document is not None
                self._take(self._empty(self._drawn, self._document))
            else:
                self._draw()
            self.changed.emit()

    @property
    def answered(self) -> int:
        """Answers given so far, of what is being drawn."""
        state = None if self.audit is None else self.audit.state()
        return 0 if state is None else sum(a[0][0] == self.auditing for a in state["answers"])

    @property
    def estimate(self) -> Estimate | None:
        """Share that is wrong now, of what is being drawn; None before an audit."""
        if self.audit is None:
            return None
        of: Any = self.auditing or "object"
        return self.audit.estimate(of)

    @property
    def verdict(self) -> str:
        """What the audit says so far, as a sentence; "" before one."""
        audit, found = self.audit, self.estimate
        if audit is None or found is None:
            return ""
        if not found.checked:
            if self.auditing in ("missing", "space"):
                return "Nothing checked yet."
            share = _percent(audit.accepted)
            return f"Check {audit.looks[0]} cells to know whether at most {share} % are wrong."
        low, high = (_percent(share) for share in (found.low, found.high))
        said = f"{_percent(found.rate)} % wrong [{low}–{high} %], {found.checked} checked"
        if self.auditing == "missing":
            return f"{said}: of {found.population} places where a cell may be missing."
        if self.auditing == "space":
            return f"{said}: of the empty space lies in missing cells."
        if audit.stop():
            return f"{said}: you may stop."
        ahead = [look for look in audit.looks if look > found.checked]
        return f"{said}: go on to {ahead[0]}." if ahead else f"{said}: these were all."

    def _held(self) -> bool:
        return bool(self.auditing)

    def _draw(self) -> None:
        audit, document = self.audit, self._document
        assert audit is not None
        assert document is not None
        if self.auditing == "space":
            self._drawn = audit.draw_space(document.labels, document.timed)
            self._take(None if self._drawn is None else self._empty(self._drawn, document))
            return
        of: Any = self.auditing
        while (drawn := audit.draw(of)) is not None and drawn not in self._by_key:
            audit.removed([drawn])
        self._drawn = drawn
        self._take(None if drawn is None else self._by_key[drawn])

    def _empty(self, drawn: ItemKey, document: LabelDocument) -> ReviewItem:
        _, t, *place = drawn
        shape = document.labels.shape[document.timed :]
        box = tuple(
            slice(max(0, at - _AROUND), min(size, at + _AROUND + 1))
            for at, size in zip(place[3 - len(shape) :], shape, strict=True)
        )
        z, y, x = (float(at) for at in place)
        why = ("is a cell missing here?",)
        return ReviewItem("missing", t, None, 0.0, why, (z, y, x), box)

    def _audit_edits(self, again: Again) -> None:
        audit = self.audit
        if audit is None:
            return
        answered = {tuple(key): wrong for key, wrong in audit.state()["answers"]}
        for key, by_hand in again.keys.items():
            name, gone = ("object", *key), again.boxes[key] is None
            if not by_hand:
                self._take_back(name)
                continue
            if name == self._drawn:  # repaired before it was answered: it was wrong
                audit.answer(name, True)
                audit.corrected(name)
                self._drawn = None
            elif answered.get(name):
                audit.corrected(name)
            elif gone and name not in answered:
                audit.removed([name])
        self._keep_audit()
        if self.auditing and self._drawn is None and self.active:
            self._draw()

    def _take_back(self, name: ItemKey) -> None:
        """What was put right or removed is not, after an undo."""
        assert self.audit is not None
        state = self.audit.state()
        for part in ("corrected", "gone"):
            state[part] = [key for key in state[part] if tuple(key) != name]
        self.audit = Audit.restored(state)

    def _begin_audit(self, document: LabelDocument) -> None:
        self.audit, self.auditing, self._drawn = None, "", None
        population, given = document.meta.get(POPULATION), document.meta.get(ANSWERS)
        if population:
            try:
                self.audit = Audit.restored({**population, **(given or {})})
            except (InputError, TypeError, ValueError):
                self.session._notice("The audit could not be read: it begins anew.")

    def _forget(self) -> None:
        super()._forget()
        self.audit, self.auditing, self._drawn = None, "", None

    def _keep_audit(self) -> None:
        assert self.audit is not None
        state = self.audit.state()
        self._write(ANSWERS, {part: state.pop(part) for part in _GIVEN})
        self._write(POPULATION, {**state, **{part: [] for part in _GIVEN}})


def _percent(share: float) -> str:
    return f"{100 * share:.1f}".removesuffix(".0")
