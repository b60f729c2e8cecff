"""How a session's review follows the labels: ranked once, then measured where they are edited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cellseg.errors import InputError
from napari_cellseg.session.review_front import Front
from napari_cellseg.session.review_state import KEPT, ReviewState
from napari_cellseg.session.review_work import Asked
from napari_cellseg.worker import Priority

if TYPE_CHECKING:
    from napari_cellseg.flows import FlowField
    from napari_cellseg.labels import Change, Key, LabelDocument
    from napari_cellseg.session.review_work import Again, Ranked
    from napari_cellseg.session.session import Session
    from napari_cellseg.worker import Job

MANY = 300
"""Objects that one step may touch before all are ranked anew."""
_WHOLE = frozenset({"segment", "foreign"})
"""Kinds of steps after which little is as it was."""
SETTLING = frozenset({"accept", "delete", "merge", "split", "split components", "cut"})
"""Kinds of steps with which the item in hand is dealt with."""


class ReviewFollowing(ReviewState):
    """Adds turning it on and off, and following what is done to the labels."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        session.document_changed.connect(self._on_document)
        session.stepped.connect(self._on_step)
        session.status_changed.connect(self._on_status)
        session.closed.connect(self._forget)

    # -- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Turn reviewing on: everything is ranked in the background, or it goes on where it was.

        Raises
        ------
        InputError
            If there is nothing to review.
        """
        if self.reason:
            raise InputError(self.reason)
        with self.session._lock:
            self.active = True
            if self.queue is None:
                if not self.ranking:
                    self._rank_all()
            else:
                self._measure()
                self._take(self._item, anew=True)
            self.changed.emit()

    def stop(self) -> None:
        """Turn reviewing off; nothing that was decided is lost."""
        with self.session._lock:
            if not self.active:
                return
            self.active = False
            if self.ranking:
                self.session._jobs["review"].cancel()
            self.changed.emit()

    # -- ranking ---------------------------------------------------------------------------------

    def _rank_all(self) -> None:
        session, document = self.session, self.session.document
        if document is None:
            return
        self._forget_queue()
        self._document = document
        self._pending.clear()
        asked = Asked(
            document,
            session.volume,
            session.parameters.channel,
            self._flow(),
            self._prompted(),
            session.parameters.probability,
        )
        arguments = {"asked": asked, "columns": document.objects.columns()}

        def land(ranked: Ranked | None) -> None:
            if self._document is not document or document is not session.document:
                return
            if ranked is None:
                self._rank_all()
            else:
                self._begin(ranked)

        session._submit("review", "review", arguments, land, replace_running=True)

    def _flow(self) -> FlowField | None:
        """The flow field of everything, of the run that made the labels or else the newest."""
        from napari_cellseg.flows import FlowField

        session = self.session
        for run in (session._applied, session._source):
            flow = None if run is None or run.region is not None else run.segmentation.field
            if not isinstance(flow, FlowField) or flow.stitched:
                continue  # planes that are joined by overlap have no 3D flow
            if tuple(flow.shape) == session.label_shape:
                return flow
        return None

    def _prompted(self) -> frozenset[Key]:
        document = self.session.document
        assert document is not None
        born = {
            key
            for step in document.history
            if step.source.startswith("prompt")
            for key in step.born
        }
        return frozenset(key for key in born if key in document.objects)

    def _begin(self, ranked: Ranked) -> None:
        document = self._document
        assert document is not None
        front = self._front = Front(ranked)
        self._accepted = set(document.objects.marked("accepted"))
        kept = document.meta.get(KEPT)
        self._restore_queue(front, kept)
        self._index()
        assert self.queue is not None
        self._settle_deleted()
        self._begin_audit(document)
        if self._pending:
            self._measure()
        self._take(self.queue.current, anew=True)
        self.changed.emit()

    def _begin_audit(self, document: LabelDocument) -> None:
        """Take up the audit of a document; see `ReviewAudit`."""

    # -- following edits -------------------------------------------------------------------------

    def _on_document(self, document: LabelDocument | None) -> None:
        if document is self._document:
            return
        active = self.active
        if self.ranking:
            self.session._jobs["review"].cancel()
        self._forget()
        if active and document is not None and not self.reason:
            self.active = True
            self._rank_all()
        self.arrived.emit(None)
        self.changed.emit()

    def _on_status(self, status: object) -> None:
        if self.active and self.queue is None and not self.ranking:
            self.active = False  # it was cancelled, or could not be done
            self.changed.emit()

    def _on_step(self, change: Change) -> None:
        document, step = self._document, change.step
        if document is None or document is not self.session.document:
            return
        by_hand = change.direction != "undo"
        front = self._front
        other = front is not None and front.ranking.labels is not document.labels
        whole = step.kind in _WHOLE or len(change.keys) > MANY or other
        if whole and change.region is not None and (self.queue is not None or self.ranking):
            self._forget_queue()
            if self.active:
                self._rank_all()
            self.changed.emit()
            return
        if change.region is not None:
            self._pending.update(dict.fromkeys(change.keys, by_hand))
        if self.queue is None:
            return
        self._follow_marks(change.keys)
        done = bool(document.history) and document.history[-1].number == step.number
        if done or change.direction != "do":
            self._measure()  # a stroke is measured when it ends
        if step.kind in SETTLING:
            self._settle(change)
        self.changed.emit()

    def _settle(self, change: Change) -> None:
        """Go on where the item in hand was dealt with; go back where that was taken back."""
        names = tuple(("object", t, id) for t, id in change.keys)
        if change.direction == "undo":
            there = [self._by_key[name] for name in names if name in self._by_key]
            if change.region is not None:
                self._back_to = names  # as soon as they are measured again
            elif there and self.active and not self._held():
                self._take(there[0])
        elif self._item is not None and self._item.key in names:
            assert self.queue is not None
            if change.region is not None:
                self.queue.done(self._item.key)
            self._keep()
            if self.go_on and self.active and not self._held():
                self._advance()

    def _follow_marks(self, keys: tuple[Key, ...]) -> None:
        assert self.queue is not None
        assert self._document is not None
        objects, other = self._document.objects, []
        for key in keys:
            accepted = bool(key in objects and objects.mark(key[1], "accepted", key[0], False))
            if accepted != (key in self._accepted):
                other.append(key)
                (self._accepted.add if accepted else self._accepted.discard)(key)
        if len(other) > 20:  # one by one, the queue would look for each among all
            state = self._state()
            assert self._front is not None
            self._restore_queue(self._front, state)
            return
        for key in other:
            name = ("object", *key)
            if name not in self._by_key:
                continue
            if key in self._accepted:
                self.queue.accept(name)
            else:
                self.queue.reopen(name)

    def _measure(self) -> None:
        """Measure what was touched, away from here; one such job at a time."""
        front, document = self._front, self._document
        if front is None or document is None or not self._pending or not self.active:
            return
        if self._measuring is not None:
            return
        keys, self._pending = self._pending, {}
        objects = document.objects
        boxes = {key: objects.box(key[1], key[0]) if key in objects else None for key in keys}

        def land(again: Again | None) -> None:
            if self._front is not front:
                return
            if again is None:
                self._pending = {**keys, **self._pending}
            else:
                self._take_over(again)

        def end(job: Job) -> None:
            if self._measuring is job:
                self._measuring = None
                if self._front is not None:
                    self._measure()

        self._measuring = self.session.background(
            "review again",
            {"ranking": front.ranking, "document": document, "keys": keys, "boxes": boxes},
            key="review again",
            lane="decode",
            priority=Priority.VIEW,
            land=land,
            fail=self.session._fail,
            end=end,
        )

    def _take_over(self, again: Again) -> None:
        assert self.queue is not None
        assert self._front is not None
        for key, by_hand in again.keys.items():
            box = self._front.box(key)
            if not by_hand or again.boxes[key] is not None:
                self._deleted.pop(key, None)
            elif box is not None:
                self._deleted[key] = box
        self._front.take(again)
        for by_hand in (True, False):
            keys = [key for key, hand in again.keys.items() if hand is by_hand]
            if keys:
                self.queue.update(keys, by_user=by_hand)
        self._index()
        for key in again.keys:
            name = ("object", *key)
            if key in self._accepted and name in self._by_key:
                self.queue.accept(name)
        self._audit_edits(again)
        back, self._back_to = self._back_to, ()
        there = [self._by_key[name] for name in back if name in self._by_key]
        if there and self.active and not self._held():
            self._take(there[0])
        elif self._item is not None and self._item.kind == "object":
            known = self._by_key.get(self._item.key)
            if known is not None:
                self._item = known
            elif self.active and not self._held():
                self._advance()
        self._keep()
        self.changed.emit()

    def _audit_edits(self, again: Again) -> None:
        """Tell the audit what was edited; see `ReviewAudit`."""
